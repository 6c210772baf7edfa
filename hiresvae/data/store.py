"""The decoded store: every picture of a source once, as one uint8 memory map in the cache.

Built by one process while others wait, written aside and renamed, checked when opened, and built
anew when anything about it is wrong. Of a store above 64 MB each opening checks the same 16 blocks
and 16 others by chance: seconds at most, and a fault anywhere is found in the end.

A store is a folder with ``pictures.u8`` (the bytes of an array ``(N, C, S, S)``) and
``header.json``. Of pairs the two pictures are stored as one of twice as many channels, so that
nothing can part them.
"""

import hashlib
import json
import os
import random
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock

from hiresvae.data.decode import Decoded, Framing, attempt
from hiresvae.data.progress import bar
from hiresvae.data.sources import Item, Source, choose, digest
from hiresvae.errors import UserError
from hiresvae.paths import user_path

FORMAT = 1
"""Raised when stores of older versions must not be used."""
BLOCK_BYTES = 1 << 22
CHECKED_BLOCKS = 16
"""Checked at each opening, the same every time; and as many others by chance."""
CHUNK = 64
"""Pictures decoded between two writes."""


@dataclass
class Header:
    """What is known of the pictures in a store; lists have an entry a picture.

    Attributes:
        shape: of the array, ``(N, C, S, S)``.
        found: candidates, with those that were skipped.
        names: where each picture came from.
        folders: first-level sub-folders, "" for none.
        labels: the set's own classes by name, "" for none.
        sizes: width and height before framing.
        digests: 32 hexadecimal digits of each picture's content: the first of the SHA-256 of what
            was decoded; where pictures belong together, first 16 digits that they share.
        skipped: name and reason of the candidates that could not be used.
        checksums: CRC-32 of each block of ``BLOCK_BYTES``.
    """

    shape: tuple[int, ...] = (0, 0, 0, 0)
    found: int = 0
    names: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Store:
    """A store opened for reading.

    Attributes:
        pictures: uint8 memory map ``(N, C, S, S)``.
        header: what is known of them.
        folder: where the store lies.
    """

    pictures: np.ndarray
    header: Header
    folder: Path


def cache_folder(given: str | None) -> Path:
    """Returns the cache: ``data.cache``, else $HIRESVAE_CACHE, else the user's cache folder.

    Raises:
        UserError: it is below the home folder of somebody who is not known here.
    """
    if given:
        return user_path(given, "data.cache")
    if os.environ.get("HIRESVAE_CACHE"):
        return user_path(os.environ["HIRESVAE_CACHE"], "$HIRESVAE_CACHE")
    from platformdirs import user_cache_path

    return user_cache_path("hiresvae")


