from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import ModelSettings

SIZE = 16
TINY: dict[str, dict[str, Any]] = {
    "one rung": {},
    "ladder": {"pyramid": "1x1 4x2 8x1 16", "attention": [4]},
    "no vector": {"pyramid": "4x1 8x1 16"},
    "dense": {"backbone": "dense", "hidden": [20, 12, 8]},
    "classic": {"backbone": "classic"},
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same weights and pictures in whatever order the tests run."""
    torch.manual_seed(0)


@pytest.fixture(params=TINY)
def tiny(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of every kind of model in turn."""
    return TINY[request.param]


def _make(classes: int = 0, channels: int = 3, size: int = SIZE, **chosen: Any) -> VAE:
    tiny = {"latent_dim": 6, "rung_dim": 3, "width": 4, "max_width": 8}
    settings = ModelSettings(**{**tiny, "conditional": classes > 0, **chosen})
    return VAE(settings, size=size, channels=channels, classes=classes)


@pytest.fixture
def make() -> Callable[..., VAE]:
    """Makes a tiny model: (classes, channels, size, any key of the section model)."""
    return _make


@pytest.fixture
def images() -> Tensor:
    """Four colour pictures."""
    return torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def noise() -> Callable[..., Tensor]:
    """Normal numbers of one step for four rows."""
    return Noise(0, 0, Shard(4, 0, 4)).normal


@pytest.fixture
def awake() -> Callable[[nn.Module], nn.Module]:
    """Moves every weight off its start, so that nothing is the identity any more."""

    def wake(model: nn.Module) -> nn.Module:
        rng = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                # By fan-in, or the numbers of a ladder grow out of the digits of float32.
                size = 0.3 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.1
                parameter += size * torch.randn(parameter.shape, generator=rng)
        return model

    return wake
