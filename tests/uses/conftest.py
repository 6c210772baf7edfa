from collections.abc import Callable

import pytest
import torch

from hiresvae.generator import PictureModel
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.settings import Settings


def _painter(classes: int = 0, source: str = "embedded:faces", **model: object) -> PictureModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tiny = {"width": 4, "max_width": 8, "latent_dim": 6, "rung_dim": 2, "conditional": classes > 0}
    labels = "set" if classes else "none"
    settings = Settings(
        data={"source": source, "size": 16, "limit": 40, "labels": labels},  # type: ignore
        model={**tiny, **model},  # type: ignore
    )
    network = VAE(settings.model, size=16, channels=3, classes=classes)
    with torch.no_grad():  # off its start, where much is zero
        for weights in network.parameters():
            size = 0.3 / weights[0].numel() ** 0.5 if weights.ndim > 1 else 0.1
            weights += size * torch.randn(weights.shape)
    network.eval().requires_grad_(False)
    dims = network.decoder.rung_list[0].shape
    count = dims[0] * dims[1] * dims[2]
    mean = 0.1 * torch.randn(1, count)
    prior = Density("gaussian", torch.zeros(1), mean, 0.5 * torch.eye(count)[None])
    names = ("neutral", "smiling")[:classes]
    return PictureModel(network, prior, names, (0.5,) * classes, settings)


@pytest.fixture(scope="session")
def make_painter() -> Callable[..., PictureModel]:
    """Makes an untrained model of 16 px: (classes, source, any key of the section model)."""
    return _painter


KINDS = {"vae": {}, "ladder": {"pyramid": "1x1 4x2 8x1 16"}, "labels": {"classes": 2}}


@pytest.fixture(scope="session", params=KINDS)
def painter(request: pytest.FixtureRequest) -> PictureModel:
    """An untrained VAE, a ladder, and a conditional VAE."""
    return _painter(**KINDS[request.param])


@pytest.fixture(scope="session")
def pictures() -> torch.Tensor:
    """Five colour pictures of 16 px."""
    rng = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 3, 16, 16), generator=rng, dtype=torch.uint8)
