"""What a model forgets of a picture, given back to what an edit made of it."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.v2.functional import gaussian_blur

from hiresvae.errors import UserError

NEAR = 1 / 16
"""Of the side: how far around a pixel is looked at."""
WIDE = 1 / 8
"""Of the side: changes wider than this, such as of light or skin, go with any detail."""
CHANGE_COUNTS = 4.0
"""Against the same energy forgotten. At 1 the old outline shines through a new one and spectacles
that are taken off stay on; at 16 little of the person is given back."""
LOOKED_AT = 64
"""Side at which neighbourhoods are looked at: they are as wide as 4 and 8 pixels of it."""


def give_back(edited: Tensor, unedited: Tensor, originals: Tensor, share: float = 1.0) -> Tensor:
    """Returns edited pictures with what the model had forgotten of the originals.

    The residual, original less reconstruction, is added where the edit leaves the structure as it
    was. Where it draws another one, such as a mouth that opens, the old one would shine through; so
    there the edit has it to itself. Which of the two it is, is told as by Wiener's filter: the
    residual's weight is its share of the energy that it and the edit's fine change have together.

    Args:
        edited: uint8 ``(*, C, S, S)``: what the model makes of each picture.
        unedited: what it makes of them without the edit, of as many axes; at each of L strengths
            the same, so beside ``(N, L, C, S, S)`` it is ``(N, 1, C, S, S)``.
        originals: the pictures themselves, of the shape of ``unedited``.
        share: of the residual: 0 leaves what the model made, with 1 an edit of nothing is the
            picture itself.

    Returns:
        uint8, as ``edited``.

    Raises:
        UserError: the share is beyond 0 to 1, or the shapes do not go together.
    """
    _check(share, edited, unedited, originals)
    if share == 0 or not len(edited):
        return edited
    if edited.ndim > 3:  # One picture at a time: what is reckoned with takes some fifty times it.
        rows = zip(edited, unedited.expand_as(edited), originals.expand_as(edited), strict=True)
        return torch.stack([give_back(*row, share) for row in rows])
    return _rounded(edited + _given(edited, unedited, originals, share))


def give_back_between(
    way: Tensor, unedited: Tensor, originals: Tensor, share: float = 1.0
) -> Tensor:
    """Returns the pictures from one to another with what the model had forgotten of both.

    Of the first ever less, of the second ever more: with ``share`` 1 the way begins and ends with
    the pictures themselves.

    Args:
        way: uint8 ``(K, C, S, S)``: what the model makes on the way.
        unedited: what it makes of the two ends, ``(2, C, S, S)``.
        originals: the two pictures themselves, ``(2, C, S, S)``.
        share: as for `give_back`.

    Returns:
        uint8, as ``way``.

    Raises:
        UserError: as `give_back`.
    """
    both = way.new_empty(2, *way.shape[1:])
    _check(share, both, unedited, originals)
    if share == 0 or not len(way):
        return way
    unedited, originals = unedited.expand_as(both), originals.expand_as(both)
    made = []
    for place, picture in zip(torch.linspace(0, 1, len(way)).tolist(), way, strict=True):
        ends = zip(unedited, originals, (1 - place, place), strict=True)
        given = [_given(picture, start, own, share * part) for start, own, part in ends]
        made.append(_rounded(picture + given[0] + given[1]))
    return torch.stack(made)


def _check(share: float, edited: Tensor, unedited: Tensor, originals: Tensor) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"detail {share:g} must be from 0 to 1")
    for name, given in (("unedited", unedited), ("originals", originals)):
        fits = given.ndim == edited.ndim and all(
            its in (1, all_of) for its, all_of in zip(given.shape, edited.shape, strict=True)
        )
        if not fits:
            raise UserError(
                f"{name} of shape {tuple(given.shape)} does not go with edited pictures of shape "
                f"{tuple(edited.shape)}: as many axes are needed, each as long or 1"
            )


def _given(edited: Tensor, unedited: Tensor, original: Tensor, share: float) -> Tensor:
    """Returns what is to be added to one picture ``(C, S, S)``, in levels."""
    start = unedited.float()
    residual, change = share * (original.float() - start), edited.float() - start
    lost, fine = _energy(residual), CHANGE_COUNTS * _energy(change - _blurred(change, WIDE))
    return lost / (lost + fine).clamp_min(torch.finfo(lost.dtype).tiny) * residual


def _rounded(picture: Tensor) -> Tensor:
    return picture.round().clamp(0, 255).byte()


def _energy(picture: Tensor) -> Tensor:
    """Returns the mean square around each pixel, ``(1, S, S)``."""
    return _blurred(picture.square().mean(0, keepdim=True), NEAR)


def _blurred(picture: Tensor, share: float) -> Tensor:
    """Returns ``(C, S, S)`` blurred by a share of its side; larger ones as small ones enlarged."""
    side = min(picture.shape[-2:])
    if side > LOOKED_AT:
        small = interpolate(picture[None], size=(LOOKED_AT, LOOKED_AT), mode="area")[0]
        blurred = _blurred(small, share)[None]
        return interpolate(blurred, size=picture.shape[-2:], mode="bilinear")[0]
    deviation = share * side
    width = 2 * min(int(3 * deviation), side - 1) + 1
    for kernel in ([width, 1], [1, width]):
        picture = gaussian_blur(picture, kernel, [deviation, deviation])
    return picture
