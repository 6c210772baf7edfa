"""hiresvae learns from a folder of pictures and makes new ones.

The public names are loaded when first used, so that ``import hiresvae`` stays instant.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Settings": "hiresvae.settings",
    "UserError": "hiresvae.errors",
    "load": "hiresvae.generator",
    "train": "hiresvae.commands.train",
}
__all__ = ["Settings", "UserError", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hiresvae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
