"""The endless stream of training pictures, as a pure function of seed and position.

Nothing has a state: whoever knows how many pictures were seen knows what comes next, and any
split of a batch over processes shows the same pictures in the same way.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hiresvae.data.pictures import PictureData
from hiresvae.images import middle, to_float
from hiresvae.seeding import generator

DEVICE_SHARE = 0.25
"""With device_cache auto: the most of a GPU's free memory that pictures take."""


class Batches:
    """Training batches in a seeded order, mirrored and cropped by position.

    Args:
        data: the pictures.
        size: side of the pictures in a batch, pixels; at most the stored side.
        mirror: flip half of the pictures left to right.
        crop: "random" and "tiles" cut windows of ``size`` anywhere; all else takes the central one.
        seed: of order, mirroring and windows.
        device: where batches go.
        device_cache: keep all pictures on the device; auto: on a GPU where they fit. A CPU reads
            them from the store as quickly, and the system keeps them in memory where there is room.

    Raises:
        ValueError: ``size`` is larger than the stored side, or there is nothing to train on.

    Example:
        >>> batches = Batches(data, size=64, mirror=True, crop="center", seed=0, device="cpu")
        ... # doctest: +SKIP
        >>> images, labels = batches.batch(start=0, count=32)  # doctest: +SKIP
    """

    def __init__(
        self,
        data: PictureData,
        *,
        size: int,
        mirror: bool,
        crop: str,
        seed: int,
        device: torch.device | str,
        device_cache: Literal["auto", True, False] = "auto",
    ) -> None:
        stored = data.pictures.shape[-1]
        if size > stored:
            raise ValueError(f"pictures are stored at side {stored}, which is less than {size}")
        if not len(data.train):
            raise ValueError("there is no picture to train on")
        self.data, self.size, self.mirror, self.seed = data, size, mirror, seed
        self.device = torch.device(device)
        self._room = stored - size
        self._random = crop in ("random", "tiles")
        self._train = torch.from_numpy(data.train)
        self._labels = None if data.labels is None else torch.from_numpy(data.labels)
        self._permutation = lru_cache(maxsize=2)(self._shuffled)
        stores = [data.pictures] if data.inputs is None else [data.pictures, data.inputs]
        total = sum(store.nbytes for store in stores)
        kept = _fits(total, self.device) if device_cache == "auto" else device_cache
        self._stores: list[np.ndarray | Tensor] = [
            torch.from_numpy(np.array(store)).to(self.device) if kept else store for store in stores
        ]

    def indices(self, start: int, count: int) -> Tensor:
        """Returns which pictures come at positions start to start + count, int64 ``(count,)``.

        The stream is a permutation of the training pictures an epoch, one after the other; each
        depends on (seed, epoch) alone.
        """
        parts, total = [], len(self._train)
        while count > 0:
            epoch, offset = divmod(start, total)
            part = self._permutation(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def batch(self, start: int, count: int) -> tuple[Tensor, Tensor | None]:
        """Returns training pictures number start to start + count of the stream.

        Returns:
            float32 ``(count, C, size, size)`` in [-1, 1], and their labels int64 ``(count,)`` or
            None, both on the device.
        """
        labels = None
        if self._labels is not None:
            labels = self._sent(self._labels[self.indices(start, count)])
        return self._cut(self._stores[0], start, count), labels

    def inputs(self, start: int, count: int) -> Tensor | None:
        """Returns what the encoder sees in place of `batch`, as its pictures; None: those.

        Windows and mirroring are those of the pictures themselves.
        """
        return self._cut(self._stores[1], start, count) if len(self._stores) > 1 else None

    def _cut(self, store: np.ndarray | Tensor, start: int, count: int) -> Tensor:
        bits = position_hash(self.seed, start, count)
        rows = self._rows(store, self.indices(start, count))
        pictures = self._windows(rows, bits) if self._random else middle(rows, self.size)
        if self.mirror:
            # Rows known on the host: no waiting for the device, and quicker than torch.where.
            flipped = self._sent(torch.from_numpy(np.flatnonzero(bits.numpy() & 1)))
            mirrored = pictures.index_select(0, flipped).flip(-1)
            pictures = pictures.index_copy(0, flipped, mirrored)
        return to_float(pictures)

    def pictures(self, indices: Tensor | np.ndarray | list[int], *, inputs: bool = False) -> Tensor:
        """Returns pictures by index as they are: uint8 ``(n, C, size, size)`` on the CPU.

        Windows are central and nothing is mirrored.

        Args:
            indices: of the pictures.
            inputs: what the encoder sees in their place, where the data has it.
        """
        return self.data.middles(np.asarray(indices, dtype=np.int64), self.size, inputs=inputs)

    def _shuffled(self, epoch: int) -> Tensor:
        rng = generator(self.seed, "order", epoch)
        return self._train[torch.randperm(len(self._train), generator=rng)]

    def _rows(self, store: np.ndarray | Tensor, chosen: Tensor) -> Tensor:
        if isinstance(store, Tensor):
            return store.index_select(0, self._sent(chosen))
        return self._sent(torch.from_numpy(store[chosen.numpy()]))

    def _sent(self, rows: Tensor) -> Tensor:
        """Returns rows of the host on the device; the host does not wait for their arrival."""
        if self.device.type == "cuda":
            # From memory that may be paged out, the driver first waits for all work before it.
            rows = rows.pin_memory()
        return rows.to(self.device, non_blocking=True)

    def _windows(self, rows: Tensor, bits: Tensor) -> Tensor:
        places = self._room + 1
        each = torch.arange(len(rows), device=self.device)
        top, left = (self._sent((bits >> shift).remainder(places)) for shift in (8, 32))
        every_window = rows.unfold(2, self.size, 1).unfold(3, self.size, 1)  # a view, no copy
        return every_window[each, :, top, left]


def position_hash(seed: int, start: int, count: int) -> Tensor:
    """Returns 63 well mixed bits for each position of the stream, int64 ``(count,)``, >= 0.

    Source: Steele, Lea, Flood 2014, SplitMix64, with the seed hashed into its first state.
    """
    with np.errstate(over="ignore"):
        state = np.arange(start, start + count, dtype=np.uint64) + np.uint64(1)
        state *= np.uint64(0x9E3779B97F4A7C15)
        state += _mixed(np.array([seed % 2**64], np.uint64) ^ np.uint64(0x6869726573766165))
        bits = _mixed(state)
    return torch.from_numpy((bits >> np.uint64(1)).astype(np.int64))


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _fits(num_bytes: int, device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return num_bytes <= DEVICE_SHARE * free
