"""Where pictures come from: folders, archives and drawn sets.

A source is only described here; nothing is decoded and archives are not even listed before a
store has to be built.
"""

import hashlib
import lzma
import os
import shutil
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, cast

from hiresvae.data.decode import Raw, UnreadableError
from hiresvae.data.folders import check_length, ignored, read_file, stamp, walk
from hiresvae.errors import UserError, nearest

EMBEDDED_COUNT = 4096
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What the libraries raise on archives and packed arrays that are damaged or cut short."""


@dataclass(frozen=True)
class Item:
    """One candidate picture.

    Attributes:
        name: where it came from, for people: a relative file name, "mnist train 7".
        read: gives the encoded file or the pixels; may be called from any thread.
        folder: name of the first-level sub-folder, "" for none.
        label: the set's own class, "" for none.
    """

    name: str
    read: Callable[[], Raw]
    folder: str = ""
    label: str = ""


@dataclass(frozen=True)
class Source:
    """A collection of pictures.

    Attributes:
        name: as the user wrote it.
        identity: changes when the pictures do, as far as that can be told without reading them.
        items: lists the candidates; an iterator where the collection can only be read in order.
        classes: names of the set's own classes in their order; () to sort those that occur.
        in_memory: its pictures lie in memory as pixels, so that no thread is worth its while.
    """

    name: str
    identity: str
    items: Callable[[], Iterable[Item]]
    classes: tuple[str, ...] = ()
    in_memory: bool = False


def choose(items: Iterable[Item], limit: int | None) -> Iterable[Item]:
    """Returns at most ``limit`` items, in their order.

    Of a list those whose names hash lowest are taken: an even pick from all folders, which grows
    with the limit and never swaps. Of an iterator the first.
    """
    if limit is None:
        return items
    if not isinstance(items, list):
        return islice(items, limit)
    by_hash = sorted(range(len(items)), key=lambda i: digest(items[i].name))
    return [items[i] for i in sorted(by_hash[:limit])]


def digest(*parts: object) -> str:
    """Returns the SHA-256 of the parts as 64 hexadecimal digits; names may be in any encoding."""
    text = "\0".join(map(str, parts))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def folder_source(folder: Path, name: str, *, label_folders: bool = False) -> Source:
    """Returns all files below a folder, sorted; hidden ones and ``__MACOSX`` are ignored.

    Links to folders are followed. A sub-folder that cannot be read is a candidate that cannot.

    Args:
        folder: an existing folder.
        name: what the source is called.
        label_folders: first-level sub-folders are the set's own classes.

    Raises:
        OSError: the folder cannot be read.
    """
    found = walk(folder)
    stamps = [(entry, *stamp(found.files[entry])) for entry in sorted(found.files)]
    # Of two folders with files of the same names, sizes and times each has its own store.
    identity = digest(os.path.realpath(folder), *stamps, *sorted(found.left_out.items()))

    def items() -> list[Item]:
        readers: dict[str, Callable[[], Raw]] = {
            entry: partial(read_file, path) for entry, path in found.files.items()
        }
        readers |= {entry: partial(_refuse, why) for entry, why in found.left_out.items()}
        listed = [_file_item(entry, readers[entry]) for entry in sorted(readers)]
        return [replace(item, label=item.folder) for item in listed] if label_folders else listed

    return Source(name, identity, items)


def archive_source(path: Path, name: str, *, under: str = "") -> Source:
    """Returns the files of a zip or tar (plain, gz, bz2, xz), read by name and never extracted.

    A top folder that all of them share is dropped from their names.

    Args:
        path: the archive.
        name: what the source is called.
        under: only files in this folder of the archive.

    Raises:
        UserError: the file is neither, or broken; the latter when it is listed.
    """
    if zipfile.is_zipfile(path):
        reader = _zip_members
    elif _is_tar(path):
        reader = _tar_members
    else:
        raise UserError(f"{name!r} is a file, but neither a zip nor a tar of pictures")

    def items() -> list[Item]:
        try:
            members = list(reader(path))
        except BROKEN as error:
            raise UserError(f"the archive {name!r} is broken or cut short ({error})") from error
        # A member may call itself ../../x or /x: it is only a name here, and is shown without.
        named = [(_safe_parts(member), read) for member, read in members]
        named = [(parts, read) for parts, read in named if parts and not any(map(ignored, parts))]
        inside = PurePosixPath(under).parts
        named = [
            (parts[len(inside) :], read) for parts, read in named if parts[: len(inside)] == inside
        ]
        if len({parts[0] for parts, _ in named}) == 1 and all(len(parts) > 1 for parts, _ in named):
            named = [(parts[1:], read) for parts, read in named]
        return sorted((_file_item("/".join(parts), read) for parts, read in named), key=_by_name)

    return Source(name, digest(os.path.realpath(path), *stamp(path), under), items)


def is_archive(path: Path) -> bool:
    """Says by its content whether a regular file is a zip or a tar, packed or not.

    A picture with a zip behind its last byte is a picture.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        begins = file.read(2)
    return (begins == b"PK" and zipfile.is_zipfile(path)) or _is_tar(path)


