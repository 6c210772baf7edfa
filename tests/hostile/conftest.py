"""A model small enough to be spoilt a hundred times, and a watch over what is written where."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

from hiresvae.generator import PictureModel
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.settings import DataSettings, ModelSettings, Settings


@pytest.fixture(scope="session")
def painter() -> PictureModel:
    """An untrained model of 16 pixels with four latent numbers and two labels."""
    torch.manual_seed(0)
    chosen = ModelSettings(width=4, max_width=8, latent_dim=4, conditional=True)
    model = VAE(chosen, size=16, channels=3, classes=2).eval()
    prior = Density(
        "classes", torch.tensor([0.5, 0.5]).log(), torch.zeros(2, 4), torch.eye(4)[None]
    )
    settings = Settings(data=DataSettings(size=16), model=chosen)
    return PictureModel(model, prior, ("a", "b"), (0.5, 0.5), settings)


@pytest.fixture
def folder(painter: PictureModel, tmp_path: Path) -> Path:
    """Its model folder."""
    path = tmp_path / "model"
    path.mkdir()
    painter.save(path)
    return path


@pytest.fixture
def harm(tmp_path: Path) -> Callable[[], object]:
    """Makes an object whose unpickling writes a file."""

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return (open, (str(tmp_path / "harm"), "w"))

    return Harm


@pytest.fixture
def nothing_beside(tmp_path: Path) -> Callable[..., AbstractContextManager[None]]:
    """A context at whose end nothing new lies below the test's folder but inside those named."""

    @contextmanager
    def watch(*allowed: Path) -> Iterator[None]:
        def seen() -> set[Path]:
            return {p for p in tmp_path.rglob("*") if not any(p.is_relative_to(a) for a in allowed)}

        before = seen()
        yield
        assert seen() == before

    return watch
