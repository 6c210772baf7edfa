"""The border between pictures as people keep them (uint8) and as networks see them ([-1, 1])."""

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.paths import aside

FORMATS = {"png": {}, "jpg": {"quality": 95}, "webp": {"quality": 90}}
LARGEST = {"jpg": 65_500, "jpeg": 65_500, "webp": 16_383}
"""Pixels of a side that a format can hold; PNG holds any."""


def to_float(pictures: Tensor) -> Tensor:
    """Returns uint8 pictures ``(N, C, H, W)`` in 0..255 as float32 in [-1, 1].

    Raises:
        TypeError: the pictures are not uint8: values that are already in [-1, 1] (or in [0, 1])
            must never be rescaled a second time.

    Example:
        >>> to_float(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)).flatten().tolist()
        [-1.0, 1.0]
    """
    if pictures.dtype != torch.uint8:
        raise TypeError(f"pictures must be uint8 (0 to 255), got {pictures.dtype}")
    return pictures.float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Returns float images ``(N, C, H, W)`` in [-1, 1] as uint8; what lies outside is clipped.

    The range is fixed, never stretched to the batch: a grey image stays grey.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 3.0]).view(1, 1, 1, 3)).flatten().tolist()
        [0, 128, 255]
    """
    return images.float().mul(127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def binarized(images: Tensor, chances: Tensor) -> Tensor:
    """Returns images ``(N, C, H, W)`` in black (-1) and white (1); a grey is the chance of white.

    Args:
        images: in [-1, 1].
        chances: uniform numbers in [0, 1] of the same shape.

    Example:
        >>> binarized(torch.tensor([-1.0, 0.0, 0.0, 1.0]), torch.tensor([0.0, 0.4, 0.6, 0.9]))
        tensor([-1.,  1., -1.,  1.])
    """
    return torch.where(chances < (images + 1) / 2, 1.0, -1.0)


def middle(pictures: Tensor | np.ndarray, size: int) -> Tensor:
    """Returns the central ``(N, C, size, size)`` of pictures ``(N, C, S, S)``; may be a view.

    A store can hold more of a picture than is shown, for windows to be cut anywhere.

    Example:
        >>> middle(torch.arange(4).expand(1, 1, 4, 4), 2)[0, 0]
        tensor([[1, 2],
                [1, 2]])
    """
    given = torch.as_tensor(pictures)
    begin = (given.shape[-1] - size) // 2
    return given[..., begin : begin + size, begin : begin + size]


def grid(pictures: Tensor, columns: int | None = None, gap: int = 2) -> Tensor:
    """Returns uint8 pictures ``(N, C, H, W)`` side by side on white as one picture ``(C, H', W')``.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
        columns: pictures in a row; None makes the sheet about square.
        gap: white pixels between two pictures.
    """
    n, c, h, w = pictures.shape
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    sheet = torch.full((c, *grid_shape(n, h, w, columns, gap)), 255, dtype=torch.uint8)
    for i, picture in enumerate(pictures.cpu()):
        y, x = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[:, y : y + h, x : x + w] = picture
    return sheet


def grid_shape(
    count: int, height: int, width: int, columns: int | None = None, gap: int = 2
) -> tuple[int, int]:
    """Returns height and width in pixels of the `grid` of so many pictures.

    Example:
        >>> grid_shape(5, 64, 64)
        (130, 196)
    """
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    return rows * (height + gap) - gap, columns * (width + gap) - gap


def check_side(path: Path, side: int) -> None:
    """Refuses a picture whose longer side, in pixels, the format of its file cannot hold.

    Raises:
        UserError: it cannot; to be asked before the picture is made.
    """
    most = LARGEST.get(path.suffix.lstrip(".").lower())
    if most is not None and side > most:
        raise UserError(
            f"{path} would be {side} pixels long, but {path.suffix} holds {most} at most; nearest "
            f"valid: {path.with_suffix('.png').name}"
        )


def to_pil(picture: Tensor) -> Image.Image:
    """Returns a uint8 picture ``(C, H, W)`` with one (grey) or three (RGB) channels for Pillow."""
    array = np.asarray(picture.cpu().numpy())
    return Image.fromarray(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0))


def save(picture: Tensor, path: Path) -> None:
    """Writes a uint8 picture ``(C, H, W)`` to a PNG, JPEG or WebP file, whole or not at all.

    Raises:
        UserError: it is larger than the format can hold.
    """
    check_side(path, max(picture.shape[1:]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as file:
        to_pil(picture).save(file, None, **FORMATS.get(path.suffix.lstrip(".").lower(), {}))
