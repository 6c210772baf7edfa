"""From features to figures: distances, coverage and variety, a group a function."""

from dataclasses import replace

import numpy as np
import torch

from hiresvae.metrics.cache import digest
from hiresvae.metrics.features import FeatureNetwork
from hiresvae.metrics.frechet import (
    fid_infinity,
    frechet_distance,
    halves_floor,
    least_for_infinity,
    moments,
)
from hiresvae.metrics.kernel import kernel_estimate
from hiresvae.metrics.neighbours import coverage, mean_distances, mean_within
from hiresvae.metrics.results import Figure, bootstrap, ratio_of_means
from hiresvae.seeding import generator
from hiresvae.uses.figures import Counts
from hiresvae.uses.processes import remembered

# Coverage needs a 5th nearest other.
LEAST_COVERAGE = 8


def network_words(network: FeatureNetwork) -> tuple[str, str]:
    """Returns what Fréchet and kernel distance are called in these features."""
    return ("fid", "kid") if network.is_inception else ("frechet", "kernel")


def distances(
    kind: str,
    fakes: np.ndarray,
    reals: np.ndarray,
    network: FeatureNetwork,
    counts: Counts,
    *,
    paired: bool = False,
) -> list[Figure]:
    """Returns Fréchet and kernel distance of features ``(N, D)`` as figures.

    Args:
        kind: such as ``g{}_fitted`` or ``r{}``; {} becomes fid and kid, or frechet and kernel where
            the network is not the Inception.
        fakes: features of made pictures.
        reals: features of real pictures.
        network: which features.
        counts: pictures by role, for the record.
        paired: whether row i of the fakes was made from row i of the reals.
    """
    kernel = kernel_estimate(fakes, reals, paired=paired)
    frechet = frechet_distance(fakes, reals)
    words, of = network_words(network), network.to_json()
    return [
        Figure(kind.format(words[0]), frechet, "squared distance", "down", None, counts, of),
        Figure(
            kind.format(words[1]), kernel.value, "squared MMD", "down", kernel.interval, counts, of
        ),
    ]


def infinity(
    role: str,
    fakes: np.ndarray,
    reals: np.ndarray,
    network: FeatureNetwork,
    counts: Counts,
    seed: int,
    notes: list[str],
) -> list[Figure]:
    """Returns the Fréchet distance extrapolated to endlessly many made pictures as a figure.

    Args:
        role: ends the figure's name.
        fakes: features of made pictures ``(N, D)``.
        reals: features of real pictures ``(M, D)``.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the subsets.
        notes: gets a sentence where there are too few made pictures for it.
    """
    name = f"g{network_words(network)[0]}_infinity_{role}"
    least = least_for_infinity(fakes.shape[1])
    if len(fakes) < least:
        note = (
            f"the Fréchet distance at infinity was left out: of {fakes.shape[1]} features it needs "
            f"{least} made pictures, and there are {len(fakes)}"
        )
        if note not in notes:  # said of one prior, it is said of the other
            notes.append(note)
        return []
    value = fid_infinity(fakes, moments(reals), seed=seed)
    return [Figure(name, value, "squared distance", "down", None, counts, network.to_json())]


