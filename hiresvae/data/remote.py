"""Collections read through other libraries: Hugging Face data sets and WebDataset shards."""

import os
import re
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from hiresvae.data.decode import Raw
from hiresvae.data.folders import stamp
from hiresvae.data.sources import BROKEN, Item, Source, digest
from hiresvae.errors import UserError

SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm")
SCHEMES = ("", "file", "http", "https")
"""Kinds of address that WebDataset opens without running what they say."""
# Some versions of it hand addresses to a shell: nothing in them may end the quotes about them.
_ADDRESS = re.compile(r"[\w.~:/?#@!&*+,=%\[\]-]+", re.ASCII)


def hub_source(name: str) -> Source:
    """Returns the training split of a Hugging Face data set (its only split, if it has none).

    The pictures are its first image column; the set's own classes its first ClassLabel column.

    Raises:
        UserError: ``datasets`` is not installed, or the set cannot be loaded or has no pictures.
    """
    hub = _extra("datasets", "hub", f"hf:{name}")
    try:
        splits = hub.load_dataset(name)
    except Exception as error:  # the library's errors have no common base
        raise UserError(f"hf:{name} could not be loaded ({error})") from error
    rows = splits["train"] if "train" in splits else next(iter(splits.values()))
    image = _column(rows, hub.Image)
    if image is None:
        columns = ", ".join(rows.features)
        raise UserError(f"hf:{name} has no column of pictures, its columns are {columns}")
    label = _column(rows, hub.ClassLabel)
    classes = tuple(rows.features[label].names) if label else ()
    labels: list[int | None] = list(rows[label]) if label else [None] * len(rows)
    encoded = rows.select_columns([image]).cast_column(image, hub.Image(decode=False))

    def items() -> list[Item]:
        # Rows of a test part often have the label -1.
        named = [classes[i] if i is not None and i >= 0 else "" for i in labels]
        return [
            Item(f"{name} {i}", partial(_hub_bytes, encoded, i, image), label=label)
            for i, label in enumerate(named)
        ]

    return Source(f"hf:{name}", digest("hf", name, rows._fingerprint), items, classes)


def shards_source(pattern: str) -> Source:
    """Returns the pictures in WebDataset shards, in their order; classes come from ``cls`` entries.

    The shards are streamed once; only the decoded store stays on disk.

    Raises:
        UserError: ``webdataset`` is not installed, an address could run a command, or, when they
            are listed, the shards cannot be read.
    """
    shards = _extra("webdataset", "shards", f"shards:{pattern}")
    try:
        urls: list[str] = shards.shardlists.expand_urls(pattern)
    except (ValueError, AssertionError) as error:
        raise UserError(f"shards:{pattern} is no pattern of addresses ({error})") from error
    for url in urls:
        _check_address(url, pattern)
    stamps = [stamp(Path(url)) for url in urls if os.path.isfile(url)]

    def items() -> Iterator[Item]:
        try:
            # One process reads for all, so nothing is to be split over processes.
            opened = shards.WebDataset(
                urls, shardshuffle=False, nodesplitter=None, empty_check=False
            )
            for sample in opened:
                suffix = next((suffix for suffix in SUFFIXES if suffix in sample), None)
                if suffix:
                    raw, label = sample[suffix], sample.get("cls", b"").decode().strip()
                    yield Item(f"{sample['__key__']}.{suffix}", partial(bytes, raw), label=label)
        except (*BROKEN, AssertionError) as error:
            raise UserError(f"shards:{pattern} cannot be read ({error})") from error

    return Source(f"shards:{pattern}", digest("shards", *urls, *stamps), items)


def _check_address(url: str, pattern: str) -> None:
    """Refuses what could run a command, or be waited for; braces must be expanded already."""
    scheme = _scheme(url)
    if scheme not in SCHEMES or (scheme.startswith("http") and not _ADDRESS.fullmatch(url)):
        raise UserError(
            f"shards:{pattern} would run a command ({url!r}); give files, or addresses of http or "
            "https without characters that a shell understands"
        )
    local = url.removeprefix("file://")
    if local == "-" or (os.path.exists(local) and not os.path.isfile(local)):
        raise UserError(f"shards:{pattern}: {url!r} is no file")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # brackets that hold no address of the network
        return "?"


def _extra(library: str, extra: str, what: str) -> ModuleType:
    try:
        return import_module(library)
    except ImportError as error:
        raise UserError(
            f"{what} needs the library {library!r}: pip install 'hiresvae[{extra}]'"
        ) from error


def _column(rows: Any, kind: type) -> str | None:
    return next(
        (name for name, feature in rows.features.items() if isinstance(feature, kind)), None
    )


def _hub_bytes(rows: Any, index: int, column: str) -> Raw:
    cell = rows[index][column]
    return cell["bytes"] if cell["bytes"] is not None else Path(cell["path"]).read_bytes()
