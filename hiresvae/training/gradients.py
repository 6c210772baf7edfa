"""How hard each term of the model's loss pulls, told at ticks."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hiresvae.adversary.balance import gradient_at
from hiresvae.models.contract import Outputs
from hiresvae.models.vae import VAE


def gradient_norms(
    vae: VAE,
    outputs: Outputs,
    bound_of: Callable[[Outputs], Tensor],
    felt: Tensor | None,
) -> dict[str, Tensor]:
    """Returns the norms of each term's gradient at two places, by name.

    At the decoder's last layer, where the adversary is weighed against the bound; the KL has
    none there, as latents come before it. At the top rung's posterior all terms meet: names
    that end in ``_at_top``.

    Args:
        vae: the model.
        outputs: of the model.
        bound_of: their loss ``()``.
        felt: of the adversary, ``()``, as the step's loss holds it; None without one.
    """
    only_rate = replace(outputs, distortion=outputs.distortion.detach())
    only_distortion = replace(outputs, rate=outputs.rate.detach())
    losses = {"rate": bound_of(only_rate), "distortion": bound_of(only_distortion)}
    if felt is not None:
        losses["adversary"] = felt
    norms = {"bound_gradient_norm": gradient_at(bound_of(outputs), vae.last_layer).norm()}
    top = vae.decoder.rung_list[0].read.weight
    for name, loss in losses.items():
        for place, weight in (("", vae.last_layer), ("_at_top", top)):
            # A model without noise has no rate at all.
            gradient = gradient_at(loss, weight) if loss.requires_grad else torch.zeros_like(weight)
            norms[f"{name}_gradient_norm{place}"] = gradient.norm()
    return norms
