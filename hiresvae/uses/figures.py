"""From pictures to figures: what needs no features, a group a function; none knows a model."""

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics.cache import digest
from hiresvae.metrics.chunks import by_chunk
from hiresvae.metrics.edges import WINDOW, edge_acutance, steepness_ratio
from hiresvae.metrics.paired import WINDOW as SSIM_WINDOW
from hiresvae.metrics.paired import ms_ssim, num_scales, psnr, ssim
from hiresvae.metrics.perceptual import LEAST_SIDE, PerceptualNetwork, lpips_distance
from hiresvae.metrics.results import Better, Figure, Interval, bootstrap
from hiresvae.metrics.sharpness import laplacian_variance, variance_ratio
from hiresvae.metrics.spectrum import (
    even,
    in_rings,
    nyquist_rise,
    spectrum_gap,
    stands_out,
    total_power,
)
from hiresvae.metrics.wasserstein import PATCH, sliced_wasserstein
from hiresvae.uses.processes import by_share, remembered

Counts = dict[str, int]
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
    if fakes.shape[-2:] != reals.shape[-2:]:
        raise ValueError(f"texture is compared at one size, got {fakes.shape} and {reals.shape}")
    sharp = variance_ratio(*(by_share(laplacian_variance, x) for x in (fakes, reals)), seed=seed)
    powers = [mean_power(x) for x in (fakes, reals)]
    a, b = (in_rings(power) for power in powers)
    spectrum, excess = spectrum_gap(a, b), max(0.0, nyquist_rise(a) - nyquist_rise(b))
    rows: list[tuple[str, float, str, Better, Interval | None]] = [
        ("sharpness_ratio", sharp.value, "ratio", "one", sharp.interval),
        ("spectrum_distance", spectrum.mean_db, "dB", "down", None),
        ("spectrum_worst", spectrum.worst_share, "share", "down", None),
        ("nyquist_excess", excess, "dB", "down", None),
    ]
    if min(fakes.shape[-2:]) >= WINDOW + 2:
        edges = steepness_ratio(*(by_share(edge_acutance, x) for x in (fakes, reals)), seed=seed)
        rows.insert(1, ("acutance_ratio", edges.value, "ratio", "one", edges.interval))
    if min(fakes.shape[-2:]) >= 16:
        if fakes.shape[-2] % 2 or fakes.shape[-1] % 2:
            powers = [mean_power(even(x)) for x in (fakes, reals)]
        one, two = (stands_out(power) for power in powers)
        rows.append(("grid_peak", one / two, "ratio", "down", None))
    return [Figure(f"{name}_{role}", v, u, b, i, counts) for name, v, u, b, i in rows]


def mean_power(pictures: Tensor) -> np.ndarray:
    """Returns the mean power ``(H, W)`` of uint8 pictures ``(N, C, H, W)``, a global sum."""
    total: np.ndarray = by_share(lambda x: total_power(x)[None], pictures).sum(0)
    return total / len(pictures)


def train_spectrum(fakes: Tensor, reals: Tensor, unseen: Tensor) -> list[Figure]:
    """Returns the worst frequency of samples beside training pictures, and its floor.

    A spectrum tells nothing of copies, so the many training pictures may stand for all real ones:
    a hundred held-out pictures are themselves some 10% off at one frequency or another.

    Args:
        fakes: samples, uint8 ``(N, C, H, W)``.
        reals: training pictures, uint8 ``(M, C, H, W)``.
        unseen: held-out pictures, uint8 ``(K, C, H, W)``.
    """
    name, train, real = "spectrum_worst_train", {"train": len(reals)}, in_rings(mean_power(reals))
    rows = [
        (f"{name}_samples", fakes, {"samples": len(fakes)}),
        (f"floor_{name}", unseen, {"held_out": len(unseen)}),
    ]
    return [
        Figure(
            key,
            spectrum_gap(in_rings(mean_power(x)), real).worst_share,
            "share",
            "down",
            None,
            n | train,
        )
        for key, x, n in rows
    ]


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


def patches_floor(reals: Tensor, train: Tensor | None, seed: int) -> list[Figure]:
    """Returns the sliced Wasserstein distance of real pictures from real ones, remembered.

    Of training pictures from held-out ones, as samples are measured; where nothing is held out, of
    two halves, which are fewer and so further apart than as many samples can be.

    Args:
        reals: uint8 ``(N, C, H, W)`` in random order: the halves are cut, not copied.
        train: uint8 ``(M, C, H, W)``, as many as there are samples; None: nothing is held out.
        seed: of places and directions.
    """
    half = len(reals) // 2
    one, two = (reals[:half], reals[half : 2 * half]) if train is None else (train, reals)
    if min(len(one), len(two)) < 2 or min(reals.shape[-2:]) < PATCH:
        return []

    def compute() -> np.ndarray:
        return np.array([sliced_wasserstein(one, two, seed=seed).mean])

    key = f"swd-2 {seed} {digest(reals)}" + ("" if train is None else f" {digest(train)}")
    value = float(remembered("floors", key, compute, 1)[0])
    name, counts = "floor_swd", {"half": half}
    if train is not None:
        name, counts = "floor_swd_train", {"train": len(train), "held_out": len(reals)}
    return [Figure(name, value, "1e-3 deviations", "down", None, counts)]


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
        averaged(f"{name}_reconstructions", values, unit, better, counts, seed, network)
        for name, values, unit, better, network in rows
    ]


def thumbnails(pictures: Tensor, side: int = THUMBNAIL) -> np.ndarray:
    """Returns pictures as averaged pixels in [0, 1], float32 ``(N, C * side * side)``.

    Args:
        pictures: uint8 ``(N, C, H, W)``; smaller ones keep their pixels.
        side: of the small picture.
    """
    size = (min(side, pictures.shape[-2]), min(side, pictures.shape[-1]))

    def small(part: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(part.float() / 255, size).flatten(1)

    return by_chunk(small, pictures, size=64)


def averaged(
    name: str,
    values: np.ndarray,
    unit: str,
    better: Better,
    counts: Counts,
    seed: int,
    of: dict[str, str] | None = None,
) -> Figure:
    """Returns the mean of a value a picture ``(N,)`` with its interval, as a figure.

    Args:
        name: of the figure.
        values: of pictures that are independent of each other.
        unit: of the values.
        better: where better is.
        counts: pictures by role, for the record.
        seed: of the interval.
        of: the feature network's name and hash, if there is one.
    """
    interval = bootstrap(lambda x: float(x.mean()), values, seed=seed)
    return Figure(name, float(values.mean()), unit, better, interval, counts, of)