def embedded_source(name: str, *, side: int, limit: int | None) -> Source:
    """Returns pictures 0, 1, ... of a set that the package draws, always from its seed 0.

    Raises:
        UserError: there is no such set.
    """
    from hiresvae.data import embedded

    if name not in embedded.SETS:
        raise UserError(f"there is no embedded set {name!r}: {nearest(name, embedded.SETS)}")
    drawn, count = embedded.load(name), limit or EMBEDDED_COUNT

    def items() -> list[Item]:
        return [
            Item(
                f"{name} {i}",
                partial(drawn.draw, i, seed=0, size=side),
                label=drawn.CLASSES[drawn.label(i, seed=0)],
            )
            for i in range(count)
        ]

    identity = digest("embedded", name, count, embedded.fingerprint())
    return Source(f"embedded:{name}", identity, items, tuple(drawn.CLASSES))


def _safe_parts(member: str) -> tuple[str, ...]:
    parts = member.replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", ".", ".."))


def _file_item(name: str, read: Callable[[], Raw]) -> Item:
    first, slash, _ = name.partition("/")
    return Item(name, read, folder=first if slash else "")


def _by_name(item: Item) -> str:
    return item.name


def _refuse(reason: str) -> Raw:
    raise UnreadableError(reason)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error, lzma.LZMAError):  # packed, but nothing comes out
        return False


Member = tuple[str, Callable[[], Raw]]


def _zip_members(path: Path) -> Iterator[Member]:
    archive = zipfile.ZipFile(path)  # closed with the last member that refers to it

    def read(info: zipfile.ZipInfo) -> bytes:
        check_length(info.file_size)
        return archive.read(info)

    for info in archive.infolist():
        if not info.is_dir():
            yield info.filename, partial(read, info)


class _Plain:
    """A tar without compression, on disk or in a temporary file, read at offsets."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self.file: IO[bytes] = path.open("rb")
        try:
            tarfile.open(fileobj=self.file, mode="r:").close()
        except tarfile.ReadError:
            self.file.close()
            self.file = tempfile.TemporaryFile()
            with tarfile.open(path, "r:*") as packed:
                unpacked = cast(IO[bytes], packed.fileobj)
                unpacked.seek(0)
                shutil.copyfileobj(unpacked, self.file)

    def read(self, offset: int, length: int) -> bytes:
        check_length(length)
        with self._lock:
            self.file.seek(offset)
            return self.file.read(length)

    def __del__(self) -> None:
        self.file.close()


def _tar_members(path: Path) -> Iterator[Member]:
    plain = _Plain(path)
    plain.file.seek(0)
    with tarfile.open(fileobj=plain.file, mode="r:") as archive:
        for info in archive:
            if info.isreg() and not info.issparse():  # links could point anywhere
                yield info.name, partial(plain.read, info.offset_data, info.size)
