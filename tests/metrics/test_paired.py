import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from hiresvae.metrics.paired import psnr


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
