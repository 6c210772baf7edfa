"""What a model forgets of a picture, given back to what an edit made of it."""

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

NEAR = 1 / 16
"""Of the side: how far around a pixel is looked at."""
WIDE = 1 / 8
"""Of the side: changes wider than this, such as of light or skin, go with any detail."""


def give_back(edited: Tensor, unedited: Tensor, originals: Tensor, share: float = 1.0) -> Tensor:
    """Returns edited pictures with what the model had forgotten of the originals.

    The residual, original less reconstruction, is added where the edit leaves the structure as it
    was. Where it draws another one, such as a mouth that opens, the old one would shine through; so
    there the edit has it to itself. Which of the two it is, is told as by Wiener's filter: the
    residual's weight is its share of the energy that it and the edit's fine change have together.

    Args:
        edited: uint8 ``(*, C, S, S)``: what the model makes of each picture.
        unedited: what it makes of them without the edit, of a shape that goes with that.
        originals: the pictures themselves, as ``unedited``.
        share: of the residual: 0 leaves what the model made, with 1 an edit of nothing is the
            picture itself.

    Returns:
        uint8, as ``edited``.
    """
    start = unedited.float()
    residual, change = share * (originals.float() - start), edited.float() - start
    lost, fine = _energy(residual), _energy(change - _blurred(change, WIDE))
    weight = lost / (lost + fine).clamp_min(torch.finfo(lost.dtype).tiny)
    return (edited + weight * residual).round().clamp(0, 255).byte()


def _energy(pictures: Tensor) -> Tensor:
    """Returns the mean square around each pixel, ``(*, 1, S, S)``."""
    return _blurred(pictures.square().mean(-3, keepdim=True), NEAR)


def _blurred(pictures: Tensor, share: float) -> Tensor:
    side = min(pictures.shape[-2:])
    deviation = share * side
    width = 2 * min(int(3 * deviation), side - 1) + 1
    return gaussian_blur(pictures, [width, width], [deviation, deviation])
