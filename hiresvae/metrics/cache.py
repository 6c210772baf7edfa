"""What an evaluation keeps for the next one: arrays in the cache, by what they were made from."""

import hashlib
import io
import logging
import os
import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor

log = logging.getLogger("hiresvae")

DIGEST = hashlib.sha256().digest_size


def cache_folder(name: str) -> Path:
    """Returns the folder of that name in the cache (``HIRESVAE_CACHE``, or the user's own)."""
    import platformdirs

    home = os.environ.get("HIRESVAE_CACHE") or platformdirs.user_cache_dir("hiresvae")
    return Path(home).expanduser() / name


def digest(pictures: Tensor) -> str:
    """Returns the sha256 of shape and content of pictures ``(N, C, H, W)``, or of features."""
    key = hashlib.sha256(str(tuple(pictures.shape)).encode())
    for part in pictures.split(256):
        key.update(part.contiguous().cpu().numpy())
    return key.hexdigest()


def recall(folder: str, key: str, rows: int | None = None) -> np.ndarray | None:
    """Returns the array stored under a key, or None: there is none, or it is not what was stored.

    A digest at the end of the file tells: one wrong bit in features is a wrong distance.

    Args:
        folder: of the cache, such as ``features``.
        key: says all that the array depends on; hashed to a file name.
        rows: length that the array must have; None: any.
    """
    try:
        content = memoryview(_path(folder, key).read_bytes())
    except OSError:
        return None
    content, told = content[:-DIGEST], content[-DIGEST:]
    if hashlib.sha256(content).digest() != told:
        return None
    stored: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    usable = rows is None or (stored.ndim > 0 and len(stored) == rows)
    return stored if usable else None


def keep(folder: str, key: str, array: np.ndarray) -> None:
    """Stores an array under a key: written aside and renamed, so that nobody meets half a file.

    A cache that cannot be written costs a warning and no more: the array is at hand.
    """
    path, aside = _path(folder, key), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            aside = Path(file.name)
            content = io.BytesIO()
            np.save(content, array)
            file.write(content.getbuffer())
            file.write(hashlib.sha256(content.getbuffer()).digest())
        aside.replace(path)
    except OSError as error:
        log.warning(
            "the cache folder %s cannot be written (%s): the next evaluation computes this again",
            path.parent,
            error.strerror or error,
        )
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def _path(folder: str, key: str) -> Path:
    return cache_folder(folder) / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
