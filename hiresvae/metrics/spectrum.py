"""How power is spread over frequencies: missing detail, surplus noise and grids show here."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hiresvae.metrics.sharpness import CHUNK, luma

# A picture without any power at a frequency must still have a logarithm.
TINY = 1e-12


class Spectrum(NamedTuple):
    """Mean power by frequency.

    Attributes:
        frequency: cycles per pixel ``(R,)``, above 0 and up to Nyquist (0.5).
        log_power: log10 of the mean power ``(R,)``; white noise of variance v has power v at every
            frequency (brightness in [0, 1]).
    """

    frequency: np.ndarray
    log_power: np.ndarray


class SpectrumDistance(NamedTuple):
    """How far two spectra lie apart up to 3/4 of Nyquist.

    Attributes:
        mean_db: mean absolute ratio of powers in decibel.
        worst_share: largest relative deviation from the reference's power; 0.5 is half as much
            or half more.
    """

    mean_db: float
    worst_share: float


def total_power(pictures: Tensor) -> np.ndarray:
    """Returns the power ``(H, W)`` of the two-dimensional spectrum, summed, frequency 0 first.

    Each picture's mean is taken off and a Hann window laid over it, so that neither its brightness
    nor its borders, which do not meet, leak into other frequencies.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
    """
    h, w = pictures.shape[-2:]
    window = torch.outer(torch.hann_window(h), torch.hann_window(w)).double()
    window = window.to(pictures.device)
    total = torch.zeros(h, w, dtype=torch.float64, device=pictures.device)
    for part in pictures.split(CHUNK):
        y = luma(part).double()
        y = (y - y.mean(dim=(1, 2), keepdim=True)) * window
        total += torch.fft.fft2(y).abs().square().sum(0)
    return (total / window.square().sum()).cpu().numpy()


def radial_power(pictures: Tensor) -> Spectrum:
    """Returns the log mean power at each distance from frequency 0, up to Nyquist.

    Args:
        pictures: uint8 ``(N, C, H, W)``; rings are one cycle per shorter side wide.
    """
    return in_rings(total_power(pictures) / len(pictures))


def in_rings(power: np.ndarray) -> Spectrum:
    """Returns :func:`radial_power` of pictures whose mean power is ``(H, W)``."""
    side = min(power.shape)
    fy, fx = (np.fft.fftfreq(n) for n in power.shape)
    ring = np.rint(np.hypot(fy[:, None], fx[None, :]) * side).astype(int)
    rings = side // 2
    # Ring 0 is the brightness that was taken off; the corners beyond Nyquist are no full rings.
    inside = (ring >= 1) & (ring <= rings)
    total = np.bincount(ring[inside], power[inside], rings + 1)[1:]
    count = np.bincount(ring[inside], minlength=rings + 1)[1:]
    return Spectrum(np.arange(1, rings + 1) / side, np.log10(total / count + TINY))


def spectrum_distance(fakes: Tensor, reals: Tensor) -> SpectrumDistance:
    """Returns how far the spectrum of fakes lies from that of reals, up to 3/4 of Nyquist.

    Above that, JPEG and resizing of the real pictures weigh more than what they show.

    Args:
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)`` of the same height and width.

    Raises:
        ValueError: the sides differ.
    """
    if fakes.shape[-2:] != reals.shape[-2:]:
        sides = f"{tuple(fakes.shape[-2:])} and {tuple(reals.shape[-2:])}"
        raise ValueError(f"spectra are compared at one size, got {sides}")
    return spectrum_gap(radial_power(fakes), radial_power(reals))


def spectrum_gap(a: Spectrum, b: Spectrum) -> SpectrumDistance:
    """Returns how far a spectrum lies from that of reference pictures of the same sides, ``b``."""
    ratio = (a.log_power - b.log_power)[a.frequency <= 0.375]
    worst = np.abs(10**ratio - 1).max()
    return SpectrumDistance(float(10 * np.abs(ratio).mean()), float(worst))


def nyquist_rise(spectrum: Spectrum) -> float:
    """Returns how far the power next to Nyquist rises above that at 3/4 of it, in decibel.

    Real pictures fall towards Nyquist (below 0); a pixel-wide pattern rises there.
    """
    frequency, log_power = spectrum
    # Bands so wide that pictures of 8 pixels and more have a ring in each.
    top = log_power[frequency > 0.44].mean()
    below = log_power[(frequency > 0.3) & (frequency < 0.42)].mean()
    return float(10 * (top - below))


def grid_peak(pictures: Tensor) -> float:
    """Returns how far a two-pixel grid stands out of its surroundings, as a ratio of powers.

    The largest of three ratios: power of the checkerboard, of rows and of columns that alternate,
    each over the median of frequencies 3 to 5 steps away. About 1 without a grid; transposed
    convolutions with uneven overlap give much more.

    Args:
        pictures: uint8 ``(N, C, H, W)``, at least 16 pixels a side.

    Source: Odena et al., Deconvolution and checkerboard artifacts, Distill 2016.
    """
    return stands_out(total_power(even(pictures)) / len(pictures))


def even(pictures: Tensor) -> Tensor:
    """Returns pictures without an odd last row or column: only even sides have a two-pixel grid."""
    h, w = pictures.shape[-2:]
    return pictures[..., : h - h % 2, : w - w % 2]


def stands_out(power: np.ndarray) -> float:
    """Returns :func:`grid_peak` of pictures of even sides whose mean power is ``(H, W)``."""
    h, w = power.shape
    if min(h, w) < 16:
        raise ValueError(f"a grid is looked for in pictures of 16 pixels or more, got {h} x {w}")
    power = power + TINY
    away = np.array([-5, -4, -3, 3, 4, 5])

    def over_its_surroundings(y: int, x: int) -> float:
        # Upright and level edges fill the axes with power, so a peak on an axis is held against
        # its neighbours on that axis; the corner lies on none and may use both directions.
        rows, columns = power[(y + away) % h, x], power[y, (x + away) % w]
        around = rows if x == 0 else columns if y == 0 else np.concatenate([rows, columns])
        return float(power[y, x] / np.median(around))

    places = ((h // 2, w // 2), (0, w // 2), (h // 2, 0))
    return max(over_its_surroundings(y, x) for y, x in places)
