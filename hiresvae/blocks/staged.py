"""Networks in stages, of which a backward may work out each a second time instead of keeping it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Staged(nn.Module):
    """A network whose forward goes through its stages by `stage`.

    With `recompute` a stage keeps for the backward what it was given and what it gives, and is run
    once more when its gradient is due: memory of one stage at a time for a third more time
    (Chen et al. 2016, arXiv 1604.06174). A stage must give the same twice: all noise here depends
    on what it is for, never on what ran before.
    """

    recompute = False

    def stage(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """Returns ``function(*inputs)``, with its inside kept or not as `recompute` says."""
        if self.recompute and torch.is_grad_enabled():
            # The re-entrant kind would break gradients at single weights, which the balance takes.
            return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
        return function(*inputs)


def recompute_stages(network: nn.Module, wanted: bool) -> None:
    """Sets for all staged parts of a network whether they recompute."""
    for part in network.modules():
        if isinstance(part, Staged):
            part.recompute = wanted
