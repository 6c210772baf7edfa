"""What the name of a source may be, and which source it stands for."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hiresvae.data import embedded, named, remote
from hiresvae.data.sources import (
    Item,
    Source,
    archive_source,
    digest,
    embedded_source,
    folder_source,
)
from hiresvae.errors import UserError, nearest
from hiresvae.paths import readable, user_path


def resolve(
    name: str, *, side: int, limit: int | None, cache: Path, key: str = "data.source"
) -> Source:
    """Returns the source that ``data.source``, or another setting, names.

    Args:
        name: a folder, zip or tar; ``embedded:...``; a named set; ``hf:ORG/NAME``;
            ``shards:PATTERN``; several of them with ``+``. A named set goes before a folder of
            the same name in the working folder: write ``./monet`` for the folder.
        side: pixels of the square at which drawn pictures are drawn.
        limit: pictures wanted, None for all; drawn sets draw so many, or 4096.
        cache: folder for what has to be downloaded.
        key: the setting, for the sentences.

    Raises:
        UserError: there is no such source, or it cannot be had on this machine.
    """
    with readable(f"{key} {name!r}"):
        parts = [_resolve_one(part, side, limit, cache, key) for part in _parts(name, key)]
        return parts[0] if len(parts) == 1 else _join(name, parts)


def refuse_unknown(name: str, key: str = "data.source") -> None:
    """Refuses a name that no source can have; reads and downloads nothing.

    Args:
        name: as in `resolve`.
        key: the setting, for the sentence.

    Raises:
        UserError: there is no such source.
    """
    with readable(f"{key} {name!r}"):
        for part in _parts(name, key):
            kind, _, rest = part.partition(":")
            if kind == "embedded":
                embedded_source(rest, side=1, limit=1)  # draws nothing yet
            elif kind not in ("hf", "shards") and part not in named.SETS:
                path = user_path(part, key)
                if not path.exists():
                    raise _unknown(part, path, key)


def _parts(name: str, key: str) -> list[str]:
    """Returns what a '+' joins; a file or folder may have one in its own name."""
    if "+" not in name or user_path(name, key).exists():
        return [name.strip()]
    parts = [part.strip() for part in name.split("+")]
    if not all(parts):
        raise UserError(f"{key} {name!r} has a '+' with nothing beside it")
    return parts


def as_source(path: Path) -> str:
    """Returns what ``data.source`` says for a path, also where a named set is called the same."""
    return str(user_path(path, "the folder").absolute())


def reference_source(path: Path) -> str:
    """Returns what ``data.source`` says for a path, or for a set where there is no such path."""
    words = str(path)
    with readable(f"--reference {words!r}"):
        if not user_path(path, "--reference").exists():
            with contextlib.suppress(UserError):
                refuse_unknown(words)
                return words
    return as_source(path)


def known_channels(name: str) -> Literal[1, 3] | None:
    """Returns the channels that a source has for certain, without looking at it; None if unsure.

    Example:
        >>> known_channels("mnist"), known_channels("mnist+embedded:faces"), known_channels("x")
        (1, 3, None)
    """
    parts = [part.strip() for part in name.split("+")]
    found = [3 if part.startswith("embedded:") else named.CHANNELS.get(part) for part in parts]
    if 3 in found:
        return 3
    return 1 if all(found) else None


def known_classes(name: str) -> tuple[str, ...] | None:
    """Returns the classes that a source has for certain, without looking at it; None if unsure.

    Example:
        >>> known_classes("lfw"), known_classes("monet")
        (('not smiling', 'smiling'), None)
    """
    found: list[str] = []
    for part in (part.strip() for part in name.split("+")):
        if part.startswith("embedded:"):
            found += embedded_source(part.removeprefix("embedded:"), side=1, limit=1).classes
        elif part in named.CLASSES:
            found += named.CLASSES[part]
        else:
            return None
    return tuple(dict.fromkeys(found))


def _resolve_one(name: str, side: int, limit: int | None, cache: Path, key: str) -> Source:
    kind, _, rest = name.partition(":")
    if kind == "embedded":
        return embedded_source(rest, side=side, limit=limit)
    if kind == "hf":
        return remote.hub_source(rest)
    if kind == "shards":
        return remote.shards_source(rest)
    if name in named.SETS:
        return named.named_source(name, cache)
    path = user_path(name, key)
    if path.is_dir():
        return folder_source(path, name)
    if path.is_file():
        return archive_source(path, name)
    raise _unknown(name, path, key)


def _unknown(name: str, path: Path, key: str) -> UserError:
    known = [*named.SETS, *(f"embedded:{entry}" for entry in embedded.SETS)]
    if path.parent != Path() and path.parent.is_dir():
        known = [str(entry) for entry in sorted(path.parent.iterdir())] or known
    hint = _hint(name, known)
    if path.exists():
        hint = "a device or a pipe stands there"
    return UserError(f"{key} {name!r} is no folder, archive or known set: {hint}")


def _hint(name: str, known: list[str]) -> str:
    # A folder may hold thousands of entries: the full list of choices is only for short lists.
    hint = nearest(name, known)
    return hint if hint.startswith("did") or len(known) <= 12 else "nothing there is named alike"


def _join(name: str, parts: list[Source]) -> Source:
    tags = [Path(part.name).stem or part.name for part in parts]
    tags = [tag if tags.count(tag) == 1 else f"{tag}-{i + 1}" for i, tag in enumerate(tags)]

    def tagged(tag: str, part: Source) -> Iterator[Item]:
        for item in part.items():
            yield replace(item, name=f"{tag}/{item.name}", folder=item.folder or tag)

    def items() -> list[Item]:
        return [item for pair in zip(tags, parts, strict=True) for item in tagged(*pair)]

    identity = digest(*((tag, part.identity) for tag, part in zip(tags, parts, strict=True)))
    # Only if every part knows its classes is there an order to keep.
    known = all(part.classes for part in parts)
    classes = tuple(dict.fromkeys(c for part in parts for c in part.classes)) if known else ()
    return Source(name, identity, items, classes, all(part.in_memory for part in parts))
