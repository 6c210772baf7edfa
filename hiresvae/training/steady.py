"""What keeps the training of a deep ladder steady: balanced rungs, bounded slopes; if asked for.

Both look at figures of the global batch and keep what they saw in buffers, so that neither the
number of processes nor a break changes them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hiresvae.adversary.spectral import Bounded
from hiresvae.models.contract import Outputs
from hiresvae.models.vae import VAE
from hiresvae.settings import ModelSettings

FLOOR = 0.01
"""Nats added to every rung's rate, so that a silent one pays little and not nothing."""

HALF_LIFE = 1_000
"""Images after which a rate counts half."""


class KLBalance(nn.Module):
    """Factors of the rungs' rates while beta rises: ``(KL_l + 0.01) / s_l``, scaled to a mean of 1.

    A rung that spends much for its size pays more, one that spends little pays less, so that early
    on, when all rungs are cheap, none is left out. The size s_l is the number of a rung's latents
    over the rungs of its side.

    Source: Vahdat and Kautz 2020 (NVAE, arXiv 2007.03898, appendix A; code NVlabs/NVAE, utils.py).
    Where we differ: the KL is a running mean over batches and processes, and the size counts
    latents, not positions, as our top rung is a vector.

    Args:
        shapes: ``(D, h, w)`` of the rungs' latents, top first.
    """

    sizes: Tensor
    rate_sum: Tensor
    mass: Tensor

    def __init__(self, shapes: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        sides = [shape[1] for shape in shapes]
        sizes = [math.prod(s) / sides.count(side) for s, side in zip(shapes, sides, strict=True)]
        self.register_buffer("sizes", torch.tensor(sizes), persistent=False)
        self.register_buffer("rate_sum", torch.zeros(len(sizes)))
        self.register_buffer("mass", torch.zeros(()))

    @property
    def factors(self) -> Tensor:
        """The factors ``(L,)``, on the device; by size alone before anything was observed."""
        wanted = (self.rate_sum / self.mass.clamp_min(1e-12) + FLOOR) / self.sizes
        return wanted / wanted.mean()

    @torch.no_grad()
    def observe(self, rate: Tensor, count: Tensor, images: int) -> None:
        """Takes in the rates of the global batch; what is not finite changes nothing.

        Args:
            rate: summed over rows, nats ``(L,)``.
            count: of these rows ``()``.
            images: pictures in a step.
        """
        usable = rate.isfinite().all() & count.isfinite()
        fade = 0.5 ** (images / HALF_LIFE)
        for total, new in ((self.rate_sum, rate / count), (self.mass, torch.ones_like(count))):
            total.copy_(torch.where(usable, total * fade + (1 - fade) * new, total))


class SpectralPenalty(nn.Module):
    """The sum of the largest singular values of a network's convolutions and linear layers.

    Bounds how much the model enlarges what it is given, and with it the KL of deep rungs. A step's
    value uses vectors followed by one power iteration a step.

    Source: Vahdat and Kautz 2020 (NVAE, arXiv 2007.03898, section 3.2), after Yoshida and Miyato
    2017 (arXiv 1705.10941).

    Args:
        network: its weights may move, but not be exchanged for others.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        self.weights = [layer.weight for layer in layers]  # a list: they are the network's own
        self.vectors = nn.ModuleList(Bounded(weight.detach().cpu()) for weight in self.weights)

    def _pairs(self) -> list[tuple[Bounded, Tensor]]:
        found = zip(self.vectors, self.weights, strict=True)
        return [(vectors, weight) for vectors, weight in found if isinstance(vectors, Bounded)]

    def forward(self) -> Tensor:
        """Returns the sum ``()``, differentiable; a layer of zeros is pushed nowhere."""
        return torch.stack([vectors.norm(weight).relu() for vectors, weight in self._pairs()]).sum()

    def follow(self, skip: Tensor | None = None) -> None:
        """Follows the weights after they moved, unless the step was skipped, bool ``()``."""
        for vectors, weight in self._pairs():
            vectors.follow(weight, skip)


@dataclass(frozen=True)
class Steady:
    """What the settings ask for.

    Attributes:
        settings: the section ``model``.
        dims: C * H * W.
        kl_balance: while beta rises; or None.
        spectral: or None.
    """

    settings: ModelSettings
    dims: int
    kl_balance: KLBalance | None = None
    spectral: SpectralPenalty | None = None

    @classmethod
    def of(cls, settings: ModelSettings, vae: VAE) -> "Steady":
        """Returns what these settings ask for, on the model's device."""
        balance = KLBalance(vae.latent_shapes) if settings.kl_balance else None
        spectral = SpectralPenalty(vae) if settings.spectral else None
        device = vae.last_layer.device
        for module in (balance, spectral):
            if module is not None:
                module.to(device)
        return cls(settings, vae.channels * vae.size**2, balance, spectral)

    def kept(self) -> dict[str, nn.Module]:
        """Returns what a checkpoint keeps, by name."""
        every = {"kl_balance": self.kl_balance, "spectral": self.spectral}
        return {name: module for name, module in every.items() if module is not None}

    def balance(self, beta: float) -> Tensor | None:
        """Returns the factors of the rungs' rates ``(L,)`` while beta rises; then None."""
        if self.kl_balance is None or beta >= self.settings.beta:
            return None
        return self.kl_balance.factors

    def penalised(self, bound: Tensor, logs: dict[str, Tensor]) -> Tensor:
        """Returns the bound with what the settings add, which is also told in ``logs``."""
        if self.spectral is None:
            return bound
        penalty = self.spectral()
        logs["spectral"] = penalty.detach()
        return bound + self.settings.spectral / self.dims * penalty

    def sums(self, outputs: Outputs) -> dict[str, tuple[Tensor, ...]]:
        """Returns what `observe` takes of some rows, to be added up over parts and processes."""
        if self.kl_balance is None:
            return {}
        rate = outputs.rate.detach()
        return {"rate": (rate.sum(0), rate.new_full((), len(rate)))}

    def observe(self, totals: Mapping[str, Sequence[Tensor]], images: int, skip: Tensor) -> None:
        """After the weights moved: takes in the sums over the global batch of so many images.

        Args:
            totals: of `sums`; not finite where the step was skipped.
            images: pictures in a step.
            skip: bool ``()``, whether the step was skipped.
        """
        if self.kl_balance is not None:
            rate, count = totals["rate"]
            self.kl_balance.observe(rate, count, images)
        if self.spectral is not None:
            self.spectral.follow(skip)
