"""How hard each term of the model's loss pulls, told at ticks."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from hiresvae.adversary.balance import gradient_at
from hiresvae.models.contract import Outputs
from hiresvae.models.vae import VAE

TERMS = ("rate", "distortion", "adversary")
NORMS = (
    "bound_gradient_norm",
    *(f"{name}_gradient_norm{place}" for name in TERMS for place in ("", "_at_top")),
)
"""What the norms of `term_gradients` are told as, in their order."""


def term_gradients(
    vae: VAE,
    outputs: Outputs,
    bound_of: Callable[[Outputs], Tensor],
    felt: Tensor | None,
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[Tensor, ...]:
    """Returns each term's gradient at two places, in the order of `NORMS`.

    At the decoder's last layer, where the adversary is weighed against the bound; the KL has
    none there, as latents come before it. At the top rung's posterior all terms meet: names
    that end in ``_at_top``. Gradients add up over parts of a batch, norms do not.

    Args:
        vae: the model.
        outputs: of the model.
        bound_of: their loss ``()``.
        felt: of the adversary, ``()``, as the step's loss holds it; None without one, and then its
            gradients, the last two, are left out.
        scaler: of half precision.
    """
    at = partial(gradient_at, scaler=scaler)
    only_rate = replace(outputs, distortion=outputs.distortion.detach())
    only_distortion = replace(outputs, rate=outputs.rate.detach())
    losses = [bound_of(only_rate), bound_of(only_distortion)]
    if felt is not None:
        losses.append(felt)
    top = vae.decoder.rung_list[0].read.weight
    return (
        at(bound_of(outputs), vae.last_layer),
        *(
            # A model without noise has no rate at all.
            at(loss, weight) if loss.requires_grad else torch.zeros_like(weight)
            for loss in losses
            for weight in (vae.last_layer, top)
        ),
    )
