"""Differentiable augmentation of all that the critic sees (Zhao et al. 2020, arXiv 2006.10738).

A critic that sees a thousand pictures soon knows them by heart. Shifted, cut and recoloured they
are many more; because real and fake pictures are changed alike, and the gradient passes through,
the model is not taught to paint the changes.

Everything is built from operations that can be differentiated twice, for the gradient penalties.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SHIFT = 0.125
"""Largest translation as a share of the side."""


@dataclass(frozen=True)
class Change:
    """One random change for every row: the same rows changed alike can be compared.

    Attributes:
        numbers: uniform in [0, 1) ``(N, 7)``: brightness, saturation, contrast, two shifts and the
            two centres of the hole.
        kinds: which of color, translation, cutout are applied.
    """

    numbers: Tensor
    kinds: tuple[str, ...]

    def rows(self, chosen: Tensor | slice) -> "Change":
        """Returns the change of some rows."""
        return Change(self.numbers[chosen], self.kinds)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the images ``(N, C, H, W)`` changed."""
        if "color" in self.kinds:
            images = _color(images, self.numbers[:, :3])
        if "translation" in self.kinds:
            images = _translate(images, self.numbers[:, 3:5])
        if "cutout" in self.kinds:
            images = _cut(images, self.numbers[:, 5:7])
        return images


NUMBERS = 7


def _color(images: Tensor, numbers: Tensor) -> Tensor:
    """Brightness +-0.5, saturation 0 to 2 about the pixel's grey, contrast 0.5 to 1.5."""
    brightness, saturation, contrast = numbers[:, :, None, None, None].to(images.dtype).unbind(1)
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * (contrast + 0.5)


def _translate(images: Tensor, numbers: Tensor) -> Tensor:
    """Shifts by up to an eighth of the side; what comes in is 0."""
    for axis in (2, 3):
        side = images.shape[axis]
        reach = int(side * SHIFT + 0.5)
        shift = (numbers[:, axis - 2] * (2 * reach + 1)).long() - reach
        source = torch.arange(side, device=images.device)[None] - shift[:, None]
        view = (-1, 1, side, 1) if axis == 2 else (-1, 1, 1, side)
        inside = ((source >= 0) & (source < side)).view(view)
        index = source.clamp(0, side - 1).view(view).expand_as(images)
        images = images.gather(axis, index) * inside
    return images


def _cut(images: Tensor, numbers: Tensor) -> Tensor:
    """Sets a square of half the side to 0; its centre may lie anywhere."""
    masks = []
    for axis in (2, 3):
        side = images.shape[axis]
        centre = (numbers[:, axis - 2] * (side + 1)).floor()
        place = torch.arange(side, device=images.device) + 0.5
        near = (place[None] - centre[:, None]).abs() < side / 4
        masks.append(near)
    hole = masks[0][:, None, :, None] & masks[1][:, None, None, :]
    return images * ~hole
