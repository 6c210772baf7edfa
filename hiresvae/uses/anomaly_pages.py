"""Where large pictures are unlike the training data, at their own scale.

For models that were trained on tiles: a page brought to the model's size would show nothing of what
they know. What a page is held against is the model's own picture of it, made tile by tile without
seams; of a model that was trained to take stains away, what differs is the stains.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from hiresvae.data.decode import UnreadableError, whole
from hiresvae.data.pictures import find_source
from hiresvae.data.sources import choose
from hiresvae.data.tiles import page_of
from hiresvae.generator import PictureModel
from hiresvae.images import to_float, to_uint8
from hiresvae.uses.anomaly import heat
from hiresvae.uses.restore import LARGEST, restore


def page_errors(painter: PictureModel, page: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns the model's own picture of a page, and the squared error by pixel.

    Args:
        painter: trained on tiles.
        page: uint8 ``(C, H, W)``, any height and width.
        seed: of the model's answer.

    Returns:
        uint8 ``(C, H, W)``, and float32 ``(H, W)`` in units of [-1, 1] squared, the mean of the
        channels.
    """
    again = restore(painter, page, answers=1, seed=seed).picture
    return to_uint8(again[None])[0], (again - to_float(page[None])[0]).square().mean(0)


def page_heat(squares: Tensor, level: float) -> Tensor:
    """Returns where a page is unusual ``(H, W)``: 1 is as wrong as usual pages are on average.

    Args:
        squares: squared errors ``(H, W)``.
        level: mean squared error of usual pages.
    """
    return heat(squares[None], torch.full_like(squares, level)[None])[0]


def held_out_pages(painter: PictureModel, most: int) -> Iterator[Tensor]:
    """Yields the pages of the training source that were held out, uint8 ``(C, H, W)``, ``most``.

    Those larger than what `hiresvae.uses.restore` works on are left out.
    """
    settings, data = painter.settings, painter.data()
    held = {page_of(data.names[i]) for i in data.held_out}
    items = choose(find_source(settings.data, settings.inputs).items(), settings.data.limit)
    found = (item for item in items if item.name in held)
    for _, item in zip(range(most), found, strict=False):
        raw = item.read()
        one = raw[0] if isinstance(raw, tuple) else raw
        with contextlib.suppress(UnreadableError):
            yield torch.from_numpy(whole(one, 1 if painter.model.channels == 1 else 3, LARGEST))
