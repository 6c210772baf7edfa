import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from hiresvae.metrics import neighbours
from hiresvae.metrics.frechet import frechet_distance
from hiresvae.metrics.neighbours import (
    cosine_to_nearest,
    coverage,
    kth_nearest,
    mean_distances,
    mean_within,
    memorisation,
    nearest_of_all,
)


@pytest.fixture(params=[7, 1024])
def block(request, monkeypatch) -> int:
    """Blocks smaller than the sets must not change anything."""
    monkeypatch.setattr(neighbours, "BLOCK", request.param)
    return request.param


def gaussian(n: int, dim: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) + shift).astype("f4")


def clusters(n: int, names: list[int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 20 * np.eye(6)[:4]
    return centres[rng.choice(names, n)] + rng.normal(size=(n, 6))


def by_the_reference(fakes: np.ndarray, reals: np.ndarray, k: int) -> tuple[float, ...]:
    """Precision, recall, density, coverage as the authors of the latter two write them."""

    def radii(x: np.ndarray) -> np.ndarray:
        return np.sort(cdist(x, x), axis=1)[:, k]  # the first is the point itself

    d = cdist(reals.astype("f8"), fakes.astype("f8"))
    real, fake = radii(reals.astype("f8")), radii(fakes.astype("f8"))
    return (
        (d < real[:, None]).any(axis=0).mean(),
        (d < fake[None, :]).any(axis=1).mean(),
        (d < real[:, None]).sum(axis=0).mean() / k,
        (d.min(axis=1) < real).mean(),
    )


@pytest.mark.parametrize("shift", [0.0, 0.7, 3.0])
def test_equals_the_reference_formulas(block: int, shift: float) -> None:
    fakes, reals = gaussian(50, seed=1, shift=shift), gaussian(60)
    found = coverage(fakes, reals, manifold=3, ball=5)
    three, five = (by_the_reference(fakes, reals, k) for k in (3, 5))
    expected = (three[0], three[1], five[2], five[3])
    values = (found.precision, found.recall, found.density, found.coverage)
    np.testing.assert_allclose([v.mean() for v in values], expected, rtol=1e-4)


@pytest.mark.parametrize("shift", [0.0, 0.7, 3.0])
def test_equals_the_authors_package(shift: float) -> None:
    prdc = pytest.importorskip("prdc")
    fakes, reals = gaussian(50, seed=1, shift=shift), gaussian(60)
    found = coverage(fakes, reals, manifold=3, ball=5)
    three, five = (prdc.compute_prdc(reals, fakes, k) for k in (3, 5))
    expected = [three["precision"], three["recall"], five["density"], five["coverage"]]
    values = (found.precision, found.recall, found.density, found.coverage)
    np.testing.assert_allclose([v.mean() for v in values], expected, rtol=1e-4)


def test_identical_sets_are_perfect() -> None:
    x = gaussian(40)
    found = coverage(x, x)
    assert found.precision.all() and found.recall.all() and found.coverage.all()
    assert found.density.mean() == pytest.approx(1)


def test_dropped_classes_cost_recall_and_coverage_alone() -> None:
    reals = clusters(200, [0, 1, 2, 3], 0)
    whole = coverage(clusters(200, [0, 1, 2, 3], 1), reals)
    half = coverage(clusters(200, [0, 1], 2), reals)
    assert half.recall.mean() < 0.6 < 0.8 < whole.recall.mean()
    assert half.coverage.mean() < 0.6 < 0.8 < whole.coverage.mean()
    assert half.precision.mean() > 0.8


def test_noise_costs_precision_and_density() -> None:
    reals, clean = gaussian(200), gaussian(200, seed=1)
    noisy = clean + 2 * gaussian(200, seed=2)
    assert coverage(noisy, reals).precision.mean() < 0.6 * coverage(clean, reals).precision.mean()
    assert coverage(noisy, reals).density.mean() < 0.6 * coverage(clean, reals).density.mean()


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="5th nearest"):
        coverage(gaussian(5), gaussian(50))


def test_kth_nearest_and_mean_distances_equal_scipy(block: int) -> None:
    a, b = gaussian(30), gaussian(40, seed=1)
    np.testing.assert_allclose(kth_nearest(a, b, 2), np.sort(cdist(a, b), axis=1)[:, 1], rtol=1e-6)
    np.testing.assert_allclose(mean_distances(a), cdist(a, a).sum(1) / 29, rtol=1e-6)
    parts = (b[i : i + 13] for i in range(0, 40, 13))
    np.testing.assert_allclose(nearest_of_all(a, parts), cdist(a, b).min(1), rtol=1e-6)
    # Far from the origin, where squares are large, copies are still copies.
    far = gaussian(20).astype("f8") + 1e4
    assert kth_nearest(far, far).max() < 1e-3
    with pytest.raises(ValueError, match="2 of them"):
        mean_distances(a[:1])


def test_variety_within_classes_is_lost_where_a_class_repeats_itself() -> None:
    x = clusters(200, [0, 1, 2, 3], 0)
    labels = np.argmax(x[:, :4], axis=1)
    expected = np.mean([pdist(x[labels == k]).mean() for k in range(4)])
    assert mean_within(x, labels) == pytest.approx(expected)
    # One picture a class: as varied between classes, not at all within.
    means = np.stack([x[labels == k].mean(0) for k in range(4)])[labels]
    assert mean_within(means, labels) < 0.01
    assert mean_distances(means).mean() > 0.9 * mean_distances(x).mean()
    with pytest.raises(ValueError, match="no class"):
        mean_within(x[:3], np.arange(3))


def test_nearest_is_sought_for_each_fake_among_reals(block: int) -> None:
    reals = gaussian(50)
    fakes = np.repeat(reals[:1] * 3.0, 20, axis=0)
    # A model that copies one picture and nothing else: taken the other way about, the nearest fake
    # of each real, it would look original.
    assert cosine_to_nearest(fakes, reals).max() < 1e-6
    assert cosine_to_nearest(reals, fakes).mean() > 0.3
    cosine = 1 - np.abs(1 - cdist(gaussian(9, seed=3), reals, "cosine"))
    np.testing.assert_allclose(
        cosine_to_nearest(gaussian(9, seed=3), reals), cosine.min(1), rtol=1e-4, atol=1e-7
    )


def test_mifid_divides_by_nearness_only_where_there_is_some() -> None:
    reals = gaussian(60)
    news, copies = gaussian(60, seed=1), reals + 0.01 * gaussian(60, seed=2)
    divisors = [memorisation(cosine_to_nearest(x, reals)) for x in (news, copies, reals)]
    assert divisors[0] == 1
    assert 0 < divisors[1] < 0.01
    plain = frechet_distance(copies, reals)
    assert plain / divisors[1] > 100 * plain
    assert np.isfinite(frechet_distance(reals, reals) / divisors[2])
