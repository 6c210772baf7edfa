"""Paths as people write them, and the words for what cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hiresvae.errors import UserError


def user_path(words: str | Path, key: str) -> Path:
    """Returns a path with ``~`` and ``~name`` replaced by the home folder that they mean.

    Args:
        words: as the user wrote it.
        key: the setting that holds it, for the sentence.

    Raises:
        UserError: nobody on this machine has that name.
    """
    try:
        return Path(words).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{key} {str(words)!r} begins with a home folder that is not on this machine; write "
            "the whole path"
        ) from error


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Gives a hidden file to write, of the same suffix; on success it takes the place of ``path``.

    Whatever ends the writing early, it vanishes, and readers find the old file.
    """
    hidden = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield hidden
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turns what the system refuses while something is looked at into one sentence.

    Args:
        what: what is looked at, such as "data.source 'x'".

    Raises:
        UserError: no permission, a name that is too long, a disk that fails, and so on.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what} cannot be read ({error.strerror or error})") from error