def open_store(
    source: Source, framing: Framing, *, limit: int | None, cache: Path, progress: bool = True
) -> Store:
    """Returns the decoded pictures of a source, from the cache or decoded now.

    Args:
        source: where the pictures come from.
        framing: how each becomes a square.
        limit: at most so many candidates; None for all.
        cache: folder below which stores are kept.
        progress: show a bar on stderr while decoding, if that is a terminal.

    Raises:
        UserError: the source has no usable picture, or the cache cannot be written.
    """
    key = digest(FORMAT, source.identity, limit, *asdict(framing).values())[:24]
    place = cache / "stores" / key
    store = _read(place)
    if store:
        return store
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # The system frees the lock of a process that dies.
        lock = FileLock(place.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise _unwritable(cache, error) from error
    try:
        return _read(place) or _build(place, source, framing, limit, cache, progress)
    finally:
        lock.release()


def _unwritable(cache: Path, error: OSError) -> UserError:
    return UserError(
        f"the cache folder {str(cache)!r} cannot be written ({error.strerror or error}): name "
        "another with data.cache"
    )


def _build(
    place: Path, source: Source, framing: Framing, limit: int | None, cache: Path, progress: bool
) -> Store:
    aside = place.with_suffix(".part")
    shutil.rmtree(aside, ignore_errors=True)  # left by a process that was killed
    candidates = choose(source.items(), limit)
    decoded = _at_once if source.in_memory else _in_threads
    try:
        writer = _Writer(aside, 3 if framing.channels == 3 else 1, framing.side, source.parts)
        try:
            # Broken files also make Pillow warn; they are reported in our own words.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for item, outcome in decoded(candidates, framing, progress):
                    writer.add(item, outcome)
            header = writer.finish()
        finally:
            writer.file.close()
        if not header.names:
            raise UserError(_nothing(source, header))
        shutil.rmtree(place, ignore_errors=True)
        aside.replace(place)
    except OSError as error:
        raise _unwritable(cache, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    store = _read(place)
    if store is None:
        raise UserError(
            f"the store just written to {str(cache)!r} reads back differently: the "
            "disk may be failing; name another folder with data.cache"
        )
    return store


def _nothing(source: Source, header: Header) -> str:
    if not header.found:
        return f"data.source {source.name!r} is empty: there is no file in it"
    name, reason = header.skipped[0]
    return (
        f"data.source {source.name!r} has no picture that can be used among {header.found} "
        f"files, the first is {name!r} ({reason})"
    )


def _in_threads(
    items: Iterable[Item], framing: Framing, progress: bool
) -> Iterator[tuple[Item, Decoded | str]]:
    """Yields each item in order with its picture, or with the reason why it has none."""

    def one(item: Item) -> Decoded | str:
        return attempt(item.read, framing)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from _in_chunks(items, progress, partial(pool.map, one))


def _at_once(
    items: Iterable[Item], framing: Framing, progress: bool
) -> Iterator[tuple[Item, Decoded | str]]:
    """Does the same here and now: handing pixels to a thread costs more than looking at them."""
    yield from _in_chunks(items, progress, lambda chunk: (attempt(i.read, framing) for i in chunk))


def _in_chunks(
    items: Iterable[Item],
    progress: bool,
    work: Callable[[list[Item]], Iterable[Decoded | str]],
) -> Iterator[tuple[Item, Decoded | str]]:
    total, queue = (len(items) if isinstance(items, list) else None), iter(items)
    with bar(progress) as bars:
        task = bars.add_task("decoding pictures", total=total)
        while chunk := list(islice(queue, CHUNK)):
            yield from zip(chunk, work(chunk), strict=True)
            bars.advance(task, len(chunk))


class _Writer:
    """Appends pictures to a store; grey until the first picture in colour."""

    def __init__(self, folder: Path, channels: int, side: int, parts: int = 1) -> None:
        folder.mkdir(parents=True)
        self.folder, self.channels, self.side, self.parts = folder, channels * parts, side, parts
        self.path = folder / "pictures.u8"
        self.file = self.path.open("wb")
        self.header = Header()

    def add(self, item: Item, outcome: Decoded | str) -> None:
        """Writes a picture, or notes why there is none."""
        header = self.header
        header.found += 1
        if isinstance(outcome, str):
            header.skipped.append((item.name, outcome))
            return
        raw = outcome.pixels.tobytes()
        if len(outcome.pixels) > self.channels:
            self._widen()
        times = self.channels // len(outcome.pixels)
        self.file.write(raw if times == 1 else outcome.pixels.repeat(times, axis=0).tobytes())
        header.names.append(item.name)
        header.folders.append(item.folder)
        header.labels.append(item.label)
        header.sizes.append(outcome.size)
        header.digests.append((self._group(item, raw) + _hash(raw))[:32])

    def _group(self, item: Item, raw: bytes) -> str:
        """Returns 16 digits that pictures share which must not straddle the split, or nothing.

        One picture may be there with several corruptions: it decides, not they.
        """
        if item.group or self.parts == 1:
            return item.group[:16]
        return _hash(raw[: len(raw) // self.parts])[:16]

    def finish(self) -> Header:
        """Returns the header once everything is on disk."""
        self.file.close()
        header = self.header
        header.shape = (len(header.names), self.channels, self.side, self.side)
        header.checksums = [zlib.crc32(block) for block in _blocks(self.path)]
        text = json.dumps({"format": FORMAT, **vars(header)})
        (self.folder / "header.json").write_text(text, encoding="utf-8")
        return header

    def _widen(self) -> None:
        self.file.close()
        grey, self.channels = self.path.rename(self.folder / "grey.u8"), 3 * self.channels
        self.file = self.path.open("wb")
        plane = self.side * self.side
        with grey.open("rb") as old:
            while pixels := old.read(plane):
                self.file.write(pixels * 3)
        grey.unlink()


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _read(place: Path) -> Store | None:
    """Returns the store in a folder, or None if there is none or anything about it is wrong."""
    path = place / "pictures.u8"
    try:
        fields = json.loads((place / "header.json").read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            return None
        header = Header(**fields)
        header.shape = tuple(header.shape)
        count, size = header.shape[0], path.stat().st_size
        lists = (header.names, header.folders, header.labels, header.sizes, header.digests)
        if size != np.prod(header.shape) or any(len(entries) != count for entries in lists):
            return None
        if len(header.shape) != 4 or len(header.checksums) != -(-size // BLOCK_BYTES):
            return None
        if not _sound(path, header.checksums):
            return None
        return Store(np.memmap(path, np.uint8, "r", shape=header.shape), header, place)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _sound(path: Path, checksums: list[int]) -> bool:
    """Says whether some blocks of the file are as written.

    Blocks spread evenly, with the first and last; and others by chance, new ones at each opening,
    whatever the seed, so that a bit that turned anywhere is found in the end.
    """
    count = len(checksums)
    even = np.linspace(0, count - 1, min(CHECKED_BLOCKS, count)).round().astype(int).tolist()
    rest = sorted(set(range(count)) - set(even))
    chance = random.SystemRandom().sample(rest, min(CHECKED_BLOCKS, len(rest)))
    with path.open("rb") as file:
        for block in even + sorted(chance):
            file.seek(block * BLOCK_BYTES)
            if zlib.crc32(file.read(BLOCK_BYTES)) != checksums[block]:
                return False
    return True
