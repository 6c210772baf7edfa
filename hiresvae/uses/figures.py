"""From pictures and features to figures: each function measures one group, none knows a model."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics.cache import digest
from hiresvae.metrics.edges import WINDOW, acutance_ratio
from hiresvae.metrics.features import FeatureNetwork
from hiresvae.metrics.frechet import Moments, frechet_distance, halves_floor, moments
from hiresvae.metrics.kernel import kernel_estimate
from hiresvae.metrics.neighbours import (
    cosine_to_nearest,
    coverage,
    kth_nearest,
    mean_distances,
    mean_within,
    memorisation,
)
from hiresvae.metrics.paired import WINDOW as SSIM_WINDOW
from hiresvae.metrics.paired import ms_ssim, num_scales, psnr, ssim
from hiresvae.metrics.perceptual import LEAST_SIDE, PerceptualNetwork, lpips_distance
from hiresvae.metrics.results import Figure, Interval, bootstrap
from hiresvae.metrics.sharpness import sharpness_ratio
from hiresvae.metrics.spectrum import grid_peak, nyquist_peak, spectrum_distance
from hiresvae.metrics.wasserstein import PATCH, sliced_wasserstein
from hiresvae.seeding import generator
from hiresvae.uses.processes import by_share, remembered

Better = Literal["up", "down"]
Counts = dict[str, int]
# Coverage needs a 5th nearest other.
LEAST_COVERAGE = 8
# Pixels are compared as pictures of this side: finer detail is never the same in two pictures.
THUMBNAIL = 16


def texture(role: str, fakes: Tensor, reals: Tensor, counts: Counts, seed: int) -> list[Figure]:
    """Returns what needs no network: sharpness, edges and spectrum of fakes beside reals.

    Args:
        role: what the fakes are; ends the figures' names.
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)``.
        counts: pictures by role, for the record.
        seed: of the interval.
    """
    sharp = sharpness_ratio(fakes, reals, seed=seed)
    spectrum = spectrum_distance(fakes, reals)
    excess = max(0.0, nyquist_peak(fakes) - nyquist_peak(reals))
    rows: list[tuple[str, float, str, Better, Interval | None]] = [
        ("sharpness_ratio", sharp.value, "ratio", "up", sharp.interval),
        ("spectrum_distance", spectrum.mean_db, "dB", "down", None),
        ("spectrum_worst", spectrum.worst_share, "share", "down", None),
        ("nyquist_excess", excess, "dB", "down", None),
    ]
    if min(fakes.shape[-2:]) >= WINDOW + 2:
        edges = acutance_ratio(fakes, reals, seed=seed)
        rows.insert(1, ("acutance_ratio", edges.value, "ratio", "up", edges.interval))
    if min(fakes.shape[-2:]) >= 16:
        rows.append(("grid_peak", grid_peak(fakes) / grid_peak(reals), "ratio", "down", None))
    return [Figure(f"{name}_{role}", v, u, b, i, counts) for name, v, u, b, i in rows]


def patches(role: str, fakes: Tensor, reals: Tensor, counts: Counts, seed: int) -> list[Figure]:
    """Returns the sliced Wasserstein distance of patches, in all and by scale, as figures.

    Args:
        role: what the fakes are; ends the figures' names.
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)`` of the same shape a picture.
        counts: pictures by role, for the record.
        seed: of places and directions.
    """
    if min(fakes.shape[-2:]) < PATCH:
        return []
    found = sliced_wasserstein(fakes, reals, seed=seed)
    figures = [Figure(f"swd_{role}", found.mean, "1e-3 deviations", "down", None, counts)]
    for side, value in found.by_side.items():
        name = f"swd_{role}_{side}px"
        figures.append(Figure(name, value, "1e-3 deviations", "down", None, counts))
    return figures


def patches_floor(reals: Tensor, seed: int) -> list[Figure]:
    """Returns the sliced Wasserstein distance of two halves of the real pictures, remembered."""
    half = len(reals) // 2
    if half < 2 or min(reals.shape[-2:]) < PATCH:
        return []

    def compute() -> np.ndarray:
        order = torch.randperm(len(reals), generator=generator(seed, "halves"))
        one, two = reals[order[:half]], reals[order[half : 2 * half]]
        return np.array([sliced_wasserstein(one, two, seed=seed).mean])

    key = f"swd-1 {seed} {digest(reals)}"
    value = float(remembered("floors", key, compute, 1)[0])
    return [Figure("floor_swd", value, "1e-3 deviations", "down", None, {"half": half})]


def paired(
    copies: Tensor,
    originals: Tensor,
    counts: Counts,
    seed: int,
    perceptual: PerceptualNetwork | None = None,
) -> list[Figure]:
    """Returns PSNR, SSIM, MS-SSIM and, where there is its network, LPIPS of reconstructions.

    Args:
        copies: uint8 ``(N, C, H, W)``.
        originals: uint8, the same shape.
        counts: pictures by role, for the record.
        seed: of the intervals.
        perceptual: from :func:`~hiresvae.metrics.perceptual.load_lpips`.
    """
    side = min(originals.shape[-2:])
    rows: list[tuple[str, np.ndarray, str, Better, dict[str, str] | None]] = [
        ("psnr", by_share(psnr, copies, originals), "dB", "up", None)
    ]
    if side >= SSIM_WINDOW:
        scales = f"index of {num_scales(side)} scales"
        rows.append(("ssim", by_share(ssim, copies, originals), "index", "up", None))
        rows.append(("ms_ssim", by_share(ms_ssim, copies, originals), scales, "up", None))
    if perceptual is not None and side >= LEAST_SIDE:
        values = by_share(lambda a, b: lpips_distance(a, b, perceptual), copies, originals)
        rows.append(("lpips", values, "distance", "down", perceptual.to_json()))
    return [
        _averaged(f"{name}_reconstructions", values, unit, better, counts, seed, network)
        for name, values, unit, better, network in rows
    ]


def distances(
    kind: str,
    fakes: np.ndarray,
    reals: np.ndarray,
    network: FeatureNetwork,
    counts: Counts,
    seed: int,
    real_moments: Moments | None = None,
) -> list[Figure]:
    """Returns Fréchet and kernel distance of features ``(N, D)`` as figures.

    Args:
        kind: such as ``g{}_fitted`` or ``r{}``; {} becomes fid and kid, or frechet and kernel where
            the network is not the Inception.
        fakes: features of made pictures.
        reals: features of real pictures.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the subsets.
        real_moments: of the real features, where they are known already.
    """
    kernel = kernel_estimate(fakes, reals, seed=seed)
    frechet = frechet_distance(fakes, real_moments or moments(reals))
    words, of = network_words(network), network.to_json()
    used = {**counts, "subset": kernel.subset_size}
    return [
        Figure(kind.format(words[0]), frechet, "squared distance", "down", None, counts, of),
        Figure(
            kind.format(words[1]), kernel.value, "squared MMD", "down", kernel.interval, used, of
        ),
    ]


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
    many there are.

    Args:
        role: ends the figures' names.
        fakes: features of made pictures.
        reals: features of real pictures.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the draw and the intervals.
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
        _averaged(f"{name}_{role}", values.astype(float), unit, "up", used, seed, of)
        for name, values, unit in rows
    ]


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
    classes where both sets have labels. Noise raises it as variety does.

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
    space = "diversity" if of else "diversity_pixels"
    # Rows of a matrix of distances depend on each other: redrawing a row's mean is approximate.
    a, b = mean_distances(fakes), mean_distances(reals)

    def ratio(x: np.ndarray, y: np.ndarray) -> float:
        return float(x.mean() / max(y.mean(), 1e-12))

    interval = bootstrap(ratio, a, b, seed=seed)
    figures = [Figure(f"{space}_{role}", ratio(a, b), "ratio", "up", interval, counts, of)]
    if fake_labels is None or real_labels is None:
        return figures
    try:
        within = mean_within(fakes, fake_labels) / max(mean_within(reals, real_labels), 1e-12)
    except ValueError:  # no class has two pictures
        return figures
    name = f"{space}_within_classes_{role}"
    return [*figures, Figure(name, within, "ratio", "up", None, counts, of)]


def memory(
    role: str,
    fakes: np.ndarray,
    train: np.ndarray,
    unseen: np.ndarray | None,
    network: FeatureNetwork,
    counts: Counts,
    seed: int,
    frechet: float | None = None,
) -> list[Figure]:
    """Returns how near made pictures are to training ones: copies, or news?

    Args:
        role: ends the figures' names.
        fakes: features of made pictures ``(N, D)``.
        train: features of the pictures trained on (or of the reference).
        unseen: features of held-out pictures, as near to the training ones as news are; or None.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the intervals.
        frechet: the Fréchet distance of the same features, for MiFID.
    """
    of, near = network.to_json(), cosine_to_nearest(fakes, train)
    unit = "1 - cosine"
    figures = [_averaged(f"nearest_{role}", near, unit, "up", counts, seed, of)]
    if unseen is not None and len(unseen) > 1:
        figures.append(_nearest_ratio(role, "", near, cosine_to_nearest(unseen, train), counts, of))
    if frechet is not None:
        word = f"gmi{network_words(network)[0]}"
        value = frechet / memorisation(fakes, train)
        figures.append(
            Figure(f"{word}_{role}", value, "squared distance", "down", None, counts, of)
        )
    return figures


def memory_pixels(
    role: str, fakes: Tensor, train: Tensor, unseen: Tensor | None, counts: Counts, seed: int
) -> list[Figure]:
    """Returns how near made pictures are to training ones in pixels; needs no network.

    Args:
        role: ends the figures' names.
        fakes: uint8 ``(N, C, H, W)``.
        train: uint8 ``(M, C, H, W)``.
        unseen: uint8 pictures never trained on, or None.
        counts: pictures by role, for the record.
        seed: of the interval.
    """
    a, b = thumbnails(fakes), thumbnails(train)
    scale = 255 / np.sqrt(a.shape[1])
    near = kth_nearest(a, b) * scale
    unit = f"levels of 255 at {THUMBNAIL} px"
    figures = [_averaged(f"nearest_pixels_{role}", near, unit, "up", counts, seed, None)]
    if unseen is not None and len(unseen) > 1:
        far = kth_nearest(thumbnails(unseen), b) * scale
        figures.append(_nearest_ratio(role, "pixels_", near, far, counts, None))
    return figures


def thumbnails(pictures: Tensor, side: int = THUMBNAIL) -> np.ndarray:
    """Returns pictures as averaged pixels in [0, 1], float32 ``(N, C * side * side)``.

    Args:
        pictures: uint8 ``(N, C, H, W)``; smaller ones keep their pixels.
        side: of the small picture.
    """
    size = (min(side, pictures.shape[-2]), min(side, pictures.shape[-1]))
    parts = [
        torch.nn.functional.adaptive_avg_pool2d(part.float() / 255, size).flatten(1)
        for part in pictures.split(64)
    ]
    return torch.cat(parts).cpu().numpy()


def network_words(network: FeatureNetwork) -> tuple[str, str]:
    """Returns what Fréchet and kernel distance are called in these features."""
    return ("fid", "kid") if network.is_inception else ("frechet", "kernel")


def _nearest_ratio(
    role: str,
    space: str,
    near: np.ndarray,
    unseen: np.ndarray,
    counts: Counts,
    of: dict[str, str] | None,
) -> Figure:
    """Returns the median nearness over that of unseen pictures: well below 1 are copies."""

    def ratio(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.median(x) / max(np.median(y), 1e-12))

    interval = bootstrap(ratio, near, unseen)
    name = f"nearest_{space}ratio_{role}"
    return Figure(name, ratio(near, unseen), "ratio", "up", interval, counts, of)


def _averaged(
    name: str,
    values: np.ndarray,
    unit: str,
    better: Better,
    counts: Counts,
    seed: int,
    of: dict[str, str] | None,
) -> Figure:
    interval = bootstrap(lambda x: float(x.mean()), values, seed=seed)
    return Figure(name, float(values.mean()), unit, better, interval, counts, of)


def _some(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    if len(x) == count:
        return x
    order = torch.randperm(len(x), generator=generator(seed, "equal numbers"))
    some: np.ndarray = x[order[:count].numpy()]
    return some
