"""What a training takes by side, and on one to eight GPUs: computed, not measured.

Nothing is run. A step's operations and its memory are counted on tensors without content (device
``meta``): forward and backward of the model and of the critic on reconstructions and samples, what
the critic would have these become, the second decode where that is for the decoder alone
(``adversary.reaches``), and the critic's gradient penalties, which are due every so many steps.

Several GPUs work data parallel, each on its own pictures:

    seconds of work = operations a picture * pictures a GPU / (peak * share)
    seconds of talk = 4 bytes * parameters * 2 (n - 1) / n / link

with ``n`` GPUs that sum all gradients around a ring in single precision. Both are added, as if
nobody talked while working; in truth most of it is sent meanwhile. What starting kernels costs is
left out: below 128 px it may be more than all the rest. The share of the peak is an assumption.

Usage:
    python benchmarks/gpus.py configs/monet_cvaegan.yaml configs/monet_hybrid.yaml
    python benchmarks/gpus.py configs/monet_cvaegan.yaml --sides 256 --peak 60 --link 200
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from command_line import parser_of
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.averages import Averages
from hiresvae.configuration import load_settings
from hiresvae.labelling import parse_labels
from hiresvae.seeding import Noise
from hiresvae.settings import Settings
from hiresvae.training.objective import Fakes
from hiresvae.training.peak import PeakMemory
from hiresvae.training.push import Push
from hiresvae.training.trainer import build

SIDES = [64, 128, 256, 512, 1024]
COUNTS = (2, 4)
"""Pictures of which operations and memory are counted; the difference is what each picture adds."""
STATES, CRITIC_STATES = 5, 4
"""Numbers a parameter: weight, gradient, two moments, and the model's average."""


class Cost(NamedTuple):
    """What a step of a configuration takes.

    Attributes:
        parameters: of the model and of the critic.
        operations: floating-point operations a picture, averaged over steps.
        fixed: bytes whatever the batch.
        each: bytes that each picture adds.
    """

    parameters: tuple[int, int]
    operations: float
    fixed: float
    each: float

    def memory(self, pictures: int) -> float:
        """Returns the bytes of a step on so many pictures."""
        return self.fixed + self.each * pictures

    def seconds(self, pictures: int, gpus: int, rate: float, link: float) -> float:
        """Returns the seconds of a step.

        Args:
            pictures: on each GPU.
            gpus: that train together.
            rate: operations a second of each.
            link: bytes a second of each, one way.
        """
        talk = 4 * sum(self.parameters) * 2 * (gpus - 1) / gpus
        return self.operations * pictures / rate + talk / link


def cost(settings: Settings) -> Cost:
    """Returns what a step takes, counted without running it."""
    classes = 0
    if settings.model.conditional:
        classes = parse_labels(settings.data.labels).clusters or 2
    adversary = settings.adversary
    every = adversary.penalty_every if adversary is not None and adversary.gamma else 0
    operations: list[float] = []
    peaks: list[int] = []
    parameters = (0, 0)
    for count in COUNTS:
        with torch.device("meta"), PeakMemory() as memory:
            parameters, plain = _operations(settings, classes, count, penalty=False)
            _, full = _operations(settings, classes, count, penalty=bool(every))
        operations.append(plain + (full - plain) / max(1, every))
        peaks.append(memory.peak)
    of_one = COUNTS[1] - COUNTS[0]
    fixed = 4.0 * (STATES * parameters[0] + CRITIC_STATES * parameters[1])
    return Cost(
        parameters,
        (operations[1] - operations[0]) / of_one,
        fixed,
        (peaks[1] - peaks[0]) / of_one,
    )


def _operations(
    settings: Settings, classes: int, count: int, *, penalty: bool
) -> tuple[tuple[int, int], int]:
    """Returns the parameters of both networks and the operations of a step on some pictures."""
    size, chosen = settings.data.size, settings.adversary
    vae, critic = build(settings, 3, classes)
    images = torch.empty(count, 3, size, size)
    labels = torch.empty(count, dtype=torch.int64) if classes else None
    fakes = top = top_labels = None
    if chosen is not None:
        fakes = Fakes.of_rows(chosen.fakes, 0, count, images.device)
        if len(fakes.sampled):
            top = torch.empty(len(fakes.sampled), vae.top_dim)
            top_labels = None if labels is None else labels[fakes.sampled]
    noise = _Empty(count)
    with FlopCounterMode(display=False) as counter:
        outputs = vae(
            images, labels, noise=noise.normal, top=top, top_labels=top_labels,
            top_noise=None if top is None else _Empty(len(top)).normal,
            top_rows=None if fakes is None else fakes.sampled,
            own=None if fakes is None else fakes.coarse,
            coarse=chosen is not None and chosen.coarse_distortion > 0,
        )  # fmt: skip
        loss = outputs.distortion.sum() + outputs.rate.sum()
        if fakes is not None and outputs.coarse is not None:
            loss = loss + fakes.coarse_loss(outputs, dims=1)
        if critic is not None and chosen is not None and fakes is not None:
            adversary = _Unobserved(chosen, Averages(chosen, critic))
            mixed, drawn = fakes.mix(outputs), cast(Noise, noise)
            verdict = adversary.judge(
                critic, images, mixed, labels, paired=fakes.paired, noise=drawn, penalty=penalty
            )
            push = Push.of(adversary, verdict, 1.0)
            adversary.critic_loss(verdict).backward(inputs=list(critic.parameters()))
            loss = loss + push.felt(mixed, vae, outputs, labels, fakes, drawn)
        loss.backward()
    both = tuple(
        0 if network is None else sum(p.numel() for p in network.parameters())
        for network in (vae, critic)
    )
    return (both[0], both[1]), counter.get_total_flops()


class _Unobserved(Adversary):
    """Takes no sums for running means: nearly no operations, and autocast knows no ``meta``."""

    def _observed(self, *given: object) -> tuple[Tensor, ...]:
        return ()


class _Empty:
    """Random numbers of so many rows that nobody draws."""

    def __init__(self, count: int) -> None:
        self._count = count

    def normal(self, stream: str, *shape: int) -> Tensor:
        """Returns room for numbers ``(count, *shape)``."""
        return torch.empty(self._count, *shape)

    uniform = normal


def main(words: Sequence[str] | None = None) -> None:
    """Computes and prints a table for each configuration."""
    chosen = _parse(words)
    rate, link = 1e12 * chosen.peak * chosen.share, 1e9 * chosen.link
    for config in chosen.configs:
        print(f"{config.stem}: parameters, GFLOP a picture, GiB of {chosen.batch} pictures,")
        print("then images a second by GPUs (over that of one GPU):", *chosen.gpus)
        for side in chosen.sides:
            found = cost(load_settings(config, [*chosen.set, f"data.size={side}"]))
            speeds = [n * chosen.batch / found.seconds(chosen.batch, n, rate, link)
                      for n in chosen.gpus]  # fmt: skip
            told = "  ".join(f"{v:,.0f} ({v / speeds[0]:.1f})" for v in speeds)
            print(
                f"{side:5d} {found.parameters[0]:11,d} + {found.parameters[1]:,d} "
                f"{found.operations / 1e9:9.1f} {found.memory(chosen.batch) / 2**30:8.2f}   {told}"
            )


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batch", type=int, default=16, help="pictures on each GPU")
    parser.add_argument("--peak", type=float, default=19.5, help="10^12 operations a second")
    parser.add_argument("--share", type=float, default=0.2, help="of the peak that is reached")
    parser.add_argument("--link", type=float, default=25.0, help="10^9 bytes a second, one way")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
