import numpy as np
import pytest
import torch

from hiresvae.metrics.features import FeatureNetwork
from hiresvae.uses.feature_figures import covering, distances, diversity, infinity

NETWORK = FeatureNetwork("means", "a" * 64, lambda x: x, None, torch.device("cpu"))


def test_the_interval_of_diversity_is_as_wide_as_the_figure_varies() -> None:
    rng = np.random.default_rng(0)
    spread = [diversity("made", *rng.normal(size=(2, 40, 2)), None, {}, i)[0] for i in range(60)]
    width = np.mean([figure.interval[1] - figure.interval[0] for figure in spread])
    expected = 2 * 1.96 * np.std([figure.value for figure in spread])
    assert 0.75 < width / expected < 1.35
    assert all(low <= figure.value <= high for figure in spread for low, high in [figure.interval])


def test_a_single_picture_has_no_diversity() -> None:
    x = np.random.default_rng(0).normal(size=(9, 3))
    assert diversity("made", x, x[:1], None, {}, 0) == []
    assert diversity("made", x, x, None, {}, 0)[0].value == 1


def test_copies_have_a_kernel_distance_of_zero_where_pairs_are_known() -> None:
    x = np.random.default_rng(0).normal(size=(40, 5))
    found = {f.name: f for f in distances("r{}", x, x, NETWORK, {"held_out": 40}, paired=True)}
    assert found["rkernel"].value == pytest.approx(0, abs=1e-9)
    alone = {f.name: f for f in distances("r{}", x, x, NETWORK, {"held_out": 40})}
    assert alone["rkernel"].value < -0.01
    assert found["rkernel"].counts == {"held_out": 40}


def test_what_cannot_be_extrapolated_is_said() -> None:
    x, notes = np.random.default_rng(0).normal(size=(40, 5)), []
    (figure,) = infinity("made", x, x, NETWORK, {}, 0, notes)
    assert figure.name == "gfrechet_infinity_made" and notes == []
    assert infinity("made", x[:9], x, NETWORK, {}, 0, notes) == []
    assert "needs 10 made pictures, and there are 9" in notes[0]
    infinity("others", x[:9], x, NETWORK, {}, 0, notes)
    assert len(notes) == 1, "said once"


def test_coverage_compares_equal_numbers_and_claims_no_interval() -> None:
    rng = np.random.default_rng(0)
    found = covering("made", rng.normal(size=(30, 4)), rng.normal(size=(90, 4)), NETWORK, {}, 0)
    assert [figure.interval for figure in found] == [None] * 4
    assert all(figure.counts == {"compared": 30} for figure in found)
    assert covering("made", rng.normal(size=(7, 4)), rng.normal(size=(90, 4)), NETWORK, {}, 0) == []
