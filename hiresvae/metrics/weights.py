"""Where the files of pretrained networks are found, and what is said where they are not."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from hiresvae.errors import UserError
from hiresvae.metrics.cache import cache_folder


def find_weights(
    file: str,
    need: str,
    without: str,
    *,
    also: Sequence[Path] = (),
    fetch: Callable[[Path], None] | None,
) -> Path:
    """Returns a file of weights.

    Looked for in the folder ``HIRESVAE_WEIGHTS``, in the cache and in the places ``also``; then it
    is fetched into the cache.

    Args:
        file: its name.
        need: begins the sentence where it is nowhere: who needs which file, of how many MB.
        without: ends that sentence: what else brings it, and what runs without it.
        also: further paths where it may be.
        fetch: puts it into a folder; None asks no network.

    Raises:
        UserError: it is nowhere.
    """
    cache = cache_folder("weights")
    named = os.environ.get("HIRESVAE_WEIGHTS")
    folders = [Path(named).expanduser(), cache] if named else [cache]
    for place in (*(folder / file for folder in folders), *also):
        if place.is_file():
            return place
    reason = "it was not found"
    if fetch is not None:
        try:
            fetch(cache)
            return cache / file
        # No network, or a file that is not the right one.
        except (OSError, ValueError, RuntimeError) as error:
            reason = f"its download failed ({type(error).__name__})"
    raise UserError(
        f"{need}, and {reason}: put it into {at_home(cache)} or into the folder named by "
        f"HIRESVAE_WEIGHTS, {without}"
    )


def at_home(path: Path) -> str:
    """Returns a path with ``~`` for the home folder: reports are shown to others."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
