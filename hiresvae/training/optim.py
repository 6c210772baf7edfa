"""Optimisers, the learning rate over the images seen, and averaged weights."""

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import nn

from hiresvae.settings import TrainingSettings

M = TypeVar("M", bound=nn.Module)


def make_optimizer(
    module: nn.Module, lr: float, betas: tuple[float, float], weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Returns Adam over all parameters of a network, fused into one kernel where that exists."""
    parameters = list(module.parameters())
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    optimizer = torch.optim.AdamW(
        parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused
    )
    optimizer.register_load_state_dict_post_hook(_in_order_of_weights)
    return optimizer


def _in_order_of_weights(optimizer: torch.optim.Optimizer) -> None:
    """Brings moments that were loaded into their weights' order in memory.

    Fused Adam goes through both byte by byte, and so takes moments that lie in another order for
    those of other weights; what is on disk may be of a version that chose another.
    """
    for weight, kept in optimizer.state.items():
        for name, value in kept.items():
            if value.shape == weight.shape:
                kept[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def rate_factor(settings: TrainingSettings, images: int) -> float:
    """Returns the factor of the learning rate after so many images: rise, hold, fall to 0.

    Example:
        >>> s = TrainingSettings(images=1000, lr_warmup=100, schedule="linear", decay_from=0.5)
        >>> [rate_factor(s, n) for n in (50, 300, 750, 1000)]
        [0.5, 1.0, 0.5, 0.0]
    """
    factor = min(1.0, images / settings.lr_warmup) if settings.lr_warmup else 1.0
    share = images / settings.images
    if settings.schedule == "constant" or share <= settings.decay_from:
        return factor
    fallen = min(1.0, (share - settings.decay_from) / max(1e-9, 1 - settings.decay_from))
    left = 1 - fallen if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * fallen))
    return factor * left


class Average(nn.Module, Generic[M]):
    """Exponential moving average of a model's weights: what is shown and saved.

    The half-life is in images, and at most a twentieth of what has been seen, so that the random
    start is soon forgotten (Karras et al. 2020, arXiv 2006.06676). Buffers are copied.

    Args:
        model: the model, not wrapped.
        half_life: images; 0 means no average: what is shown is the model itself.
    """

    model: M

    def __init__(self, model: M, half_life: int) -> None:
        super().__init__()
        self.half_life = half_life
        # Without an average a copy would only cost its time at each step.
        self.model = copy.deepcopy(model).requires_grad_(False).eval() if half_life else model

    @torch.no_grad()
    def update(self, model: M, images: int, batch_size: int) -> None:
        """Moves towards the model.

        Args:
            model: the model after its step.
            images: images seen so far, this step included.
            batch_size: images in this step.
        """
        if self.model is model:
            return
        half_life = min(self.half_life, 0.05 * images)
        keep = 0.5 ** (batch_size / half_life)
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - keep)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
