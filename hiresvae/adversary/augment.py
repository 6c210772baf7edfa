"""Differentiable augmentation of all that the critic sees (Zhao et al. 2020, arXiv 2006.10738).

A critic that sees a thousand pictures soon knows them by heart. Shifted, cut and recoloured they
are many more; because real and fake pictures are changed alike, and the gradient passes through,
the model is not taught to paint the changes.

Everything is built from operations that can be differentiated twice, for the gradient penalties.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from hiresvae.adversary.geometry import mirrored, turned, warped
from hiresvae.seeding import Noise

SHIFT = 0.125
"""Largest translation as a share of the side."""


NUMBERS = 7
GEOMETRY = 4
KINDS = ("mirror", "turns", "affine", "color", "translation", "cutout")
"""In the order in which they are applied."""

MOST = 0.8
"""Largest probability of `GEOMETRIC` kinds, and the largest that adapts. A picture that is always
flipped or turned cannot be told from one that shows the world so: the model would learn to paint
it. As long as most rows are upright, upright is the likeliest explanation (arXiv 2006.06676,
section 2.2 and figure 4)."""
GEOMETRIC = KINDS[:3]


@dataclass(frozen=True)
class Change:
    """One random change for every row: the same rows changed alike can be compared.

    Attributes:
        numbers: uniform in [0, 1) ``(N, 7)``: brightness, saturation, contrast, two shifts and the
            two centres of the hole.
        kinds: which of `KINDS` are applied.
        geometry: uniform in [0, 1) ``(N, 4)``: mirror, turn, zoom, angle; None without those.
        applied: bool ``(N, 6)`` by `KINDS`, which rows are changed; None: all.
    """

    numbers: Tensor
    kinds: tuple[str, ...]
    geometry: Tensor | None = None
    applied: Tensor | None = None

    @classmethod
    def drawn(
        cls, noise: Noise, kinds: Sequence[str], probability: Tensor | float = 1.0
    ) -> "Change":
        """Returns the change of a step's rows, each kind and row drawn by itself.

        Args:
            noise: numbers of this step.
            kinds: which of `KINDS`.
            probability: of each kind in each row; of geometric kinds at most `MOST`.
        """
        geometric = any(kind in GEOMETRIC for kind in kinds)
        numbers = noise.uniform("augment", NUMBERS)
        geometry = noise.uniform("augment geometry", GEOMETRY) if geometric else None
        if isinstance(probability, float) and probability >= 1 and not geometric:
            return cls(numbers, tuple(kinds))
        chance = noise.uniform("augment chance", len(KINDS))
        limit = _most(chance.device).clamp_max(probability)
        return cls(numbers, tuple(kinds), geometry, chance < limit)

    def rows(self, chosen: Tensor | slice) -> "Change":
        """Returns the change of some rows."""
        geometry = None if self.geometry is None else self.geometry[chosen]
        applied = None if self.applied is None else self.applied[chosen]
        return Change(self.numbers[chosen], self.kinds, geometry, applied)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the images ``(N, C, H, W)`` changed."""
        for column, kind in enumerate(KINDS):
            if kind not in self.kinds:
                continue
            changed = self._one(kind, images)
            if self.applied is not None:
                rows = self.applied[:, column, None, None, None]
                changed = torch.where(rows, changed, images)
            images = changed
        return images

    def _one(self, kind: str, images: Tensor) -> Tensor:
        """Returns the images changed by one kind."""
        if kind == "color":
            return _color(images, self.numbers[:, :3])
        if kind == "translation":
            return _translate(images, self.numbers[:, 3:5])
        if kind == "cutout":
            return _cut(images, self.numbers[:, 5:7])
        assert self.geometry is not None
        mirror, turn, zoom, angle = self.geometry.unbind(1)
        if kind == "mirror":
            return mirrored(images, mirror)
        if kind == "turns":
            return turned(images, turn)
        return warped(images, zoom, angle)


@lru_cache
def _most(device: torch.device) -> Tensor:
    """Returns the largest probability of each kind ``(6,)``; kept, so that no step sends it."""
    return torch.tensor([MOST if kind in GEOMETRIC else 1.0 for kind in KINDS], device=device)


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
