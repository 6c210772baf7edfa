"""Pictures: where they come from, how they are decoded, stored, labelled and put in order.

The public names are loaded when first used: decoding needs no torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Batches": "hiresvae.data.batches",
    "DataReport": "hiresvae.data.pictures",
    "PictureData": "hiresvae.data.pictures",
    "open_data": "hiresvae.data.pictures",
    "read_pictures": "hiresvae.data.reading",
}
__all__ = ["Batches", "DataReport", "PictureData", "open_data", "read_pictures"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hiresvae.data' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
