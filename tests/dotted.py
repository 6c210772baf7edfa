"""Settings by keys with two underscores for the dot, for tests."""

from hiresvae.configuration import validate
from hiresvae.settings import Settings


def settings(**dotted: object) -> Settings:
    """Returns ``adversary__weight=0.5`` as ``{"adversary": {"weight": 0.5}}`` is read."""
    raw: dict = {}
    for key, value in dotted.items():
        section, name = key.split("__")
        raw.setdefault(section, {})[name] = value
    return validate(raw)
