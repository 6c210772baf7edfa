"""Penalties on the code: few latents that are large, or latents that small changes do not move.

All are in nats a picture, so that a weight means what ``beta`` means to the KL: an L1 of weight w
is the negative logarithm of a Laplace prior of rate w, up to a constant.
"""

import torch
from torch import Tensor
from torch.nn import Linear
from torch.nn.functional import linear

from hiresvae.autoencoding import CodeSettings
from hiresvae.models.backbones import DenseEncoder
from hiresvae.models.contract import NormalNoise, Outputs
from hiresvae.models.latent import GaussianRung
from hiresvae.models.vae import VAE


def activity_kl(latents: Tensor, target: float) -> Tensor:
    """Returns the KL of a target activity from that of each latent, nats, summed to ``()``.

    ``sum over j of r ln(r / q_j) + (1 - r) ln((1 - r) / (1 - q_j))`` with q_j the mean over the
    batch of the sigmoid of latent j. It is 0 where all are as active as the target on average, and
    therefore each active for few pictures. Of a batch in parts, q_j is that of a part.

    Args:
        latents: ``(N, D)``.
        target: r, above 0 and below 1.

    Source: Ng 2011, Sparse autoencoder (CS294A lecture notes), section 3.
    """
    mean = latents.float().sigmoid().mean(0).clamp(1e-6, 1 - 1e-6)
    r = mean.new_full((), target)  # filled there, not sent there
    return (r * (r / mean).log() + (1 - r) * ((1 - r) / (1 - mean)).log()).sum()


def top_code(vae: VAE, images: Tensor, labels: Tensor | None) -> Tensor:
    """Returns the mean of the top rung's posterior, ``(N, D)``."""
    features, rung = vae.features(images, labels), vae.decoder.rung_list[0]
    state = images.new_zeros(len(images))  # the top rung's posterior does not look at it
    return rung.posterior(state, features[rung.shape[1]], None).mean.flatten(1)


def exact_contraction(encoder: DenseEncoder, rung: GaussianRung, hidden: Tensor) -> Tensor:
    """Returns the squared Frobenius norm of the code's Jacobian by the picture, ``(N,)``.

    The code is ``R f(W x + c) + b`` with f piecewise linear, of slopes d at the hidden units; so
    ``|R diag(d) W|^2 = d' [(R'R) * (W W')] d``, elementwise in the brackets, without any backward.

    Args:
        encoder: of one layer.
        rung: reads the code from its features.
        hidden: ``W x + c``, ``(N, H)``.

    Source: Rifai et al. 2011, Contractive auto-encoders, ICML, equation 7, there for a code that
    is the hidden layer itself.
    """
    (layer,) = encoder.layers
    slopes = torch.where(hidden > 0, 1.0, encoder.slope).detach()
    assert isinstance(layer, Linear)
    into = layer.weight.float()[:, : layer.in_features - encoder.condition_dim]
    out = rung.read.weight.float()[: rung.shape[0]].flatten(1)  # the rest gives the variance
    gram = (out.T @ out) * (into @ into.T)
    return (linear(slopes, gram) * slopes).sum(1)


def probed_contraction(code: Tensor, images: Tensor, noise: NormalNoise, probes: int) -> Tensor:
    """Returns an unbiased estimate of the squared norm of a code's Jacobian, ``(N,)``.

    ``|J|^2 = E |J' v|^2`` for standard normal v: a backward for each probe, to be differentiated.

    Args:
        code: ``(N, D)``, a function of the images row by row.
        images: ``(N, C, H, W)`` that require a gradient.
        noise: standard normal numbers by stream.
        probes: how many v to average over.

    Source: Hutchinson 1989, A stochastic estimator of the trace.
    """
    found = []
    for k in range(probes):
        towards = noise(f"probe {k}", code.shape[1])
        (pulled,) = torch.autograd.grad(code, images, towards, create_graph=True)
        found.append(pulled.square().flatten(1).sum(1))
    return torch.stack(found).mean(0)


def contraction(
    vae: VAE, images: Tensor, labels: Tensor | None, noise: NormalNoise, probes: int
) -> Tensor:
    """Returns the squared norm of the top code's Jacobian by the picture, ``(N,)``, in float32.

    Exact where the encoder has one layer, else estimated.

    Args:
        vae: the model, not wrapped.
        images: what its encoder sees, ``(N, C, H, W)``.
        labels: ``(N,)``, or None.
        noise: standard normal numbers by stream.
        probes: of the estimate.
    """
    encoder, rung = vae.encoder, vae.decoder.rung_list[0]
    # Double backward in half precision overflows.
    with torch.autocast(images.device.type, enabled=False):
        if isinstance(encoder, DenseEncoder) and len(encoder.layers) == 1:
            with torch.no_grad():
                hidden = vae.features(images, labels)[1].flatten(1)
            return exact_contraction(encoder, rung, hidden)
        images = images.detach().float().requires_grad_(True)
        return probed_contraction(top_code(vae, images, labels), images, noise, probes)


class CodePenalties:
    """The penalties that the settings ask for.

    L1 and activity are of the latents of all rungs as they were drawn; contraction is of the top
    rung's mean.

    Args:
        settings: the section ``code``.
        vae: the model, not wrapped: its wrapper was called for the bound, and one backward serves
            all.
    """

    def __init__(self, settings: CodeSettings, vae: VAE) -> None:
        self.settings, self.vae = settings, vae
        self.dims = vae.channels * vae.size**2

    def __call__(
        self, outputs: Outputs, images: Tensor, labels: Tensor | None, noise: NormalNoise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns what to add to a loss in nats per dimension, and each penalty unweighted.

        Args:
            outputs: of the step.
            images: what the encoder saw, ``(N, C, H, W)``.
            labels: ``(N,)``, or None.
            noise: standard normal numbers of the step.
        """
        chosen, terms = self.settings, {}
        latents = torch.cat([z.float().flatten(1) for z in outputs.latents], 1)
        if chosen.l1 > 0:
            terms["code_l1"] = chosen.l1, latents.abs().sum(1).mean()
        if chosen.sparsity > 0:
            terms["code_sparsity"] = chosen.sparsity, activity_kl(latents, chosen.activity)
        if chosen.contraction > 0:
            norm = contraction(self.vae, images, labels, noise, chosen.probes)
            terms["code_contraction"] = chosen.contraction, norm.mean()
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum() / self.dims
        return loss, {name: value.detach() for name, (_, value) in terms.items()}


def make_penalties(settings: CodeSettings, vae: VAE) -> CodePenalties | None:
    """Returns what the section ``code`` asks for, or None if that is nothing."""
    asked = settings.l1 > 0 or settings.sparsity > 0 or settings.contraction > 0
    return CodePenalties(settings, vae) if asked else None
