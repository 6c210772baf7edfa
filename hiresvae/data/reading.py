"""Pictures that a person points at, decoded as a model expects them; nothing is stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hiresvae.data.catalogue import resolve
from hiresvae.data.decode import Framing, UnreadableError, decode
from hiresvae.data.store import cache_folder
from hiresvae.errors import UserError


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

    Args:
        path: picture, folder, zip or tar.
        size: side of the squares in pixels.
        channels: 1 grey, 3 colour.
        crop: as in the settings; "random" and "tiles" take the centre.
        pad: what fills the padding.

    Raises:
        UserError: there is no such file.
    """
    framing = Framing(size, channels, crop, pad)
    if not path.exists():
        raise UserError(f"{path} does not exist; give a picture, a folder, a zip or a tar")
    names: list[str] = []
    pixels: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    archive = path.is_dir() or path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz")
    if archive:
        source = resolve(f"{path}", side=size, limit=None, cache=cache_folder(None))
        readers = [(item.name, item.read) for item in source.items()]
    else:
        readers = [(path.name, path.read_bytes)]
    for name, read in readers:
        try:
            pixels.append(decode(read(), framing).pixels)
            names.append(name)
        except (UnreadableError, OSError) as error:
            skipped.append((name, str(error)))
    stacked = np.stack(pixels) if pixels else np.zeros((0, channels, size, size), np.uint8)
    return Read(names, torch.from_numpy(stacked), skipped)
