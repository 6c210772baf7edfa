"""Notices that a training diverges: which steps to skip, and when to go back.

All is decided on the device from figures that were averaged over processes, so that every process
decides alike and none waits for its device; the host looks every few steps (`Late`). All state is
in buffers: it lies in the checkpoint, and a continued training decides as one that was never
interrupted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hiresvae.errors import UserError
from hiresvae.settings import Settings
from hiresvae.training.late import Late
from hiresvae.training.spread import COLLAPSED

FILE = "guard"
CHECK_EVERY = 8
"""Steps between two looks of the host at the counts; of a GPU it sees those of the look before, so
that neither waits. Nothing is lost in between: bad steps are skipped on the device at once."""

WINDOW = 64
"""Accepted norms of which the running median is taken."""

KNOWN = 32
"""Accepted norms before the median is believed."""

RELEASE = 5
"""Steps skipped in a row for their norm after which twice that norm is let through. A training
whose gradients have grown for good so goes on, where a fixed threshold skips for ever (as
github.com/openai/vdvae, issue 25)."""

CALM = 0.98
"""What is left after each accepted step of what a release added."""

COLLAPSED_STEPS = 200
"""Steps in a row whose pictures are all alike that make a collapse."""

KINDS = 2
"""Of made pictures that are told apart: reconstructions and samples."""

NEVER = -1
"""Images at which a training was in trouble, before it ever was."""

SLOWER = 0.5
"""Factor of both learning rates at each restore."""

MODEL, CRITIC, CRITIC_WITH_PENALTIES = range(3)
"""Rows of norms: a step with gradient penalties has others than one without."""


def step_unless(optimizer: torch.optim.Optimizer, skip: Tensor) -> None:
    """Steps an optimiser unless ``skip``, a bool ``()`` on the device.

    Fused Adam takes the flag along to the device, as for a gradient scaler: neither weights nor
    moments nor counts change, and nobody waits. Elsewhere the host has to know.
    """
    raw: Any = getattr(optimizer, "optimizer", optimizer)  # gradients are unscaled already
    if raw.defaults.get("fused"):
        raw.found_inf = skip.float()
        try:
            raw.step()
        finally:
            del raw.found_inf
    elif not skip:
        raw.step()


class Guard(nn.Module):
    """Decides for each step whether it is skipped, and counts.

    A step is skipped for both networks if a loss or a gradient is not finite, or a gradient's norm
    is more than ``training.skip_above`` times its running median. After ``training.patience``
    skipped steps in a row, or when batches that once differed show one picture for long, the
    training is in trouble: skipping does not help, going back may.

    Args:
        settings: of the run.
    """

    norms: Tensor
    num_norms: Tensor
    slack: Tensor
    in_a_row: Tensor
    skipped: Tensor
    collapsed: Tensor
    was_alive: Tensor
    num_restores: Tensor
    rate_factor: Tensor
    trouble_at: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.restores, self.rate, self.late = 0, 1.0, Late()
        self.register_buffer("norms", torch.full((3, WINDOW), torch.nan))
        for name in ("in_a_row", "skipped", "num_restores"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        self.register_buffer("collapsed", torch.zeros(KINDS, dtype=torch.int64))
        self.register_buffer("trouble_at", torch.full((), NEVER))
        self.register_buffer("num_norms", torch.zeros(3, dtype=torch.int64))
        self.register_buffer("slack", torch.ones(()))
        self.register_buffer("was_alive", torch.zeros(KINDS, dtype=torch.bool))
        self.register_buffer("rate_factor", torch.ones(()))
        self.register_load_state_dict_pre_hook(_complete)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_read_host)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def judge(
        self,
        loss: Tensor,
        model_norm: Tensor,
        critic_norm: Tensor | None = None,
        *,
        penalty: bool = False,
        fake_spread: Tensor | None = None,
    ) -> Tensor:
        """Returns whether to skip the step, bool ``()``; takes it into account.

        Args:
            loss: any figure ``()`` that is not finite where a loss is not.
            model_norm: norm of the model's gradient ``()``.
            critic_norm: of the critic's, where it steps.
            penalty: whether the critic's holds gradient penalties.
            fake_spread: of each kind, see `hiresvae.training.spread`; NaN, which tells nothing,
                changes nothing. None where there are no fakes.
        """
        rows = {MODEL: model_norm}
        if critic_norm is not None:
            rows[CRITIC_WITH_PENALTIES if penalty else CRITIC] = critic_norm
        finite = loss.isfinite()
        exploded = torch.zeros_like(finite)
        for row, norm in rows.items():
            finite = finite & norm.isfinite()
            exploded = exploded | self._exploded(row, norm)
        skip = ~finite | exploded
        for row, norm in rows.items():
            place = (self.num_norms[row] % WINDOW)[None]
            old = self.norms[row].index_select(0, place)
            self.norms[row].index_copy_(0, place, torch.where(skip, old, norm.float()[None]))
            self.num_norms[row] += ~skip
        self.in_a_row.copy_(torch.where(skip, self.in_a_row + 1, 0))
        self.skipped += skip
        released = exploded & finite & (self.in_a_row % RELEASE == 0)
        calmer = torch.where(skip, self.slack, (self.slack * CALM).clamp_min(1.0))
        self.slack.copy_(torch.where(released, 2 * self.slack, calmer))
        if fake_spread is not None:
            # Early pictures are all alike: a collapse is of what was once alive.
            self.was_alive |= fake_spread > 10 * COLLAPSED
            dead = self.was_alive & (fake_spread < COLLAPSED)
            told = torch.where(dead, self.collapsed + 1, 0)
            self.collapsed.copy_(torch.where(fake_spread.isfinite(), told, self.collapsed))
        return skip

    def _exploded(self, row: int, norm: Tensor) -> Tensor:
        if self.settings.training.skip_above is None:
            return torch.zeros_like(norm, dtype=torch.bool)
        median = self.norms[row].nanmedian()
        known = (self.num_norms[row] >= KNOWN) & (median > 0)
        return known & (norm > self.settings.training.skip_above * self.slack * median)

    def trouble(self, number: int, *, last: bool = False) -> str | None:
        """Returns in words why the training has to go back, or None.

        Args:
            number: of the step just done; most are not looked at.
            last: whether it was the last one, after which the device is waited for.
        """
        if number % CHECK_EVERY != CHECK_EVERY - 1 and not last:
            return None
        counts = torch.stack([self.in_a_row, self.collapsed.max()])
        seen = counts.tolist() if last else self.late.exchange(counts)
        if seen is None:
            return None
        in_a_row, collapsed = seen
        if in_a_row >= self.settings.training.patience:
            return f"{in_a_row} steps in a row had gradients that exploded or were not finite"
        if collapsed >= COLLAPSED_STEPS:
            return f"all made pictures looked alike for {collapsed} steps"
        return None

    def give_up(self, trouble: str) -> None:
        """Ends a training that was restored as often as it may be.

        Raises:
            UserError: names the settings to lower.
        """
        training, adversary = self.settings.training, self.settings.adversary
        if self.restores < training.restores:
            return
        lower = f"training.lr {training.lr:g}"
        if adversary is not None:
            lower += f", adversary.lr {adversary.lr:g} or adversary.weight {adversary.weight:g}"
        clip = "set training.clip" if training.clip is None else f"training.clip {training.clip:g}"
        raise UserError(
            f"training diverged again after {self.restores} restore(s): {trouble}; lower {lower}, "
            f"or {clip}, and start again with --fresh"
        )

    def way_back(self, checkpoints: Sequence[Path], images: int) -> Path | None:
        """Returns the checkpoint to go back to, or None, which is the beginning.

        The last one that was written at peace. Where trouble comes again less than a checkpoint
        later than the last time, what ails the training may lie in that one: then the oldest that
        was kept, however many were written on the way here.

        Args:
            checkpoints: all that there are, oldest first.
            images: seen, with which the training is in trouble.
        """
        good = [path for path in checkpoints if is_good(path)]
        last = int(self.trouble_at)
        again = last != NEVER and images < last + self.settings.training.checkpoint
        return good[0 if again else -1] if good else None

    def went_back(self, before: dict[str, Tensor], images: int) -> None:
        """After an older state was read: keeps what was counted, and lowers the rate.

        Args:
            before: the `state_dict` from before it was read, cloned.
            images: seen when the trouble came.
        """
        now = self.state_dict()
        now |= {"skipped": before["skipped"], "num_restores": before["num_restores"] + 1}
        now |= {"rate_factor": before["rate_factor"] * SLOWER}
        now |= {"trouble_at": torch.full_like(before["trouble_at"], images)}
        now |= {name: torch.zeros_like(now[name]) for name in ("in_a_row", "collapsed")}
        self.load_state_dict(now)


def _complete(module: Guard, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before loading: what older versions did not save, or of all kinds of pictures together."""
    state.setdefault(f"{prefix}trouble_at", torch.full((), NEVER))
    state.pop(f"{prefix}back_at", None)
    for name in ("collapsed", "was_alive"):
        state[prefix + name] = state[prefix + name].expand(KINDS)


def _read_host(module: Guard, _: object) -> None:
    """After loading, what the host knows is of the saved state; what was on its way is not."""
    module.restores, module.rate = int(module.num_restores), float(module.rate_factor)
    module.late = Late()


def is_good(checkpoint: Path) -> bool:
    """Whether a checkpoint was written at peace: no step skipped just then, no collapse begun."""
    file = checkpoint / f"{FILE}.safetensors"
    if not file.is_file():
        return True  # written before there was a guard
    try:
        state = load_file(file)
        return not state["in_a_row"].any() and not state["collapsed"].any()
    except (SafetensorError, OSError, LookupError):
        return False  # damaged: whoever continues from it is told
