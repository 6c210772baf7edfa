"""Large pictures as overlapping squares of their own pixels, where scaling would lose the detail.

Squares overlap by half, so that every window of half their side lies whole in one of them.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from hiresvae.data.decode import Framing, Raw, check_sizes, whole
from hiresvae.data.sources import Item, Source, choose, digest

MARK = " at "
"""Between the name of a page and where its tile begins."""


def starts(length: int, side: int, overlap: float = 0.5) -> list[int]:
    """Returns where tiles begin so that they cover ``length`` pixels and overlap evenly.

    Example:
        >>> starts(40, 16)
        [0, 8, 16, 24]
    """
    if length <= side:
        return [0]
    count = -(-(length - side) // max(1, int(side * (1 - overlap)))) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def page_of(name: str) -> str:
    """Returns the name of the picture that a tile is cut from.

    Example:
        >>> page_of("notes/7.png at 0,64"), page_of("cat at noon.png")
        ('notes/7.png', 'cat at noon.png')
    """
    return re.sub(rf"{MARK}\d+,\d+$", "", name)


def tiled(source: Source, framing: Framing, limit: int | None) -> Source:
    """Returns the pictures of a source cut into tiles, those of one picture held out together.

    One picture after another is read while the store is built, so that no more than a few are in
    memory. A picture that cannot be read is one item that says why; one smaller than a tile is one
    tile, padded.

    Args:
        source: pictures, or pairs of equal size.
        framing: side and channels of the tiles.
        limit: at most so many pictures; None for all.
    """

    def items() -> Iterator[Item]:
        for item in choose(source.items(), limit):
            try:
                pages = _pages(item.read(), framing)
            except Exception as error:  # a file can be broken in many ways; the store lists them
                yield replace(item, read=partial(_unreadable, error))
                continue
            yield from _cut(item, pages, framing.side)

    identity = digest("tiles", limit, source.identity)
    return replace(source, identity=identity, items=items, in_memory=True)


def _pages(raw: Raw, framing: Framing) -> list[np.ndarray]:
    """Returns the picture, or both of a pair, uint8 ``(C, H, W)`` each."""
    parts = raw if isinstance(raw, tuple) else (raw,)
    pages = [whole(part, framing.channels) for part in parts]
    check_sizes(*((page.shape[2], page.shape[1]) for page in (pages[0], pages[-1])))
    return pages


def _cut(item: Item, pages: list[np.ndarray], side: int) -> Iterator[Item]:
    group = hashlib.sha256(pages[0].tobytes()).hexdigest()
    for y in starts(pages[0].shape[1], side):
        for x in starts(pages[0].shape[2], side):
            tiles = [page[:, y : y + side, x : x + side] for page in pages]
            yield replace(
                item,
                name=f"{item.name}{MARK}{y},{x}",
                read=partial(_raw, tiles),
                group=group,
            )


def _raw(tiles: list[np.ndarray]) -> Raw:
    return tiles[0] if len(tiles) == 1 else (tiles[0], tiles[1])


def _unreadable(error: Exception) -> Raw:
    raise error
