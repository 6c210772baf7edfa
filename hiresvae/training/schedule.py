"""How far a training has come, for what begins and rises by shares of it."""

import torch
from torch import Tensor, nn


class Schedule(nn.Module):
    """The share of a training that has been done; it never falls.

    A training that is over may be made longer. What has begun by then, the adversary or the KL's
    full weight, stays: by shares of the new length it would end, and begin a second time. So the
    furthest share is remembered, in the checkpoint as well.

    Args:
        images: of the whole training.
    """

    furthest: Tensor

    def __init__(self, images: int) -> None:
        super().__init__()
        self.images = images
        self.register_buffer("furthest", torch.zeros((), dtype=torch.float64))
        self._known = 0.0  # the same, for the host, which waits for no device
        self.register_load_state_dict_post_hook(_read)  # type: ignore[no-untyped-call]

    def share(self, images: int) -> float:
        """Returns the share that schedules go by after so many images: 0, or some of 1."""
        return max(images / self.images, self._known)

    def reached(self, images: int) -> float:
        """Returns the `share`, and remembers it."""
        self._known = self.share(images)
        self.furthest.fill_(self._known)
        return self._known


def _read(module: Schedule, _: object) -> None:
    module._known = float(module.furthest)
