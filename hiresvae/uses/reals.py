"""The pictures of an evaluation: real ones as they are drawn, and room for many made ones."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hiresvae.autoencoding import CorruptionSettings
from hiresvae.images import middle
from hiresvae.seeding import generator
from hiresvae.training.corruption import damaged
from hiresvae.uses.processes import refuse_other_pictures

if TYPE_CHECKING:
    from hiresvae.data import PictureData

# Real pictures in the features' statistics: enough for 2048 dimensions, minutes on two cores.
MOST_REALS = 2000
# More bytes of pictures than this lie in a file that the system pages, not in memory.
IN_MEMORY = 256 << 20
# Pictures that are read at a time.
BLOCK = 256


@dataclass(frozen=True)
class Reals:
    """The real pictures against which is measured.

    Attributes:
        train: uint8 ``(N, C, H, W)`` of the training part in random order, or as many of
            them as were asked for.
        held_out: uint8 ``(M, C, H, W)`` never trained on, as many at most; the training part
            where nothing is held out.
        has_held_out: whether ``held_out`` is what it says.
        blocks: gives all pictures of the training part, however many, uint8 ``(n, C, H, W)`` at a
            time.
        total: how many these are.
        name: what the training part is called: ``train``, or ``reference`` where others stand for
            the pictures that were trained on.
        train_labels: int64 ``(N,)``, or None.
        inputs: what the encoder sees in place of ``held_out``, where the data has it.
    """

    train: Tensor
    held_out: Tensor
    has_held_out: bool
    blocks: Callable[[], Iterator[Tensor]]
    total: int
    name: str = "train"
    train_labels: np.ndarray | None = None
    inputs: Tensor | None = None

    @classmethod
    def of(
        cls, data: "PictureData", size: int, most: int = MOST_REALS, name: str = "train"
    ) -> "Reals":
        """Returns the real pictures of opened data, cut to their middle of ``size`` pixels.

        The draw is the same for every seed of the evaluation, so that the features of real
        pictures are computed once and two evaluations differ by what was made alone.

        Args:
            data: with a training part; its held-out part may be empty.
            size: side in pixels.
            most: pictures of a part.
            name: what the training part is called.

        Raises:
            UserError: not all processes have the same pictures.
        """
        refuse_other_pictures(data)

        def read(indices: np.ndarray, store: np.ndarray = data.pictures) -> Iterator[Tensor]:
            for span in _spans(len(indices)):
                rows = indices[span.start : span.stop]
                yield middle(store[rows], size).contiguous()

        def some(indices: np.ndarray, part: str) -> tuple[Tensor, np.ndarray]:
            order = torch.randperm(len(indices), generator=generator(0, "reals", part))
            chosen = indices[order[:most].numpy()]
            return filled(len(chosen), read(chosen)), chosen

        train, chosen = some(data.train, "train")
        held_out, unseen = train, chosen
        if len(data.held_out):
            held_out, unseen = some(data.held_out, "held_out")
        inputs = None
        if data.inputs is not None:
            inputs = filled(len(unseen), read(unseen, data.inputs))
        return cls(
            train,
            held_out,
            has_held_out=len(data.held_out) > 0,
            blocks=lambda: read(data.train),
            total=len(data.train),
            name=name,
            train_labels=None if data.labels is None else np.asarray(data.labels)[chosen],
            inputs=inputs,
        )

    def seen(self, corruption: CorruptionSettings | None, seed: int) -> Tensor | None:
        """Returns what a model's encoder is to see of ``held_out``, or None if that is not known.

        Args:
            corruption: of the model's settings.
            seed: of the noise.
        """
        return encoder_sees(self.held_out, self.inputs, corruption, seed)

    @property
    def role(self) -> str:
        """What the pictures are called that stand for the unseen ones."""
        return "held_out" if self.has_held_out else self.name


def encoder_sees(
    pictures: Tensor, inputs: Tensor | None, corruption: CorruptionSettings | None, seed: int
) -> Tensor | None:
    """Returns what a model's encoder is to see in place of pictures; None if that is not known.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
        inputs: what the data has beside them, or None.
        corruption: of the model's settings.
        seed: of the noise.
    """
    if corruption is None:
        return pictures
    if corruption.kind == "pairs":
        return inputs
    parts = (
        damaged(pictures[span.start : span.stop], corruption, span, seed)
        for span in _spans(len(pictures))
    )
    return filled(len(pictures), parts)


def _spans(count: int) -> Iterator[range]:
    """Yields the numbers 0 to count - 1, `BLOCK` at a time."""
    for first in range(0, count, BLOCK):
        yield range(first, min(first + BLOCK, count))


def filled(count: int, batches: Iterable[Tensor], progress: str | None = None) -> Tensor:
    """Returns uint8 pictures ``(count, C, H, W)`` put together from batches, one after another.

    Large sets lie in a nameless temporary file, so that memory holds what is being looked at.

    Args:
        count: pictures in all batches.
        batches: uint8 ``(n, C, H, W)``.
        progress: words of a bar on stderr, if that is a terminal.
    """
    from hiresvae.data.progress import bar

    out, done = torch.zeros(0, 1, 1, 1, dtype=torch.uint8), 0
    with bar(progress is not None) as shown:
        task = shown.add_task(progress or "", total=count)
        for batch in batches:
            if done == 0:
                out = _room((count, *batch.shape[1:]))
            out[done : done + len(batch)] = batch
            done += len(batch)
            shown.update(task, completed=done)
    return out


def _room(shape: tuple[int, ...]) -> Tensor:
    if np.prod(shape, dtype=np.int64) <= IN_MEMORY:
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.TemporaryFile() as file:  # the map outlives the name and the handle
        return torch.from_numpy(np.memmap(file, np.uint8, "w+", shape=shape))
