import math

import pytest
import torch

from hiresvae.metrics.laplacian import laplacian_pyramid
from hiresvae.settings import TermSettings
from hiresvae.training.sharpening import (
    focal_frequency,
    laplacian,
    make_sharpening,
)


def pictures(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_focal_frequency_equals_its_formula_written_out(alpha):
    """Sines and cosines summed by hand, each channel with its own largest weight."""
    x, y = pictures(0, 2, 2, 4, 3), pictures(1, 2, 2, 4, 3)
    height, width = 4, 3
    for n in range(2):
        total = 0.0
        for c in range(2):
            sizes = []
            for u in range(height):
                for v in range(width):
                    a = b = 0.0
                    for i in range(height):
                        for j in range(width):
                            angle = 2 * math.pi * (u * i / height + v * j / width)
                            difference = (x[n, c, i, j] - y[n, c, i, j]).item()
                            a += difference * math.cos(angle)
                            b -= difference * math.sin(angle)
                    sizes.append(math.sqrt((a * a + b * b) / (height * width)))
            largest = max(size**alpha for size in sizes)
            total += sum(size**alpha / largest * size**2 for size in sizes)
        expected = total / (2 * height * width)
        assert focal_frequency(x, y, alpha)[n].item() == pytest.approx(expected, rel=1e-4)


def test_focal_frequency_with_weights_all_alike_is_the_squared_error():
    x, y = pictures(0, 2, 3, 8, 8), pictures(1, 2, 3, 8, 8)
    torch.testing.assert_close(focal_frequency(x, y, 0.0), (x - y).square().mean((1, 2, 3)))


def test_focal_frequency_of_equal_pictures_is_0_with_a_finite_gradient():
    x = pictures(0, 2, 3, 8, 8).requires_grad_(True)
    focal_frequency(x, x.detach()).sum().backward()
    assert focal_frequency(x, x).sum() == 0
    assert x.grad.isfinite().all() and not x.grad.any()


def test_the_weight_of_a_frequency_is_a_constant():
    """One frequency is off by d: w = 1, so the gradient is that of d^2 and not of d^3."""
    x = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    focal_frequency(x, torch.zeros(1, 1, 4, 4)).sum().backward()
    torch.testing.assert_close(x.grad, torch.full((1, 1, 4, 4), 2 * 0.5 / 16))


def by_hand(picture):
    """One level, pixel by pixel: blur, every second pixel, back by twice the blur a side."""
    weights = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]
    side = len(picture)

    def blurred(source):
        def reflect(i):
            return abs(i) if i < side else 2 * (side - 1) - i

        return [
            [
                sum(
                    weights[a + 2] * weights[b + 2] * source[reflect(i + a)][reflect(j + b)]
                    for a in range(-2, 3)
                    for b in range(-2, 3)
                )
                for j in range(side)
            ]
            for i in range(side)
        ]

    low = blurred(picture)
    spread = [
        [4 * low[i][j] if i % 2 == j % 2 == 0 else 0.0 for j in range(side)] for i in range(side)
    ]
    back = blurred(spread)
    band = [[picture[i][j] - back[i][j] for j in range(side)] for i in range(side)]
    return band, [row[::2] for row in low[::2]]


def test_the_pyramid_and_its_distance_match_by_hand():
    x, y = pictures(0, 1, 1, 8, 8), pictures(1, 1, 1, 8, 8)
    first, rest = by_hand((x - y)[0, 0].tolist())
    second, _ = by_hand(rest)
    *bands, _ = laplacian_pyramid(x - y, 2)
    for band, expected in zip(bands, (first, second), strict=True):
        torch.testing.assert_close(band[0, 0], torch.tensor(expected), atol=1e-6, rtol=1e-5)
    sums = [sum(abs(value) for row in band for value in row) for band in (first, second)]
    assert laplacian(x, y, 2).item() == pytest.approx((sums[0] + 4 * sums[1]) / 64, rel=1e-5)
    means = sums[0] / 64 + sums[1] / 16
    assert laplacian(x, y, 2).item() == pytest.approx(means, rel=1e-5), "each level by its mean"


def test_distances_are_one_a_picture_and_know_only_their_row():
    x, y = pictures(0, 3, 3, 16, 16), pictures(1, 3, 3, 16, 16)
    chosen = make_sharpening(TermSettings(focal_frequency=2.0, laplacian=0.5), "cpu", 8)
    found = chosen(x, y)
    assert {name: len(value) for name, value in found.items()} == {
        "focal_frequency": 3,
        "laplacian": 3,
    }
    for name, value in chosen(x[1:2], y[1:2]).items():
        torch.testing.assert_close(value, found[name][1:2])
    expected = 2 * found["focal_frequency"].mean() + 0.5 * found["laplacian"].mean()
    torch.testing.assert_close(chosen.loss(found), expected)


def test_nothing_is_made_where_nothing_is_asked():
    assert make_sharpening(TermSettings(), "cpu", 8) is None
    assert make_sharpening(TermSettings(features="absent.pt", features_weight=0), "cpu", 8) is None


@pytest.mark.parametrize(
    "wrong", [torch.full((1, 3, 8, 8), 255.0), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)]
)
def test_another_scale_is_refused(wrong):
    chosen = make_sharpening(TermSettings(laplacian=1.0), "cpu", 8)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        chosen(torch.zeros(1, 3, 8, 8), wrong)


def test_half_precision_is_widened():
    chosen = make_sharpening(TermSettings(focal_frequency=1.0, laplacian=1.0), "cpu", 8)
    x, y = pictures(0, 1, 3, 8, 8), pictures(1, 1, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = chosen(x.bfloat16(), y)
    assert all(value.dtype == torch.float32 for value in found.values())
    for name, value in chosen(x.bfloat16().float(), y).items():
        torch.testing.assert_close(found[name], value)
