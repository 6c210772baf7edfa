import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiresvae.metrics.frechet import (
    fid_infinity,
    frechet_distance,
    halves_floor,
    least_for_infinity,
    moments,
)
from hiresvae.metrics.kernel import kernel_distance


def features(n: int, dim: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim)) * scale + shift).astype("f4")


def with_moments(n: int, mean: np.ndarray, std: np.ndarray, seed: int) -> np.ndarray:
    """Rows whose sample mean and covariance are exactly the mean and diag(std^2)."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    q, _ = np.linalg.qr(x - x.mean(0))
    return q * np.sqrt(n - 1) * std + mean


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_diagonal_gaussians_have_the_closed_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(2, 5))
    std = rng.uniform(0, 3, size=(2, 5))
    a, b = (with_moments(40, m, s, seed + i) for i, (m, s) in enumerate(zip(mean, std)))  # noqa: B905
    expected = ((mean[0] - mean[1]) ** 2).sum() + ((std[0] - std[1]) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("n", [20, 60])
def test_zero_on_itself_shift_squared_and_symmetric(n: int) -> None:
    a, b = features(n, 30).astype("f8"), features(50, 30, 1).astype("f8")
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * (a**2).sum())
    assert frechet_distance(a, a + 0.5) == pytest.approx(30 * 0.25)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


@pytest.mark.parametrize(("n", "m"), [(200, 300), (300, 200)])
def test_equals_scipy_and_clean_fid(n: int, m: int) -> None:
    from cleanfid import fid
    from scipy.linalg import sqrtm

    a, b = features(n, 24), features(m, 24, 1, 1.3, 0.2)
    args = [x for f in (a, b) for x in (f.mean(0, dtype="f8"), np.cov(f.T.astype("f8")))]
    root = np.trace(sqrtm(args[1] @ args[3]).real)
    by_hand = ((args[0] - args[2]) ** 2).sum() + np.trace(args[1] + args[3]) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(by_hand, rel=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid asks scipy for disp=False
        theirs = fid.frechet_distance(*args)
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-8)


def test_fewer_pictures_than_features_equals_the_large_covariances() -> None:
    a, b = features(15, 40), features(25, 40, 1)
    (va, ua), (vb, _) = (np.linalg.eigh(np.cov(f.T.astype("f8"))) for f in (a, b))
    root = (ua * np.sqrt(va.clip(0))) @ ua.T
    middle = root @ np.cov(b.T.astype("f8")) @ root
    overlap = np.sqrt(np.linalg.eigvalsh(middle).clip(0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + va.sum() + vb.sum() - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_one_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        moments(np.zeros((1, 3)))


def test_floor_of_halves_is_above_zero_for_frechet_and_about_zero_for_kernel() -> None:
    x = features(400, 16)
    floor = halves_floor(x, seed=3)
    assert floor == halves_floor(x, seed=3)
    assert floor.count == 200
    assert 0 < floor.frechet < frechet_distance(x, features(400, 16, 1))
    other = kernel_distance(x, features(400, 16, 1))
    assert abs(floor.kernel) < other / 10


def test_fid_infinity_takes_off_the_bias_of_few_pictures() -> None:
    reference = with_moments(4000, np.zeros(16), np.ones(16), 0)
    generated = np.random.default_rng(5).normal(size=(300, 16))
    plain = frechet_distance(generated, reference)
    endless = fid_infinity(generated, moments(reference))
    assert plain > 0.2
    assert abs(endless) < plain / 3


def test_nothing_is_extrapolated_from_fewer_pictures_than_twice_the_features() -> None:
    reference = with_moments(4000, np.zeros(64), np.ones(64), 0)
    generated = np.random.default_rng(5).normal(size=(128, 64))
    assert least_for_infinity(64) == 128 and least_for_infinity(2) == 8
    assert abs(fid_infinity(generated, reference)) < frechet_distance(generated, reference) / 3
    with pytest.raises(ValueError, match="128 pictures or more, got 127"):
        fid_infinity(generated[:127], reference)


def test_a_thousand_by_2048_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1000, 2048)), rng.normal(size=(1000, 2048))
    begun = time.process_time()
    assert frechet_distance(a, b) > 0
    assert time.process_time() - begun < 10
