import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchvision.transforms.functional import gaussian_blur

from hiresvae.metrics.paired import ms_ssim, num_scales, psnr, ssim


def test_psnr_equals_torchmetrics_pair_by_pair() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 256, (2, 5, 3, 8, 8), generator=rng).to(torch.uint8)
    theirs = peak_signal_noise_ratio(
        a.double(), b.double(), data_range=255.0, reduction="none", dim=(1, 2, 3)
    )
    np.testing.assert_allclose(psnr(a, b), theirs.numpy(), rtol=1e-6)


def test_perfect_copies_are_finite_and_shapes_must_agree() -> None:
    x = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    np.testing.assert_allclose(psnr(x, x), 10 * np.log10(255**2 * 12))
    with pytest.raises(ValueError, match="equal shapes"):
        psnr(x, x[:1])


def smooth_pairs(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    x = gaussian_blur(torch.rand(4, 3, side, side, generator=rng), 5, 1.0)
    x = ((x - 0.5) * 600 + 128).clamp(0, 255).to(torch.uint8)
    return gaussian_blur(x, 3, 0.8), x


def test_ssim_equals_scipys_windows() -> None:
    a, b = smooth_pairs(24)

    def mean(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, 1.5, truncate=3.5, mode="mirror")  # 11 x 11

    expected = []
    for one, two in zip(a.double().numpy(), b.double().numpy(), strict=True):
        maps = []
        for x, y in zip(one, two, strict=True):
            mx, my = mean(x), mean(y)
            vx, vy = mean(x * x) - mx**2, mean(y * y) - my**2
            cov = mean(x * y) - mx * my
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            maps.append(
                (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
            )
        expected.append(np.mean(maps))
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-4)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_similarity_of_copies_is_one_and_falls_with_blur_and_noise(measure) -> None:
    blurred, x = smooth_pairs(32)
    np.testing.assert_allclose(measure(x, x), 1)
    more = gaussian_blur(x, 7, 2.0)
    assert (measure(blurred, x) < 1).all() and (measure(more, x) < measure(blurred, x)).all()
    noise = 30 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    rough = (x + noise).clamp(0, 255).to(torch.uint8)
    assert (measure(rough, x) < 0.98).all()
    assert np.isfinite(measure(255 - x, x)).all()  # opposite contrast has no NaN
    with pytest.raises(ValueError, match="equal shapes"):
        measure(x, x[:1])
    with pytest.raises(TypeError, match="uint8"):
        measure(x.float(), x.float())
    with pytest.raises(ValueError, match="11 pixels"):
        measure(x[..., :10, :10], x[..., :10, :10])


def test_ms_ssim_has_the_scales_that_fit_and_weights_that_sum_to_one() -> None:
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as theirs,
    )

    assert [num_scales(side) for side in (11, 40, 44, 99, 160, 176, 512)] == [2, 2, 3, 4, 4, 5, 5]
    blurred, x = smooth_pairs(32)
    two = (0.0448 / (0.0448 + 0.2856), 0.2856 / (0.0448 + 0.2856))
    expected = theirs(
        blurred.double(), x.double(), data_range=255.0, reduction="none", betas=two,
        normalize="relu",
    )  # fmt: skip
    np.testing.assert_allclose(ms_ssim(blurred, x), expected.numpy(), rtol=1e-6)
