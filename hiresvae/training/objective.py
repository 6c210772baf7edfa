"""What a training step minimises: the evidence bound, and the push of the adversary.

Both are in nats per dimension of a picture (C * H * W), so that weights mean the same at any size.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hiresvae.adversarial import PAIRED, AdversarySettings, IntrospectiveSettings
from hiresvae.models.contract import Outputs
from hiresvae.settings import ModelSettings


def kl_weight(settings: ModelSettings, share: float) -> float:
    """Returns beta after a share of training: it rises linearly from 0 over ``kl_warmup``.

    Example:
        >>> kl_weight(ModelSettings(beta=2.0, kl_warmup=0.5), 0.25)
        1.0
    """
    if settings.kl_warmup == 0:
        return settings.beta
    return settings.beta * min(1.0, share / settings.kl_warmup)


def bound_loss(
    outputs: Outputs,
    dims: int,
    beta: float,
    free_nats: float,
    balance: Tensor | None = None,
    mean_rate: Tensor | None = None,
    distortion_weight: float = 1.0,
) -> Tensor:
    """Returns ``(distortion + beta * rate) / dims`` averaged over the batch, nats per dimension.

    Free nats are per rung on the mean over the batch: a rung whose mean rate lies below them is not
    pushed down any further (Kingma et al. 2016, arXiv 1606.04934, section C.8).

    Args:
        outputs: of the model.
        dims: C * H * W.
        beta: weight of the rate.
        free_nats: nats a rung may spend unpenalised.
        balance: factor of each rung's rate ``(L,)``; None is 1.
        mean_rate: mean rate ``(L,)`` over the whole batch, of which the outputs may be a part; it
            decides which rungs are free. None: these rows are the whole.
        distortion_weight: factor of the distortion.
    """
    rate = outputs.rate.mean(0)
    if free_nats > 0:
        whole = rate.detach() if mean_rate is None else mean_rate
        rate = torch.where(whole < free_nats, free_nats, rate)
    if balance is not None:
        rate = balance * rate
    return (distortion_weight * outputs.distortion.mean() + beta * rate.sum()) / dims


def bound_figures(outputs: Outputs, bound: Tensor) -> dict[str, Tensor]:
    """Returns what a step tells of its bound, by name; the rate of each rung where there are more.

    Args:
        outputs: of the model.
        bound: their loss, the distortion whole.
    """
    rate = outputs.rate.detach().mean(0)
    return {
        "distortion_nats": outputs.distortion.detach().mean(),
        "rate_nats": rate.sum(),
        **({f"rate_nats_{i}": r for i, r in enumerate(rate)} if len(rate) > 1 else {}),
        "error": outputs.error.detach().mean(),
        "bound_nats_per_dim": bound.detach(),
    }


def adversary_share(
    settings: AdversarySettings | IntrospectiveSettings, share: float
) -> float | None:
    """Returns the weight's factor in the ramp, or None before the adversary's start.

    The critic learns from the start on; the model feels it after the warm-up, as the ramp rises.
    """
    if share < settings.start:
        return None
    # An encoder that judges has learnt all along: it needs no warm-up.
    warmup = settings.warmup if isinstance(settings, AdversarySettings) else 0.0
    since = share - settings.start - warmup
    if settings.ramp == 0:
        return 1.0 if since >= 0 else 0.0
    return min(1.0, max(0.0, since / settings.ramp))


@dataclass(frozen=True)
class Fakes:
    """Which rows of a batch are shown to the critic as what.

    Rows take turns: with two kinds, row 0 is a reconstruction, row 1 a sample, and so on, by their
    number in the batch of all processes.

    Attributes:
        paired: bool ``(n,)``, where the fake is made of the row's own picture.
        sampled: int64 ``(m,)``, the rows that show no reconstruction, but what is drawn anew.
        reconstructed: int64 ``(n - m,)``, all others.
        standard: bool ``(m,)``, which of these samples come from N(0, I).
        coarse: bool ``(m,)``, which have the top rungs of the row's picture; None: none has.
        invented: int64 ``(k,)``, which of these samples no picture has a part in.
        paired_share: share of what is made of the rows' own pictures in the batch of all processes.
        coarse_share: share of the coarse ones in it.
    """

    paired: Tensor
    sampled: Tensor
    reconstructed: Tensor
    standard: Tensor
    coarse: Tensor | None
    invented: Tensor
    paired_share: float
    coarse_share: float

    @classmethod
    def of_rows(
        cls,
        kinds: Sequence[str],
        start: int,
        count: int,
        device: torch.device,
        total: int | None = None,
    ) -> "Fakes":
        """Returns the plan for ``count`` rows from row ``start`` of a batch of ``total`` rows.

        Where no total is given, these rows are the batch.
        """
        return _plan(tuple(kinds), start % len(kinds), count, device, total)

    def coarse_loss(self, outputs: Outputs, dims: int) -> Tensor:
        """Returns the distortion of the coarse fakes, nats per dimension; 0 where there are none.

        The mean over those of the batch of all processes, once its parts are averaged.

        Args:
            outputs: of the rows of this plan.
            dims: C * H * W.
        """
        if outputs.coarse is None:
            return outputs.distortion.new_zeros(())
        return outputs.coarse.sum() / (len(self.paired) * self.coarse_share * dims)

    def mix(self, outputs: Outputs) -> Tensor:
        """Returns the fakes ``(N, C, H, W)``: reconstructions with samples in their rows."""
        if outputs.sample is None:
            return outputs.reconstruction
        return outputs.reconstruction.index_copy(0, self.sampled, outputs.sample)

    def drawn(self, outputs: Outputs, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Returns the invented samples ``(k, C, H, W)`` and their labels ``(k,)``."""
        rows = self.sampled[self.invented]
        samples = outputs.reconstruction[:0]  # there are none
        if outputs.sample is not None:
            samples = outputs.sample[self.invented]
        return samples, None if labels is None else labels[rows]


@functools.lru_cache(maxsize=32)
def _plan(
    kinds: tuple[str, ...], first: int, count: int, device: torch.device, total: int | None
) -> Fakes:
    """Returns the plan of rows; kept, so that no step waits for the device to be told again."""
    chosen = [kinds[(first + i) % len(kinds)] for i in range(count)]
    batch = chosen if total is None else [kinds[i % len(kinds)] for i in range(total)]
    sampled = [i for i, kind in enumerate(chosen) if kind != "reconstructions"]
    reconstructed = [i for i, kind in enumerate(chosen) if kind == "reconstructions"]
    coarse = [chosen[i] == "coarse" for i in sampled]
    return Fakes(
        torch.tensor([kind in PAIRED for kind in chosen], device=device),
        torch.tensor(sampled, dtype=torch.int64, device=device),
        torch.tensor(reconstructed, dtype=torch.int64, device=device),
        torch.tensor([chosen[i] == "standard" for i in sampled], dtype=torch.bool, device=device),
        torch.tensor(coarse, device=device) if any(coarse) else None,
        torch.tensor(
            [i for i, own in enumerate(coarse) if not own], dtype=torch.int64, device=device
        ),
        sum(map(batch.count, PAIRED)) / max(1, len(batch)),
        batch.count("coarse") / max(1, len(batch)),
    )