def floor(reals: np.ndarray, network: FeatureNetwork, seed: int) -> list[Figure]:
    """Returns the distances of two random halves of the real features ``(N, D)``, remembered."""

    def compute() -> np.ndarray:
        halves = halves_floor(reals, seed)
        return np.array([halves.frechet, halves.kernel])

    content = digest(torch.from_numpy(np.ascontiguousarray(reals)))
    key = f"halves-1 {seed} {content}"
    values = remembered("floors", key, compute, 2)
    counts, units = {"half": len(reals) // 2}, ("squared distance", "squared MMD")
    return [
        Figure(f"floor_{word}", float(value), unit, "down", None, counts, network.to_json())
        for word, value, unit in zip(network_words(network), values, units, strict=True)
    ]


def covering(
    role: str,
    fakes: np.ndarray,
    reals: np.ndarray,
    network: FeatureNetwork,
    counts: Counts,
    seed: int,
) -> list[Figure]:
    """Returns precision, recall, density and coverage of features ``(N, D)`` as figures.

    As many pictures of either set, drawn at random where one has more: the figures depend on how
    many there are. They have no interval: the manifold is made of the very pictures that would be
    redrawn, and a manifold of fewer different points is another one.

    Args:
        role: ends the figures' names.
        fakes: features of made pictures.
        reals: features of real pictures.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the draw.
    """
    most = min(len(fakes), len(reals))
    if most < LEAST_COVERAGE:
        return []
    fakes, reals = (_some(x, most, seed) for x in (fakes, reals))
    found = coverage(fakes, reals)
    rows: list[tuple[str, np.ndarray, str]] = [
        ("precision", found.precision, "share, k=3"),
        ("recall", found.recall, "share, k=3"),
        ("density", found.density, "ratio, k=5"),
        ("coverage", found.coverage, "share, k=5"),
    ]
    used, of = {**counts, "compared": most}, network.to_json()
    return [
        Figure(f"{name}_{role}", float(values.mean()), unit, "up", None, used, of)
        for name, values, unit in rows
    ]


def covering_floor(reals: np.ndarray, network: FeatureNetwork, seed: int) -> list[Figure]:
    """Returns `covering` of one random half of real features ``(N, D)`` by the other."""
    order = torch.randperm(len(reals), generator=generator(seed, "halves to cover")).numpy()
    half = len(reals) // 2
    one, two = reals[order[:half]], reals[order[half : 2 * half]]
    found = covering("", one, two, network, {"half": half}, seed)
    return [replace(figure, name=f"floor_{figure.name.rstrip('_')}") for figure in found]


def diversity(
    role: str,
    fakes: np.ndarray,
    reals: np.ndarray,
    of: dict[str, str] | None,
    counts: Counts,
    seed: int,
    fake_labels: np.ndarray | None = None,
    real_labels: np.ndarray | None = None,
) -> list[Figure]:
    """Returns how far apart two pictures of a set are, as a ratio to real ones.

    The mean Euclidean distance of two made pictures over that of two real ones, and the same within
    classes where both sets have labels. Noise raises it as variety does. None of a single picture.

    Args:
        role: ends the figures' names.
        fakes: features or pixels of made pictures ``(N, D)``.
        reals: the same of real pictures.
        of: the feature network's name and hash; None: pixels.
        counts: pictures by role, for the record.
        seed: of the interval.
        fake_labels: integers ``(N,)``.
        real_labels: integers ``(M,)``.
    """
    if min(len(fakes), len(reals)) < 2:
        return []
    space = "diversity" if of else "diversity_pixels"
    a, b = (_influence(mean_distances(x)) for x in (fakes, reals))
    value, interval = ratio_of_means(a, b), bootstrap(ratio_of_means, a, b, seed=seed)
    figures = [Figure(f"{space}_{role}", value, "ratio", "one", interval, counts, of)]
    if fake_labels is None or real_labels is None:
        return figures
    try:
        of_each = ((fakes, fake_labels), (reals, real_labels))
        within = ratio_of_means(*(np.array(mean_within(x, labels)) for x, labels in of_each))
    except ValueError:  # no class has two pictures
        return figures
    name = f"{space}_within_classes_{role}"
    return [*figures, Figure(name, within, "ratio", "one", None, counts, of)]


def _influence(of_rows: np.ndarray) -> np.ndarray:
    """Returns values ``(N,)`` whose mean varies as that of all pairs does when rows are redrawn.

    A row is in a share of 2 / N of the pairs, so it moves their mean by twice what it would move
    the mean of the rows' own means. The mean stays the same.

    Source: Hoeffding 1948, the projection of a U-statistic of two arguments.
    """
    values: np.ndarray = 2 * of_rows - of_rows.mean()
    return values


def _some(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    if len(x) == count:
        return x
    order = torch.randperm(len(x), generator=generator(seed, "equal numbers"))
    some: np.ndarray = x[order[:count].numpy()]
    return some
