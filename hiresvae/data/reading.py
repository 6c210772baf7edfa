"""Pictures that a person points at, decoded as a model expects them; nothing is stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hiresvae.data.decode import Framing, attempt
from hiresvae.data.folders import read_file
from hiresvae.data.sources import Item, archive_source, folder_source, is_archive
from hiresvae.errors import UserError
from hiresvae.paths import readable

PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")
"""Endings of archives: such a file is one, or a broken one, whatever is in it."""


@dataclass(frozen=True)
class Read:
    """What was found.

    Attributes:
        names: of the pictures.
        pictures: uint8 ``(N, C, S, S)``.
        skipped: name and reason of what could not be used.
    """

    names: list[str]
    pictures: Tensor
    skipped: list[tuple[str, str]]


def read_pictures(
    path: Path,
    *,
    size: int,
    channels: Literal[1, 3],
    crop: Literal["center", "random", "none", "tiles"] = "center",
    pad: Literal["white", "black", "edge"] = "edge",
) -> Read:
    """Returns the pictures of a file, a folder or an archive.

    A path is a path here: ``monet`` is the folder of that name, never the named set.

    Args:
        path: picture, folder, zip or tar.
        size: side of the squares in pixels.
        channels: 1 grey, 3 colour.
        crop: as in the settings; "random" and "tiles" take the centre.
        pad: what fills the padding.

    Raises:
        UserError: there is no such file, it cannot be read, or it is a broken archive.
    """
    framing = Framing(size, channels, crop, pad)
    names: list[str] = []
    pixels: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    for item in _items(path):
        outcome = attempt(item.read, framing)
        if isinstance(outcome, str):
            skipped.append((item.name, outcome))
        else:
            names.append(item.name)
            pixels.append(outcome.pixels)
    stacked = np.stack(pixels) if pixels else np.zeros((0, channels, size, size), np.uint8)
    return Read(names, torch.from_numpy(stacked), skipped)


def reason(skipped: Sequence[tuple[str, str]]) -> str:
    """Returns why the first of these could not be used, for the end of a sentence; "" of none.

    Example:
        >>> reason([("a.png", "empty file"), ("b.png", "not a picture")])
        ' (a.png: empty file)'
    """
    return f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""


def _items(path: Path) -> Iterable[Item]:
    """Returns the pictures that a path may hold; only a regular file is opened."""
    with readable(str(path)):
        if not path.exists():
            raise UserError(f"{path} does not exist; give a picture, a folder, a zip or a tar")
        if path.is_dir():
            return folder_source(path, str(path)).items()
        if path.is_file() and (path.suffix.lower() in PACKED or is_archive(path)):
            return archive_source(path, str(path)).items()
    return [Item(path.name, partial(read_file, path))]
