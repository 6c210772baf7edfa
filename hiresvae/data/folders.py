"""What lies below a folder, and files read without waiting for what is none."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from hiresvae.data.decode import UnreadableError

MAX_BYTES = 1 << 30
"""Files above this are not read at all: an archive may declare any length."""


def stamp(path: Path) -> tuple[int, int]:
    """Returns size in bytes and time in nanoseconds of what a path leads to.

    Of a link that leads nowhere those of the link.
    """
    try:
        found = path.stat()
    except OSError:
        found = path.lstat()
    return found.st_size, found.st_mtime_ns


def check_length(length: int) -> None:
    """Refuses files of more than MAX_BYTES.

    Raises:
        UnreadableError: the file is longer.
    """
    if length > MAX_BYTES:
        raise UnreadableError(f"gigantic: a file of {length / 2**30:.1f} GiB")


def read_file(path: Path) -> bytes:
    """Returns what is in a file.

    Raises:
        UnreadableError: it is gigantic, or no file: a pipe would be waited for, and a device read
            without end.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError("no regular file")
    check_length(found.st_size)
    return path.read_bytes()


@dataclass
class Found:
    """What lies below a folder.

    Attributes:
        files: by their names relative to the folder, with ``/``.
        left_out: sub-folders that are not read, and why.
    """

    files: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def walk(folder: Path) -> Found:
    """Returns all files below a folder; hidden ones and ``__MACOSX`` are ignored.

    Links to folders are followed, after all that is no link, and each folder is read once: links
    may lead in circles.

    Raises:
        OSError: the folder itself cannot be read.
    """
    found = Found()
    seen: set[tuple[int, int]] = set()
    folders: list[Path] = [folder]
    links: list[Path] = []
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        name = here.relative_to(folder).as_posix()
        try:
            status = here.stat()
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            if here == folder:
                raise
            found.left_out[name] = f"a folder that cannot be read ({error.strerror or error})"
            continue
        if (status.st_dev, status.st_ino) in seen:
            found.left_out[name] = "a link to a folder that is read already"
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if ignored(entry.name):
                continue
            path = here / entry.name
            if entry.is_symlink() and _leads_to_folder(path):
                links.append(path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                found.files[path.relative_to(folder).as_posix()] = path
    return found


def ignored(name: str) -> bool:
    """Says whether a file or folder of that name is passed over in silence."""
    return name.startswith(".") or name == "__MACOSX"


def _leads_to_folder(link: Path) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a link to itself
        return False
