import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.metrics.spectrum import (
    grid_peak,
    nyquist_rise,
    radial_power,
    spectrum_distance,
)


def noise(n: int = 40, side: int = 32, std: float = 20.0, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = 128 + std * torch.randn(n, 1, side, side, generator=rng)
    return x.round().clamp(0, 255).to(torch.uint8)


def natural(n: int = 40, side: int = 32) -> torch.Tensor:
    """Noise whose amplitude falls as 1 / frequency, as in photographs."""
    rng = torch.Generator().manual_seed(1)
    f = torch.fft.fft2(torch.randn(n, 1, side, side, generator=rng))
    fy, fx = torch.fft.fftfreq(side)[:, None], torch.fft.fftfreq(side)[None]
    x = torch.fft.ifft2(f / torch.hypot(fy, fx).clamp(min=1 / side)).real
    x = 128 + 40 * x / x.std()
    return x.round().clamp(0, 255).to(torch.uint8)


def grid(pictures: torch.Tensor, kind: str, height: int) -> torch.Tensor:
    y, x = torch.meshgrid(*(torch.arange(n) for n in pictures.shape[-2:]), indexing="ij")
    pattern = {"checkerboard": x + y, "rows": y, "columns": x}[kind] % 2
    return (pictures.int() + height * (2 * pattern - 1)).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("side", [32, 33])
def test_white_noise_is_flat_at_its_variance(side: int) -> None:
    spectrum = radial_power(noise(200, side))
    assert spectrum.frequency[0] == pytest.approx(1 / side)
    assert spectrum.frequency[-1] <= 0.5
    variance = 20**2 / 255**2
    # The lowest ring is poorer: the mean that was taken off is part of it.
    np.testing.assert_allclose(spectrum.log_power[1:], np.log10(variance), atol=0.08)


def test_a_wave_lies_at_its_frequency() -> None:
    x = torch.arange(64)
    wave = 128 + 60 * torch.cos(2 * torch.pi * 12 * x / 64)
    picture = wave.round().to(torch.uint8).expand(1, 3, 64, 64)
    spectrum = radial_power(picture)
    assert spectrum.frequency[spectrum.log_power.argmax()] == pytest.approx(12 / 64)


def test_identical_sets_are_no_distance_apart() -> None:
    assert spectrum_distance(natural(), natural()) == (0, 0)


def test_half_the_contrast_is_six_decibel() -> None:
    a, b = noise(300, std=15, seed=2), noise(300, std=30)
    distance = spectrum_distance(a, b)
    assert distance.mean_db == pytest.approx(20 * np.log10(2), abs=0.2)
    assert distance.worst_share == pytest.approx(0.75, abs=0.05)


def test_blur_and_noise_both_show() -> None:
    reals = natural()
    blurred = spectrum_distance(gaussian_blur(reals, 5, 1.0), reals)
    half = spectrum_distance(gaussian_blur(reals, 5, 0.5), reals)
    assert blurred.mean_db > half.mean_db > 0.5
    rough = reals + 40.0 * torch.randn(reals.shape, generator=torch.Generator().manual_seed(3))
    rough = rough.clamp(0, 255).to(torch.uint8)
    assert spectrum_distance(rough, reals).worst_share > 1


def test_other_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        spectrum_distance(noise(2, 16), noise(2, 32))


def test_nyquist_peak_of_natural_white_and_pixel_patterns() -> None:
    assert nyquist_rise(radial_power(natural())) < -1
    assert abs(nyquist_rise(radial_power(noise(200)))) < 0.5
    assert nyquist_rise(radial_power(grid(natural(), "rows", 20))) > 3


def test_every_side_has_all_the_bands() -> None:
    for side in range(8, 34):
        pictures = noise(4, side)
        assert np.isfinite(nyquist_rise(radial_power(pictures)))
        assert spectrum_distance(pictures, pictures) == (0, 0)


@pytest.mark.parametrize("kind", ["checkerboard", "rows", "columns"])
def test_grids_are_found_and_their_absence_too(kind: str) -> None:
    clean = natural()
    assert grid_peak(clean) < 2
    assert grid_peak(grid(clean, kind, 4)) > 10
    assert grid_peak(grid(clean, kind, 8)) > grid_peak(grid(clean, kind, 4))


def test_grid_peak_takes_odd_sides_and_refuses_tiny_ones() -> None:
    odd = natural(40, 33)
    assert grid_peak(odd) < 2
    assert grid_peak(grid(odd, "checkerboard", 6)) > 10
    with pytest.raises(ValueError, match="16 pixels"):
        grid_peak(noise(2, 8))
