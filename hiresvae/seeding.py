"""Random numbers that depend on what they are for, never on what ran before.

Noise for a training step is drawn for the *global* batch from (seed, stream, step) and each process
takes its own rows. So nothing of a generator's state needs saving to continue a run bit for bit,
and two processes see the numbers that one would.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def generator(seed: int, *key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Returns a fresh torch.Generator whose numbers depend on the seed and the key alone.

    Example:
        >>> a, b = (torch.rand(2, generator=generator(0, "noise", 7)) for _ in range(2))
        >>> bool((a == b).all())
        True
    """
    text = ":".join(str(part) for part in (seed, *key)).encode()
    # Two checksums of the same words give 64 bits; crc32 is the same on every machine, hash() not.
    state = zlib.crc32(text) << 32 | zlib.crc32(text[::-1] + b"hiresvae")
    rng = torch.Generator(device=device)
    rng.manual_seed(state & 0x7FFF_FFFF_FFFF_FFFF)
    return rng


def picture_noise(seed: int, numbers: list[int], device: torch.device) -> Callable[..., Tensor]:
    """Returns noise whose row for picture i depends on (seed, i) only, whatever the batch.

    It takes a stream and a shape, and gives standard normal numbers ``(n, *shape)``.
    """

    def noise(stream: str, *shape: int) -> Tensor:
        rows = [torch.randn(shape, generator=generator(seed, stream, i)) for i in numbers]
        return torch.stack(rows).to(device)

    return noise


@dataclass(frozen=True)
class Shard:
    """The rows of a global batch that one process works on.

    Attributes:
        total: pictures in the global batch.
        start: this process's first row.
        stop: one past its last row.
    """

    total: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many rows this process has."""
        return self.stop - self.start


class Noise:
    """The random numbers of one step, as this process needs them.

    Every call names a stream; numbers are drawn for the whole batch of all processes and cut to
    this process's rows, so that the split over processes does not change what is drawn.
    """

    def __init__(
        self, seed: int, step: int, shard: Shard, device: torch.device | str = "cpu"
    ) -> None:
        self.seed, self.step, self.shard, self.device = seed, step, shard, device

    def _rng(self, stream: str) -> torch.Generator:
        return generator(self.seed, stream, self.step, device=self.device)

    def normal(self, stream: str, *shape: int) -> Tensor:
        """Returns standard normal numbers ``(n, *shape)`` for this process's n rows."""
        draws = torch.randn(
            self.shard.total, *shape, generator=self._rng(stream), device=self.device
        )
        return draws[self.shard.start : self.shard.stop]

    def uniform(self, stream: str, *shape: int) -> Tensor:
        """Returns uniform numbers in [0, 1) ``(n, *shape)`` for this process's n rows."""
        draws = torch.rand(
            self.shard.total, *shape, generator=self._rng(stream), device=self.device
        )
        return draws[self.shard.start : self.shard.stop]
