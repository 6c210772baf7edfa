"""The encoder as critic: an adversary that needs no network of its own.

Made pictures (reconstructions and samples) are encoded once more. The encoder learns to give them
a low evidence, the decoder to make such as the encoder finds likely: to both, a picture is as good
as its evidence bound.

Source: Daniel and Tamar 2021 (Soft-IntroVAE, arXiv 2012.13253), equations 8 and 9; code
taldatech/soft-intro-vae-pytorch. Where we differ: both sides move in one step of one Adam (which
holds moments for each weight, so it is as two), not one after the other; the term that decodes
made pictures once more for the decoder has the weight 1e-8 there and is left out.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from hiresvae.adversarial import IntrospectiveSettings
from hiresvae.adversary.balance import gradient_at
from hiresvae.distributions.likelihoods import LocationScaleHead
from hiresvae.models.contract import Outputs
from hiresvae.models.draws import FromPrior, Given, Together
from hiresvae.models.vae import VAE, stacked
from hiresvae.seeding import Noise
from hiresvae.training.running_prior import RunningGaussian


def falling(exponent: Tensor) -> Tensor:
    """Returns ``exp(x)`` below 0 and ``1 + x`` above: as smooth, and never too large.

    Example:
        >>> falling(torch.tensor([-1e9, 0.0, 1e9])).tolist()
        [0.0, 1.0, 1000000000.0]
    """
    return exponent.clamp_max(0).exp() + exponent.relu()


def encoder_names(vae: VAE) -> set[str]:
    """Returns the names of the parameters that make posteriors: the encoder and what reads it."""
    parts = [vae.encoder, *(rung.read for rung in vae.decoder.rung_list)]
    own = {id(parameter) for part in parts for parameter in part.parameters()}
    return {name for name, parameter in vae.named_parameters() if id(parameter) in own}


class Introspected(NamedTuple):
    """What a step takes from the encoder as critic.

    Attributes:
        judged: what the encoder is to learn, weighted, ``()``.
        felt: what the decoder feels of it, weighted, ``()``.
        made: N reconstructions and N samples ``(2N, C, H, W)``.
        logs: figures by name.
    """

    judged: Tensor
    felt: Tensor
    made: Tensor
    logs: dict[str, Tensor]


class Introspection:
    """Both sides' terms, whose gradients reach the encoder or the decoder alone.

    With y of N reconstructions and N samples, D = C * H * W and e(y) the misfit of y, that is what
    its distortion is above that of a perfect reconstruction:

    - encoder: ``1/4 [mean exp(-2 a(y)) of reconstructions + the same of samples]``,
      ``a(y) = (beta_rec * e(y) + beta_neg * KL(y)) / D``; y and the decoder are constants;
    - decoder: ``beta / (2 D) * [mean KL(y) of reconstructions + the same of samples]``; the
      latents that y is decoded from and the encoder are constants.

    Both are in nats per dimension beside the bound, which stays as it is.

    Args:
        settings: the section ``introspective``.
        vae: the model, not wrapped: its wrapper was called for the bound, and one backward serves
            all.
        running: the fit of the aggregate posterior.
        scaler: of the gradients, in half precision.
    """

    def __init__(
        self,
        settings: IntrospectiveSettings,
        vae: VAE,
        running: RunningGaussian,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.settings, self.vae, self.running, self.scaler = settings, vae, running, scaler
        self.dims = vae.channels * vae.size**2
        self.encoder_names = encoder_names(vae)

    def __call__(
        self, outputs: Outputs, labels: Tensor | None, noise: Noise, beta: float, ramp: float
    ) -> Introspected:
        """Returns what to add to the loss of the step, and what it was worked out from.

        Args:
            outputs: of real pictures, N rows.
            labels: ``(N,)`` of these, shared by what is made; or None.
            noise: numbers of this step.
            beta: weight of the rate in the bound.
            ramp: factor of the weight, 0 to 1.
        """
        twice = None if labels is None else torch.cat([labels, labels])
        made = self.make(outputs, labels, noise)
        seen = made.detach().requires_grad_(True)
        again = self.judge(seen, twice, noise)
        rate = again.rate.sum(1)
        pull = beta * rate.mean() / self.dims
        weight = ramp * self.settings.weight
        # The decoder feels the encoder's judgement through the pictures alone, as from a critic.
        push = gradient_at(weight * pull, seen, needed=True, scaler=self.scaler)
        judged = 0.5 * falling(-2 * self.evidence_lack(again, outputs)).mean()
        of_reconstructions, of_samples = rate.detach().view(2, -1).mean(1)
        logs = {
            "introspective_encoder": judged.detach(),
            "introspective_decoder": pull.detach(),
            "rate_nats_of_reconstructions": of_reconstructions,
            "rate_nats_of_samples": of_samples,
        }
        return Introspected(weight * judged, (made * push).sum(), made, logs)

    def make(self, outputs: Outputs, labels: Tensor | None, noise: Noise) -> Tensor:
        """Returns N reconstructions and N samples ``(2N, C, H, W)``, of the decoder alone."""
        count = len(outputs.reconstruction)
        top = noise.normal("introspective top", self.running.means.shape[1])
        if self.settings.fakes == "fitted":
            top = self.running.sample(top, labels)

        def lower(stream: str, *shape: int) -> Tensor:
            return noise.normal(f"introspective {stream}", *shape)

        known = Given([z.detach() for z in outputs.latents], FromPrior(None))
        draw = Together(
            known, count, FromPrior(lower, self.vae.temperatures(), self.vae.top_parts(top))
        )
        twice = None if labels is None else torch.cat([labels, labels])
        walk = self.vae.walk(draw, twice, 2 * count, stacked(noise.normal, lower))
        return self.vae.likelihood(walk.head).mean.float()

    def judge(self, seen: Tensor, labels: Tensor | None, noise: Noise) -> Outputs:
        """Returns the outputs of made pictures ``(2N, C, H, W)`` with the decoder held still."""

        def doubled(stream: str, *shape: int) -> Tensor:
            kinds = ("reconstructions", "samples")
            return torch.cat([noise.normal(f"{stream} of {kind}", *shape) for kind in kinds])

        still = {
            name: parameter.detach()
            for name, parameter in self.vae.named_parameters()
            if name not in self.encoder_names
        }
        outputs: Outputs = functional_call(self.vae, still, (seen, labels), {"noise": doubled})
        return outputs

    def evidence_lack(self, made: Outputs, real: Outputs) -> Tensor:
        """Returns a(y) in nats per dimension ``(2N,)``; relative: less that of the real rows."""
        lack = self._lack(made)
        if not self.settings.relative:
            return lack
        return lack - self._lack(real).detach().repeat(2)

    def _lack(self, outputs: Outputs) -> Tensor:
        chosen = self.settings
        return chosen.beta_rec * self._misfit(outputs) + (
            chosen.beta_neg * outputs.rate.sum(1) / self.dims
        )

    def _misfit(self, outputs: Outputs) -> Tensor:
        """Returns the misfit per dimension ``(n,)``, 0 or more, so that no exponent is positive.

        A density can be above 1 and its distortion below 0; that of a discrete one cannot.
        """
        head = self.vae.likelihood
        if not isinstance(head, LocationScaleHead):
            return outputs.distortion / self.dims
        log_scale = head.current_log_scale().detach()
        if head.name == "gaussian":
            return 0.5 * outputs.error * (-2 * log_scale).exp()
        return outputs.error * (-log_scale).exp()
