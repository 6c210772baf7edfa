import numpy as np
import pytest
import torch

from hiresvae.metrics import kernel
from hiresvae.metrics.kernel import kernel_distance, kernel_estimate


def sets(n: int = 60, m: int = 60, dim: int = 10, shift: float = 0.3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + shift


def test_equals_clean_fid_on_the_same_subsets() -> None:
    from cleanfid import fid

    a, b = sets(70, 50)
    np.random.seed(4)
    theirs = fid.kernel_distance(a, b, num_subsets=7, max_subset_size=20)
    np.random.seed(4)
    ours = []
    for _ in range(7):
        y = b[np.random.choice(50, 20, replace=False)]
        x = a[np.random.choice(70, 20, replace=False)]
        ours.append(kernel_distance(x, y))
    assert np.mean(ours) == pytest.approx(theirs, rel=1e-10)


def test_equals_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    a, b = sets()
    theirs = poly_mmd(torch.from_numpy(a), torch.from_numpy(b)).item()
    assert kernel_distance(a, b) == pytest.approx(theirs, rel=1e-10)


def test_unbiased_about_zero_and_known_for_constants() -> None:
    rng = np.random.default_rng(1)
    same = [kernel_distance(*rng.normal(size=(2, 10, 4))) for _ in range(400)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 20
    # Kernels of constant rows: 1 within zeros, 8 within ones, 1 across.
    assert kernel_distance(np.zeros((3, 5)), np.ones((4, 5))) == pytest.approx(1 + 8 - 2)


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 40, 0.6), (200, 50, 0.4), (1200, 100, 0.2)])
def test_the_interval_is_that_of_the_value_from_all_pictures(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(3)
    found = [
        kernel_estimate(rng.normal(size=(n, 5)), rng.normal(size=(m, 5)) + shift) for _ in range(60)
    ]
    for one in found[:3]:
        assert one.interval[0] < one.value < one.interval[1]
    widths = np.array([one.interval[1] - one.interval[0] for one in found])
    spread = 2 * 1.96 * np.std([one.value for one in found])
    # Of 60 values the standard deviation is itself known to 9 %.
    assert 0.75 < widths.mean() / spread < 1.4


def test_the_interval_of_sets_of_one_source_is_not_too_narrow() -> None:
    rng = np.random.default_rng(4)
    found = [kernel_estimate(*rng.normal(size=(2, 40, 5))) for _ in range(100)]
    missed = sum(not low <= 0 <= high for _, (low, high) in found)
    assert missed <= 10


def test_copies_are_at_zero_where_pairs_are_left_out_and_below_it_where_not() -> None:
    rng = np.random.default_rng(5)
    a = rng.normal(size=(50, 10))
    assert kernel_distance(a, a) < -0.01
    value, (low, high) = kernel_estimate(a, a, paired=True)
    assert abs(value) < 1e-12 and low <= value <= high
    # Good copies: near 0 in the mean over many sets, whatever their number.
    found = [
        kernel_estimate(x, x + 0.2 * rng.normal(size=x.shape), paired=True).value
        for x in rng.normal(size=(200, 20, 10))
    ]
    truth = kernel_distance(*(s * rng.normal(size=(1500, 10)) for s in (1.0, 1.04**0.5)))
    assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / 200**0.5 + 0.002)
    with pytest.raises(ValueError, match="equally many"):
        kernel_estimate(a, a[1:], paired=True)


def test_blocks_do_not_change_anything(monkeypatch) -> None:
    a, b = sets(50, 50)
    whole = [kernel_estimate(a, b, paired=paired) for paired in (False, True)]
    monkeypatch.setattr(kernel, "BLOCK", 7)
    for paired, (value, interval) in zip((False, True), whole, strict=True):
        again = kernel_estimate(a, b, paired=paired)
        assert again.value == pytest.approx(value, rel=1e-9)
        assert again.interval == pytest.approx(interval, rel=1e-9)


def test_one_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures a side"):
        kernel_distance(np.zeros((1, 3)), np.zeros((4, 3)))
