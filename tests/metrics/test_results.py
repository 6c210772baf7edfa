import json

import numpy as np
import pytest

from hiresvae.metrics.results import Figure, bootstrap, spread


def test_figure_to_json_round_trips_and_hides_what_json_cannot_say() -> None:
    figure = Figure("rfid", float("nan"), "dB", "down", (1.0, float("inf")), {"held_out": 3})
    out = json.loads(json.dumps(figure.to_json(), allow_nan=False))
    assert out == {
        "name": "rfid",
        "value": None,
        "unit": "dB",
        "better": "down",
        "interval": [1.0, None],
        "counts": {"held_out": 3},
        "features": None,
    }


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap(lambda a: float(a.mean()), x, seed=1)
    assert low < x.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)
    assert bootstrap(lambda a: float(a.mean()), x, seed=1) == (low, high)


def test_spread_holds_the_middle() -> None:
    assert spread(np.arange(1001.0)) == (25.0, 975.0)
