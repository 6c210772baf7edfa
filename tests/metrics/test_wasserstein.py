import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torchvision.transforms.functional import gaussian_blur

from hiresvae.metrics import wasserstein
from hiresvae.metrics.wasserstein import sliced_wasserstein
from hiresvae.seeding import generator


def scenes(n: int, seed: int, side: int = 32, channels: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    smooth = gaussian_blur(torch.rand(n, channels, side, side, generator=rng), 5, 0.9)
    return (((smooth - 0.5) * 4 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


def test_distance_is_the_mean_of_scipys_along_the_same_directions() -> None:
    a, b = (torch.from_numpy(np.random.default_rng(i).normal(i, 1 + i, (40, 2, 7, 7))).float()
            for i in (0, 1))  # fmt: skip
    mean, std = b.mean((0, 2, 3), keepdim=True), b.std((0, 2, 3), keepdim=True)
    one, two = (((x - mean) / std).flatten(1).numpy() for x in (a, b))
    rng = generator(3, "swd", "directions")
    values = []
    for _ in range(wasserstein.REPEATS):
        directions = torch.randn(98, wasserstein.DIRECTIONS, generator=rng).numpy()
        directions /= np.linalg.norm(directions, axis=0)
        values += [wasserstein_distance(one @ d, two @ d) for d in directions.T]
    assert wasserstein._distance(a, b, 3) == pytest.approx(np.mean(values), rel=1e-4)


def test_identical_is_zero_another_draw_is_near_and_faults_are_far() -> None:
    reals, others = scenes(60, 0), scenes(60, 1)
    assert sliced_wasserstein(reals, reals).mean == 0
    found = sliced_wasserstein(others, reals, seed=2)
    assert found == sliced_wasserstein(others, reals, seed=2)
    assert list(found.by_side) == [32, 16]
    assert found.mean == pytest.approx(np.mean(list(found.by_side.values())))
    blurred = sliced_wasserstein(gaussian_blur(others, 5, 1.0), reals)
    noise = 60 * torch.randn(others.shape, generator=torch.Generator().manual_seed(0))
    rough = (others + noise).round().clamp(0, 255).to(torch.uint8)
    assert blurred.by_side[32] > 3 * found.by_side[32]
    assert sliced_wasserstein(rough, reals).by_side[32] > 2 * found.by_side[32]


def test_colour_and_contrast_are_seen() -> None:
    reals, others = scenes(60, 0), scenes(60, 1)
    floor = sliced_wasserstein(others, reals).mean
    # Standardised each by itself, all three would score as the floor does.
    pale = (others.float() * 0.6 + 51).round().to(torch.uint8)
    tinted = others.clone()
    tinted[:, 0] = (others[:, 0].float() * 0.8 + 51).round().to(torch.uint8)
    brighter = (others.float() * 0.9 + 25).round().to(torch.uint8)
    for wrong in (pale, tinted, brighter):
        assert sliced_wasserstein(wrong, reals).mean > 2 * floor


def test_many_pictures_keep_to_the_most_patches(monkeypatch) -> None:
    monkeypatch.setattr(wasserstein, "MOST_PATCHES", 50)
    for n, m in ((20, 90), (90, 20), (90, 70)):
        found = sliced_wasserstein(scenes(n, 1, 16), scenes(m, 0, 16))
        assert 0 < found.mean < 500
    # Patch i is of picture i mod n: all of them were written, each from its own picture.
    own = torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1).expand(20, 1, 16, 16)
    patches = wasserstein._patches(own.contiguous(), 50, 0)[16]
    numbers = (patches[:, 0, 0, 0] * 255).round().long()
    assert numbers.tolist() == [i % 20 for i in range(50)]


def test_grey_and_refusals() -> None:
    grey = scenes(10, 0, 16, channels=1)
    assert sliced_wasserstein(grey, grey).mean == 0
    flat = torch.zeros(10, 1, 16, 16, dtype=torch.uint8)
    assert np.isfinite(sliced_wasserstein(grey, flat).mean)
    with pytest.raises(ValueError, match="one shape"):
        sliced_wasserstein(grey, scenes(10, 0, 16))
    with pytest.raises(ValueError, match="7 pixels"):
        sliced_wasserstein(grey[..., :6, :6], grey[..., :6, :6])
    with pytest.raises(TypeError, match="uint8"):
        sliced_wasserstein(grey.float(), grey.float())
