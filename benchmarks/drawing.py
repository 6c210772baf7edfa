"""Pictures drawn by an untrained model: a batch at a time, and one by one."""

import math
from collections.abc import Callable

import torch
from clocks import Clock, Work
from plain_loop import CLASSES

from hiresvae.generator import PictureModel
from hiresvae.images import to_uint8
from hiresvae.models.draws import FromPrior
from hiresvae.priors import Density
from hiresvae.seeding import picture_noise
from hiresvae.settings import Settings
from hiresvae.training.trainer import build


def painter_of(settings: Settings, device: str) -> PictureModel:
    """Returns an untrained model that draws from N(0, I)."""
    classes = CLASSES if settings.model.conditional else 0
    model, _ = build(settings, 3, classes)
    model = model.to(device).eval().requires_grad_(False)
    dim = model.top_dim
    prior = Density("standard", torch.zeros(1), torch.zeros(1, dim), torch.eye(dim)[None])
    names = tuple(map(str, range(classes)))
    return PictureModel(model, prior, names, (1 / CLASSES,) * classes, settings)


def sampling(settings: Settings, device: str) -> Callable[[], "Sampling"]:
    """Returns what makes a model that draws batches."""
    return lambda: Sampling(settings, device)


def plain_sampling(settings: Settings, device: str) -> Callable[[], "PlainSampling"]:
    """Returns what makes a model that draws one picture at a time."""
    return lambda: PlainSampling(settings, device)


class _Painted(Work):
    """Pictures drawn by an untrained model.

    Args:
        settings: of the run.
        device: where.
    """

    def __init__(self, settings: Settings, device: str) -> None:
        self.batch, self._painter = settings.training.batch_size, painter_of(settings, device)
        self.parameters = sum(p.numel() for p in self._painter.model.parameters())


class Sampling(_Painted):
    """A batch drawn as many at a time as the package takes, by phase."""

    def __init__(self, settings: Settings, device: str) -> None:
        super().__init__(settings, device)
        self._painter.model.in_fast_order()

    @torch.inference_mode()
    def once(self, clock: Clock) -> None:
        """Draws it."""
        # Whole parts of the batch, so that one phase stands for all of its kind.
        size = math.gcd(self.batch, self._painter.at_once(self.batch))
        self._parts = self.batch // size
        for part in range(self._parts):
            self._draw(list(range(part * size, (part + 1) * size)), clock)

    def phases(self, medians: dict[str, float]) -> dict[str, float]:
        """Returns what each phase takes of a whole batch, of the medians of its parts."""
        return {name: self._parts * median for name, median in medians.items()}

    def _draw(self, numbers: list[int], clock: Clock) -> None:
        painter = self._painter
        with clock("top latents"):
            labels = painter.drawn_labels(numbers)
            top = painter.latents(numbers, labels=labels)
        with clock("decoder"):
            noise = picture_noise(0, numbers, painter.device)
            draw = FromPrior(noise, painter.model.temperatures(), top)
            walk = painter.model.walk(draw, labels, len(numbers), noise)
            made = painter.model.likelihood(walk.head).mean
        with clock("to bytes"):
            to_uint8(made).cpu().contiguous()


class PlainSampling(_Painted):
    """As many pictures, drawn one at a time."""

    def once(self, clock: Clock) -> None:
        """Draws them."""
        with clock("pictures, one by one"):
            for number in range(self.batch):
                self._painter.sample(1, start=number)
