"""What two cheap tricks do to each metric: unsharp masking, and noise over blurred pictures.

Laplacian variance is fooled by both, acutance by the first. The spectrum and the patches still tell
either from real pictures.
"""

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.metrics.edges import acutance_ratio
from hiresvae.metrics.sharpness import sharpness_ratio
from hiresvae.metrics.spectrum import spectrum_distance
from hiresvae.metrics.wasserstein import sliced_wasserstein


def leaves(n: int, seed: int, side: int = 32) -> torch.Tensor:
    """Discs of many sizes that cover each other: edges and spectrum as in photographs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: 2 * side, : 2 * side]
    out = np.empty((n, 3, side, side))
    for i in range(n):
        picture = np.full((3, 2 * side, 2 * side), rng.uniform(0, 255, (3, 1, 1)))
        for _ in range(40):
            radius = min(side, 3 / (rng.uniform() ** 0.7 + 0.02))
            cy, cx = rng.uniform(0, 2 * side, 2)
            inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
            picture[:, inside] = rng.uniform(0, 255, (3, 1))
        out[i] = picture.reshape(3, side, 2, side, 2).mean((2, 4))
    return torch.from_numpy(out).round().to(torch.uint8)


def to_uint8(x: torch.Tensor) -> torch.Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def sets() -> dict[str, torch.Tensor]:
    other = leaves(60, 1)
    blurred = gaussian_blur(other, 5, 0.8)
    f = blurred.float()
    noise = torch.randn(f.shape, generator=torch.Generator().manual_seed(0))
    return {
        "reals": leaves(60, 0),
        "others": other,
        "blurred": blurred,
        "unsharp": to_uint8(f + 2 * (f - gaussian_blur(f, 7, 1.5))),
        "noisy": to_uint8(f + 20 * noise),
    }


def test_sharpness_is_fooled_by_both_and_acutance_by_unsharp_masking(sets) -> None:
    """The reason why neither may decide alone."""

    def times(measure, trick: str) -> float:
        return measure(sets[trick], sets["reals"]).value / measure(
            sets["blurred"], sets["reals"]
        ).value  # fmt: skip

    assert times(sharpness_ratio, "unsharp") > 1.1 and times(sharpness_ratio, "noisy") > 1.1
    assert times(acutance_ratio, "unsharp") > 1.1
    # Noise widens the range around an edge as much as it steepens the edge.
    assert times(acutance_ratio, "noisy") < 1.1


@pytest.mark.parametrize("trick", ["unsharp", "noisy"])
def test_real_pictures_beat_each_trick_in_spectrum_and_patches(sets, trick: str) -> None:
    reals = sets["reals"]
    real, fake = (spectrum_distance(sets[name], reals) for name in ("others", trick))
    assert fake.mean_db > 2 * real.mean_db
    assert fake.worst_share > 2 * real.worst_share
    real_swd, fake_swd = (sliced_wasserstein(sets[name], reals) for name in ("others", trick))
    assert fake_swd.by_side[32] > 1.5 * real_swd.by_side[32]
