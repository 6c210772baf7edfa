from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae import generator
from hiresvae.generator import PictureModel
from hiresvae.images import save
from hiresvae.metrics import features, perceptual
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.settings import DataSettings, Settings
from hiresvae.uses import evaluate as uses


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
    count = network.top_dim
    mean = 0.1 * torch.randn(1, count)
    prior = Density("gaussian", torch.zeros(1), mean, 0.5 * torch.eye(count)[None])
    names = ("neutral", "smiling")[:classes]
    return PictureModel(network, prior, names, (0.5,) * classes, settings)


@pytest.fixture(scope="session")
def make_painter() -> Callable[..., PictureModel]:
    """Makes an untrained model of 16 px: (classes, source, any key of the section model)."""
    return _painter


@pytest.fixture(scope="session")
def make_ladder() -> Callable[..., PictureModel]:
    """Makes a ladder of 16 px with three labels of unlike shares: (any key of the section model).

    It has no prior.
    """

    def make(**model: object) -> PictureModel:
        torch.manual_seed(0)
        tiny = {"pyramid": "1x1 4x1 8 16", "width": 4, "max_width": 8, "latent_dim": 6}
        settings = Settings(data={"size": 16}, model={**tiny, "rung_dim": 2, **model})  # type: ignore
        network = VAE(settings.model, size=16, channels=3, classes=3)
        for weight in network.parameters():  # what starts at zero says nothing
            weight.data += 0.02 * torch.randn(weight.shape)
        network.eval().requires_grad_(False)
        return PictureModel(network, None, ("a", "b", "c"), (0.5, 0.3, 0.2), settings)  # type: ignore

    return make


@pytest.fixture(scope="session")
def noise_pictures() -> Callable[..., torch.Tensor]:
    """Makes colour pictures of 16 px: (how many), the first always the same."""

    def make(n: int = 7) -> torch.Tensor:
        rng = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (n, 3, 16, 16), generator=rng, dtype=torch.uint8)

    return make


KINDS = {
    "vae": {},
    "ladder": {"pyramid": "1x1 4x2 8x1 16"},
    "top rungs": {"pyramid": "1x1 4x2 8x1 16", "top_rungs": 3},
    "labels": {"classes": 2},
}


@pytest.fixture(scope="session", params=KINDS)
def painter(request: pytest.FixtureRequest) -> PictureModel:
    """An untrained VAE, a ladder, one whose prior is of three rungs, and a conditional VAE."""
    return _painter(**KINDS[request.param])


@pytest.fixture(scope="session")
def pictures() -> torch.Tensor:
    """Five colour pictures of 16 px."""
    rng = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (5, 3, 16, 16), generator=rng, dtype=torch.uint8)


def _scenes(n: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    smooth = gaussian_blur(torch.rand(n, 3, 16, 16, generator=rng), 5, 1.0)
    return (((smooth - 0.5) * 4 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass
class Data:
    pictures: np.ndarray
    train: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None = None
    inputs: np.ndarray | None = None


class Model:
    """Samples are real-looking from the fitted prior, noise from N(0, I); copies are blurred."""

    settings = Settings(data=DataSettings(size=16))
    model = SimpleNamespace(channels=3)
    held_out = 12
    labelled = False

    def data(self) -> Data:
        x = _scenes(60, 0).numpy()
        # Stored larger than shown, as with random crops: the middle is what counts.
        x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        labels = np.arange(60) % 3 if self.labelled else None
        return Data(x, np.arange(60 - self.held_out), np.arange(60 - self.held_out, 60), labels)

    def drawn_labels(self, numbers: list[int], *, seed: int = 0) -> torch.Tensor | None:
        return torch.tensor(numbers) % 3 if self.labelled else None

    def sample_batches(self, count: int, *, seed: int = 0, prior: str = "fitted", start: int = 0):
        if prior == "fitted":
            made = _scenes(start + count, seed + 1)
        else:
            rng = torch.Generator().manual_seed(seed)
            shape = (start + count, 3, 16, 16)
            made = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
        yield from made[start:].split(16)

    def reconstruct_batches(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        yield from gaussian_blur(images, 3, 0.7).split(32)


@pytest.fixture(scope="session")
def scenes() -> Callable[[int, int], torch.Tensor]:
    """Makes smooth pictures: (how many, seed) -> uint8 (n, 3, 16, 16)."""
    return _scenes


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model under any name, a cache of the test's own, no weights and no network."""
    found = Model()

    def no_network(*_):
        raise OSError("no network in tests")

    monkeypatch.setattr(generator, "load", lambda name, device=None: found)
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    monkeypatch.setattr(features, "_download", no_network)
    monkeypatch.setattr(perceptual, "_download", no_network)
    # The stub has no likelihood; what is asked of it is all but that.
    wanted = dict(uses.GROUPS)
    wanted.pop("likelihood")
    monkeypatch.setattr("hiresvae.uses.plan.GROUPS", wanted)
    return found


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Path]:
    """Writes folders of pictures: (name, pictures, ending) -> path."""

    def write(name: str, pictures: torch.Tensor, kind: str = "png") -> Path:
        for i, picture in enumerate(pictures):
            save(picture, tmp_path / name / f"{i}.{kind}")
        return tmp_path / name

    return write
