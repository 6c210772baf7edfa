import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.metrics.edges import acutance_ratio, edge_acutance


def steps(height: int = 200, n: int = 4, side: int = 32) -> torch.Tensor:
    """Upright steps in the middle of a dark picture."""
    x = torch.full((n, 3, side, side), 20, dtype=torch.uint8)
    x[..., side // 2 :] += height
    return x


def test_an_ideal_step_is_a_half_whatever_its_contrast() -> None:
    for height in (20, 100, 200):
        np.testing.assert_allclose(edge_acutance(steps(height)), 0.5, rtol=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_a_blurred_step_has_the_closed_form(sigma: float) -> None:
    blurred = gaussian_blur(steps(n=1).double(), 17, sigma)[..., 4:-4, 4:-4].round()
    at_the_edge = edge_acutance(blurred.to(torch.uint8))[0]
    # Central differences at the two pixels next to the step, and the part that 7 pixels see.
    from math import erf, sqrt

    def step(t: float) -> float:
        return (1 + erf(t / sigma / sqrt(2))) / 2

    slope = (step(1.5) - step(-0.5)) / 2
    seen = step(3.5) - step(-2.5)
    assert at_the_edge == pytest.approx(slope / seen, rel=0.05)


def test_blur_is_below_one_contrast_is_not_seen_and_tricks_are_not_caught() -> None:
    rng = torch.Generator().manual_seed(0)
    reals = (torch.rand(12, 3, 8, 8, generator=rng) * 200).repeat_interleave(4, 2)
    reals = reals.repeat_interleave(4, 3).to(torch.uint8)
    same = acutance_ratio(reals, reals)
    assert same.value == 1 and same.interval[0] <= 1 <= same.interval[1]
    blurred = gaussian_blur(reals, 7, 1.2)
    found = acutance_ratio(blurred, reals)
    assert found.interval[0] <= found.value <= found.interval[1] < 0.8
    assert acutance_ratio(reals // 2, reals).value == pytest.approx(1, abs=0.02)
    # Unsharp masking is what this figure cannot see through; the module says so.
    f = blurred.float()
    masked = (f + 2 * (f - gaussian_blur(f, 7, 1.5))).round().clamp(0, 255).to(torch.uint8)
    assert acutance_ratio(masked, reals).value > found.value


def test_flat_pictures_and_other_sizes() -> None:
    flat = torch.full((3, 1, 16, 16), 9, dtype=torch.uint8)
    assert np.isnan(edge_acutance(flat)).all()
    assert acutance_ratio(flat, steps(side=16)[:, :1]).value == 0
    assert np.isnan(acutance_ratio(flat, flat).value)
    with pytest.raises(ValueError, match="one size"):
        acutance_ratio(flat, steps())
    with pytest.raises(ValueError, match="9 pixels"):
        edge_acutance(flat[..., :8, :8])
