"""Other views of a picture, over which a model without noise disagrees with itself.

Such a model has one answer to one picture. Where its tiles begin elsewhere, or left and right are
swapped, it answers anew; what it makes of what it knows well hardly changes by that.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hiresvae.generator import PictureModel
from hiresvae.seeding import generator


@dataclass(frozen=True)
class View:
    """How a picture is shown; the default one shows it as it is.

    Attributes:
        up: rows by which it is continued above, so that tiles begin elsewhere.
        left: columns by which it is continued on the left.
        mirrored: whether left and right are swapped.
    """

    up: int = 0
    left: int = 0
    mirrored: bool = False

    def of(self, picture: Tensor) -> Tensor:
        """Returns a picture ``(D, H, W)`` as this view shows it ``(D, H + up, W + left)``."""
        shown = picture.flip(2) if self.mirrored else picture
        return continued(shown.flip(1, 2), self.up, self.left).flip(1, 2)

    def back(self, made: Tensor) -> Tensor:
        """Returns what was made of the shown picture where it was ``(D, H, W)``."""
        own = made[:, self.up :, self.left :]
        return own.flip(2) if self.mirrored else own


def views(painter: PictureModel, count: int, seed: int = 0) -> list[View]:
    """Returns ``count`` views, the first of the picture as it is, or all that there are.

    A model with noise needs no other view than the first: it draws another answer. Of others no two
    views are alike: tiles begin up to half a tile earlier, and a model that was trained on mirrored
    pictures is shown those as well.

    Args:
        painter: the model.
        count: how many.
        seed: of where tiles begin.
    """
    if painter.model.settings.stochastic:
        return [View()] * count
    half = max(1, painter.model.size // 2)
    total = half * half * (2 if painter.settings.data.mirror else 1)
    chosen = torch.randperm(total - 1, generator=generator(seed, "views"))[: count - 1] + 1
    return [View(n // half % half, n % half, n >= half * half) for n in [0, *chosen.tolist()]]


def continued(picture: Tensor, down: int, right: int) -> Tensor:
    """Returns a picture continued below and on the right by its mirror image, again and again."""

    def order(length: int, more: int) -> Tensor:
        there_and_back = [*range(length), *reversed(range(length))]
        return torch.tensor([there_and_back[i % (2 * length)] for i in range(length + more)])

    rows, columns = order(picture.shape[1], down), order(picture.shape[2], right)
    return picture[:, rows.to(picture.device)][:, :, columns.to(picture.device)]
