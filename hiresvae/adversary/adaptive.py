"""How often the critic's pictures are augmented: always, at a fixed rate, or as it learns by heart.

Source: Karras et al. 2020, Training generative adversarial networks with limited data,
arXiv 2006.06676, section 3, whose two heuristics r_t (training pictures alone) and r_v (held-out
ones beside them) both raise it here.
"""

import torch
from torch import Tensor, nn

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.augment import MOST

TARGET = 0.6
"""Sign statistic above which the critic is taken to be too certain."""
EVERY = 4
"""Steps whose mean statistic decides on one change."""


def certainty(name: str, real: Tensor, fake: Tensor) -> Tensor:
    """Returns the sign statistic of training pictures ``(N,)``, each -1, 0 or 1.

    ``sign(D(x))``, as published, where a logit of 0 means undecided (of least squares 0.5). A
    relativistic critic knows no such point: all its logits may shift together. What it learns is
    to rank each real picture above its own fake, so the statistic is ``sign(D(x) - D(fake))``:
    over a batch, the share of pairs ranked right mapped to [-1, 1]. Both are 0 for a critic that
    guesses, 1 for one that is always right; the rows are the loss's own pairs, so that classes do
    not mix and a batch split over processes has the same mean.

    Args:
        name: of the loss.
        real: logits ``(N,)``.
        fake: logits ``(N,)`` of the same rows.

    Example:
        >>> certainty("relativistic", torch.tensor([5.0, 5.0]), torch.tensor([4.0, 6.0])).tolist()
        [1.0, -1.0]
    """
    if name == "relativistic":
        return torch.sign(real - fake)
    return torch.sign(real - 0.5 if name == "least_squares" else real)


class AugmentProbability(nn.Module):
    """The probability with which a row is augmented by a kind; all state is in buffers.

    Fixed, or it moves against the critic's certainty: every `EVERY` steps by their images over
    ``augment_images``, up while the mean sign statistic lies above `TARGET` or held-out pictures
    are taken for made ones, down otherwise, within 0 and `MOST`. Nothing synchronises with the
    device.

    Args:
        settings: the section ``adversary``.
    """

    probability: Tensor
    sign_sum: Tensor
    num_observed: Tensor
    by_heart: Tensor

    def __init__(self, settings: AdversarySettings) -> None:
        super().__init__()
        chosen = settings.augment_probability
        self.adaptive = chosen == "adaptive"
        self.fixed = 1.0 if isinstance(chosen, str) else float(chosen)
        self.images = settings.augment_images
        self.register_buffer("probability", torch.zeros(()))
        self.register_buffer("sign_sum", torch.zeros(()))
        self.register_buffer("num_observed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("by_heart", torch.zeros(()))
        self.register_load_state_dict_pre_hook(_unwatched)  # type: ignore[no-untyped-call]

    @property
    def value(self) -> Tensor | float:
        """The probability now, from 0 to 1."""
        return self.probability if self.adaptive else self.fixed

    @torch.no_grad()
    def watched(self, by_heart: Tensor) -> None:
        """Takes in whether the critic places held-out pictures nearer to made ones; until the next.

        Args:
            by_heart: ``()``, 1 or 0, the same on every process.
        """
        self.by_heart.copy_(by_heart)

    @torch.no_grad()
    def observe(self, sign: Tensor, batch_size: int) -> None:
        """Takes in a step's mean statistic ``()`` over all processes; one not finite counts as 0.

        Args:
            sign: from -1 to 1, the same on every process.
            batch_size: images in the step, over all processes.
        """
        if not self.adaptive:
            return
        self.num_observed += 1
        self.sign_sum += torch.nan_to_num(sign.detach().float())
        due = self.num_observed % EVERY == 0
        # Rounded, so that the order in which a mean was summed cannot decide at the target itself.
        way = torch.sign(((self.sign_sum / EVERY - TARGET) * 1e4).round())
        way = torch.where(self.by_heart > 0, 1.0, way)
        moved = (self.probability + way * (EVERY * batch_size / self.images)).clamp(0, MOST)
        self.probability.copy_(torch.where(due, moved, self.probability))
        self.sign_sum.copy_(torch.where(due, torch.zeros_like(self.sign_sum), self.sign_sum))


def _unwatched(
    module: AugmentProbability, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Before loading, a state of version 0.1 knows of no held-out pictures."""
    state.setdefault(f"{prefix}by_heart", torch.zeros_like(module.by_heart))
