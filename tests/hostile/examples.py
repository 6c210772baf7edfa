"""A property tried twice: on a few examples, always the same, and, slow, on 2,000 by chance."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

MANY = 2_000
OPEN = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def hostile(few: int, **strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a property a test of its fixtures; what the strategies draw is no fixture.

    Args:
        few: examples of the quick test.
        **strategies: of the property's other arguments.
    """

    def decorate(holds: Callable[..., None]) -> Callable[..., None]:
        tried = given(**strategies)
        always = settings(max_examples=few, derandomize=True, **OPEN)(tried(holds))
        chance = settings(max_examples=MANY, print_blob=True, **OPEN)(tried(holds))

        @functools.wraps(holds)
        def test(many: bool, **fixtures: Any) -> None:
            (chance if many else always)(**fixtures)

        every = inspect.signature(holds).parameters.values()
        asked = [one for one in every if one.name not in strategies]
        many = inspect.Parameter("many", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = inspect.Signature([many, *asked])  # type: ignore[attr-defined]
        del test.__wrapped__  # pytest would look below for the fixtures
        slowly = pytest.param(True, id="many", marks=pytest.mark.slow)
        cases = [pytest.param(False, id="few"), slowly]
        return pytest.mark.parametrize("many", cases)(test)

    return decorate
