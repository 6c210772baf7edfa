"""Picture sets that the package draws itself: no files, no network.

A set is a module with ``CLASSES``, ``ATTRIBUTES``, ``draw(index, *, seed, size)`` -> uint8
``(3, size, size)``, ``label(index, *, seed)`` -> int and ``attributes(index, *, seed)`` -> dict.
"""

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

SETS = ("paintings", "faces")


class DrawnSet(Protocol):
    """What the module of a drawn set offers."""

    CLASSES: tuple[str, ...]
    ATTRIBUTES: tuple[str, ...]

    def draw(self, index: int, *, seed: int = 0, size: int = 64) -> np.ndarray:
        """Returns picture ``index`` of the set, uint8 ``(3, size, size)``."""
        ...

    def label(self, index: int, *, seed: int = 0) -> int:
        """Returns the class of picture ``index`` as an index into CLASSES."""
        ...

    def attributes(self, index: int, *, seed: int = 0) -> dict[str, float]:
        """Returns what is known of picture ``index``, by the names in ATTRIBUTES."""
        ...


def load(name: str) -> DrawnSet:
    """Returns the set of that name, one of SETS."""
    return import_module(f"hiresvae.data.embedded.{name}")


def fingerprint() -> str:
    """Returns a hash of the drawing code: stores of older drawings are not used."""
    code = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
