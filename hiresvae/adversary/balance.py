"""How strongly the adversary pushes: its gradient beside the bound's, where both are born."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Verdict

TINY = 1e-12
"""Keeps a ratio of norms finite; the cap rules long before."""


def gradient_at(
    loss: Tensor,
    place: Tensor,
    *,
    needed: bool = False,
    scaler: torch.amp.GradScaler | None = None,
) -> Tensor:
    """Returns the gradient of a loss at one tensor; zeros where the loss does not depend on it.

    Leaves nothing in any ``.grad``, and no process waits for another; the graph is kept.

    Args:
        loss: ``()``.
        place: a parameter, or what a network has made or been shown.
        needed: whether a loss that does not depend on the place is a fault.
        scaler: of half precision, where what is passed back would fall below the smallest number:
            enlarges it on the way, and the result is told at its own size.

    Raises:
        RuntimeError: the loss does not depend on the place, but has to.
    """
    (gradient,) = torch.autograd.grad(
        loss if scaler is None else scaler.scale(loss),
        place,
        retain_graph=True,
        allow_unused=not needed,
        materialize_grads=not needed,
    )
    if scaler is None:
        return gradient
    return gradient.float() / scaler.scale(torch.ones_like(loss))


class Balance(nn.Module):
    """The running ratio of two gradients' norms at the decoder's last layer.

    ``ratio = |d bound / d w| / |d adversarial / d w|``, at most ``balance_cap``, smoothed with a
    half-life of ``balance_images``. The adversarial term counts ``weight * ratio``, so that its
    gradient there is ``weight`` times the bound's; feature matching, a kind of distortion, keeps
    its own weight. The norms are those of the global batch, so that the ratio depends neither on
    the number of processes nor on accumulation. Before the first measurement the ratio is 0: the
    model feels nothing that was not weighed.

    Source: Esser et al. 2021 (arXiv 2012.09841), equation 7; their code caps at 1e4, does
    not smooth, and lets each process have its own.

    Args:
        settings: the section ``adversary``.
    """

    ratio_sum: Tensor
    mass: Tensor

    def __init__(self, settings: AdversarySettings) -> None:
        super().__init__()
        self.settings = settings
        # Faded sums of ratios and of ones: their quotient needs no correction of a start at 0.
        self.register_buffer("ratio_sum", torch.zeros(()))
        self.register_buffer("mass", torch.zeros(()))

    def due(self, number: int) -> bool:
        """Whether step ``number`` measures: only now and then, as it costs a backward."""
        return number % self.settings.balance_every == 0

    @property
    def ratio(self) -> Tensor:
        """The running ratio ``()``, on the device."""
        return self.ratio_sum / self.mass.clamp_min(TINY)

    def weighted(self, verdict: Verdict) -> Verdict:
        """Returns the verdict with the model's adversarial term times the ratio."""
        term = self.ratio * verdict.model["adversarial"]
        return replace(verdict, model=verdict.model | {"adversarial": term})

    @torch.no_grad()
    def observe(self, bound: Tensor, adversarial: Tensor, images: int) -> None:
        """Takes in one measurement; one that is not finite changes nothing.

        Args:
            bound: gradient of the bound at the decoder's last layer, of the global batch.
            adversarial: likewise of the adversarial term, weighed by neither ramp nor weight;
                both may share any factor.
            images: pictures in a step.
        """
        ratio = bound.float().norm() / adversarial.float().norm().clamp_min(TINY)
        usable = ratio.isfinite()
        ratio = ratio.clamp_max(self.settings.balance_cap)
        # As many images as lie between two measurements.
        fade = 0.5 ** (images * self.settings.balance_every / self.settings.balance_images)
        for total, new in ((self.ratio_sum, ratio), (self.mass, torch.ones_like(ratio))):
            total.copy_(torch.where(usable, total * fade + (1 - fade) * new, total))
