import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.metrics.sharpness import laplacian_variance, luma, sharpness_ratio


def scenes(n: int = 12, side: int = 32, channels: int = 3) -> torch.Tensor:
    """Smooth scenes with some edges: blurred noise, then a few levels."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(n, channels, side, side, generator=rng)
    smooth = gaussian_blur(noise, 9, 2.0)
    return (((smooth - smooth.mean()) * 8 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


def noisy(pictures: torch.Tensor) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    noise = 12 * torch.randn(pictures.shape, generator=rng)
    return (pictures + noise).round().clamp(0, 255).to(torch.uint8)


def test_luma_of_grey_is_the_same_with_one_channel_or_three() -> None:
    grey = scenes(channels=1)
    torch.testing.assert_close(luma(grey), luma(grey.expand(-1, 3, -1, -1)))
    assert luma(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)).max() == pytest.approx(1)
    with pytest.raises(TypeError, match="uint8"):
        luma(grey.float())


def test_laplacian_variance_of_a_known_picture() -> None:
    # A checkerboard of 0 and 1: the Laplacian is +4 on zeros and -4 on ones.
    y, x = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    board = ((x + y) % 2 * 255).to(torch.uint8)[None, None]
    flat_and_slope = torch.stack([torch.full((8, 8), 90), x * 20]).to(torch.uint8)[:, None]
    values = laplacian_variance(torch.cat([board, flat_and_slope]))
    np.testing.assert_allclose(values, [16, 0, 0], atol=1e-9)


def test_blurred_below_one_noisy_above_identical_one() -> None:
    reals = scenes()
    same = sharpness_ratio(reals, reals)
    assert same.value == 1
    assert same.interval[0] < 1 < same.interval[1]
    blurred = sharpness_ratio(gaussian_blur(reals, 5, 1.0), reals)
    assert blurred.interval[1] < 1
    rough = sharpness_ratio(noisy(reals), reals)
    assert rough.interval[0] > 1
    assert blurred.interval[0] <= blurred.value <= blurred.interval[1]


def test_a_ratio_to_no_sharpness_is_no_number_and_other_sides_are_refused() -> None:
    flat = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    ratio, interval = sharpness_ratio(flat, flat)
    assert np.isnan([ratio, *interval]).all()
    assert sharpness_ratio(flat, scenes(3, 8, 1)).value == 0
    with pytest.raises(ValueError, match="one size"):
        sharpness_ratio(flat, torch.zeros(3, 1, 16, 16, dtype=torch.uint8))
