"""The most memory that work takes, on any device, with torch alone."""

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside, while they live.

    What a kernel takes and gives back within one operation is not seen.

    Attributes:
        live: bytes now.
        peak: most bytes at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Does the operation and takes in the storages that are new."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self._known:
                    self._known.add(storage._cdata)
                    self.live += storage.nbytes()
                    self.peak = max(self.peak, self.live)
                    gone = weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
                    gone.atexit = False
        return result

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.live -= size
