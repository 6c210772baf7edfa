import numpy as np
import pytest
import torch

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


def test_estimate_has_the_full_value_and_a_spread_that_is_not_empty() -> None:
    a, b = sets(80, 120)
    estimate = kernel_estimate(a, b, seed=2)
    assert estimate == kernel_estimate(a, b, seed=2)
    assert estimate.value == kernel_distance(a, b)
    assert estimate.subset_size == 40
    low, high = estimate.interval
    assert low < estimate.subset_mean < high
    assert low < estimate.value < high


def test_one_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures a side"):
        kernel_distance(np.zeros((1, 3)), np.zeros((4, 3)))
