"""What each trick of a fast training step wins: with and without it, in turn on the same step.

Two whole training steps of the same networks on the same pictures of noise, one of them with a
single trick undone. Each round does both, first the one and then the other, and next time the other
way round; a ratio is the seconds without the trick over those with it, so above 1 it wins. Gradient
penalties are due in no step but those that measure how much is won by having them seldom.

Left out, as they cannot be undone: numbers below float32's normal range that count as 0 (a thread
keeps what it was started with, and in a fresh step there are none), and that nothing waits for the
device between two ticks.

Usage:
    python benchmarks/fast_path.py configs/monet_cvaegan.yaml --set data.size=64
    python benchmarks/fast_path.py configs/monet_cvaegan.yaml --set adversary.spectral_norm=true
    python benchmarks/fast_path.py configs/classic_mnist.yaml --rounds 400 --out classic.json
"""

import contextlib
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from clocks import Clock
from command_line import parser_of
from step import CLASSES, noise_pictures
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hiresvae.adversary.adversary import Adversary, Verdict
from hiresvae.blocks.layers import Blur, channels_last
from hiresvae.cli_common import in_words
from hiresvae.configuration import load_settings
from hiresvae.data.batches import Batches
from hiresvae.data.catalogue import known_channels
from hiresvae.data.pictures import PictureData
from hiresvae.devices import shortened_products
from hiresvae.run import write_json
from hiresvae.settings import Settings
from hiresvae.training import step as training_step
from hiresvae.training.footprint import SmallStep
from hiresvae.training.optim import Average
from hiresvae.training.push import Push

WARM = 2
"""First steps that do not count: the moments of Adam are made, kernels chosen."""


class Judged(Adversary):
    """Judges for the critic, and again for the model, as textbooks do."""

    def judge(self, *given: Any, **named: Any) -> Verdict:
        """Returns both sides' terms of two forwards of the critic on each side."""
        verdict = super().judge(*given, **named)
        again = super().judge(*given, **named | {"penalty": False})
        return dataclasses.replace(verdict, fakes=again.fakes, model=again.model)


class OneByOne(Average[nn.Module]):
    """An average that moves parameter by parameter."""

    @torch.no_grad()
    def update(self, model: nn.Module, images: int, batch_size: int) -> None:
        """Moves towards the model; see `Average.update`."""
        keep = 0.5 ** (batch_size / min(self.half_life, 0.05 * images))
        for mine, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)


class Apart(Push):
    """A push with a backward of its own, before that of the bound."""

    def felt(self, *given: Any) -> Tensor:
        """Returns what is left to add to the model's loss: nothing."""
        felt = super().felt(*given)
        felt.backward(retain_graph=True)
        return felt.detach() * 0


def resized(blur: Blur, images: Tensor) -> Tensor:
    """Returns what the blur returns, by PyTorch's own resizing."""
    if blur.up:
        return F.interpolate(images, scale_factor=2, mode="bilinear")
    return F.interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)


class Bench:
    """Makes the step with all tricks, and steps without one.

    Args:
        settings: checked.
        device: where.
        folder: for pictures that are not held in memory.
    """

    def __init__(self, settings: Settings, device: torch.device, folder: Path) -> None:
        self.settings, self.device = settings, device
        pictures = noise_pictures(settings)
        chosen = settings.data.channels
        known = known_channels(settings.data.source) if chosen == "auto" else chosen
        if known == 1:
            grey = np.ascontiguousarray(pictures.pictures[:, :1])
            pictures = dataclasses.replace(pictures, pictures=grey)
        self.data, self.on_disk = pictures, _on_disk(pictures, folder)

    def undone(self) -> dict[str, Callable[[], Callable[..., Any]]]:
        """Returns what makes a step without a trick, by the trick; those that the step has."""
        chosen = self.settings
        makers: dict[str, Callable[[], Callable[..., Any]]] = {
            "order in memory": self.other_order,
            "fused AdamW": self.looped,
            "pictures held in memory": lambda: self.step(held=False),
        }
        if chosen.model.backbone != "classic":
            makers["blur by convolution"] = lambda: self.changed(Blur, "forward", resized)
        if chosen.training.ema_images:
            makers["foreach average"] = self.one_by_one
        if chosen.adversary is not None:
            makers["critic's forward shared"] = self.judged_twice
            makers["one backward of the model"] = lambda: self.changed(training_step, "Push", Apart)
            if chosen.adversary.spectral_norm:
                makers["spectral norms shared"] = lambda: self.changed(
                    parametrize, "cached", contextlib.nullcontext
                )
        return makers

    def step(self, *, held: bool = True) -> SmallStep:
        """Returns a step with all tricks, or one that reads its pictures from the store."""
        chosen, data = self.settings, self.data if held else self.on_disk
        batches = Batches(
            data, size=chosen.data.size, mirror=chosen.data.mirror, crop="center",
            seed=chosen.seed, device=self.device, device_cache=held,
        )  # fmt: skip
        classes = CLASSES if chosen.model.conditional else 0
        channels, count = data.pictures.shape[1], chosen.training.batch_size
        return SmallStep(chosen, channels, classes, count, self.device, batches)

    def other_order(self) -> SmallStep:
        """Returns a step that is not channels-last; of the classic backbone one that is."""
        whole = self.step()
        vae, critic = whole.step.vae, whole.step.networks.critic
        if self.settings.model.backbone == "classic":
            channels_last(vae)
            return whole
        for network in (vae, whole.average.model, *([critic] if critic is not None else [])):
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.data = tensor.data.contiguous()
        for network in (vae.encoder, *([critic] if critic is not None else [])):
            # A convolution takes the order of its pictures, too.
            network.register_forward_pre_hook(lambda _, x: (x[0].contiguous(), *x[1:]))
        return whole

    def looped(self) -> SmallStep:
        """Returns a step whose optimisers go through the parameters in a loop."""
        whole = self.step()
        networks = whole.step.networks
        for name in ("model_optimizer", "critic_optimizer"):
            fused = getattr(networks, name)
            if fused is not None:
                (group,) = fused.param_groups
                same = {key: group[key] for key in ("lr", "betas", "weight_decay")}
                plain = torch.optim.AdamW(group["params"], **same, fused=False, foreach=False)
                setattr(networks, name, plain)
        return whole

    def one_by_one(self) -> SmallStep:
        """Returns a step whose average moves parameter by parameter."""
        whole = self.step()
        whole.average.__class__ = OneByOne
        return whole

    def changed(self, owner: Any, name: str, undone: Any) -> Callable[..., None]:
        """Returns a step during which something of the package is another."""
        whole = self.step()

        def run(**named: Any) -> None:
            with mock.patch.object(owner, name, undone):
                whole(**named)

        return run

    def judged_twice(self) -> SmallStep:
        """Returns a step whose critic judges for itself and again for the model."""
        whole = self.step()
        adversary = whole.step.adversary
        assert adversary is not None
        whole.step.adversary = Judged(adversary.settings, adversary.averages)
        return whole


def _on_disk(data: PictureData, folder: Path) -> PictureData:
    """Returns the same pictures as a memory map, as a store has them."""
    file = folder / "pictures.u8"
    data.pictures.tofile(file)
    pictures = np.memmap(file, np.uint8, "r", shape=data.pictures.shape)
    return dataclasses.replace(data, pictures=pictures)


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = parser_of(__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fast_path.json"))
    chosen = parser.parse_args(words)
    settings = load_settings(chosen.config, chosen.set)
    batch, side = settings.training.batch_size, settings.data.size
    print(f"{settings.name}, {side} px, batch {batch}, {torch.get_num_threads()} threads")
    tricks = measured(settings, torch.device(chosen.device), chosen.rounds)
    for name, row in tricks.items():
        low, high = row["quartiles"]
        print(
            f"{name:26s} {row['ratio']:7.3f} ({low:.3f} to {high:.3f})   "
            f"{1000 * row['seconds_with']:9.2f} ms with, {1000 * row['seconds_without']:9.2f} "
            "without"
        )
    facts = {"config": Path(chosen.config).name, "set": chosen.set, "side": side, "batch": batch}
    facts |= {"device": chosen.device, "threads": torch.get_num_threads()}
    facts |= {"rounds": chosen.rounds, "torch": torch.__version__}
    write_json(chosen.out, facts | {"tricks": tricks})


def measured(settings: Settings, device: torch.device, rounds: int) -> dict[str, dict[str, Any]]:
    """Returns the figures of each trick.

    Args:
        settings: checked.
        device: where.
        rounds: of each.
    """
    rows = {}
    with tempfile.TemporaryDirectory() as folder, shortened_products(device):
        bench = Bench(settings, device, Path(folder))
        for name, make in bench.undone().items():
            sides: dict[str, Callable[..., Any]] = {"with": bench.step(), "without": make()}
            calls = {side: partial(step, penalty=False) for side, step in sides.items()}
            found = in_turn(calls, rounds, str(device))
            rows[name] = figures(found["with"], found["without"])
        chosen = settings.adversary
        if chosen is not None and chosen.gamma and chosen.penalty_every > 1:
            step = bench.step()
            calls = {str(due): partial(step, penalty=due) for due in (False, True)}
            light, heavy = in_turn(calls, rounds, str(device)).values()
            every = chosen.penalty_every
            seldom = [a + (b - a) / every for a, b in zip(light, heavy, strict=True)]
            rows[f"penalties every {every} steps"] = figures(seldom, heavy)
    return rows


def in_turn(
    calls: dict[str, Callable[[], Any]], rounds: int, device: str
) -> dict[str, list[float]]:
    """Returns the seconds of each call in each round; who is first changes from round to round.

    Args:
        calls: by name.
        rounds: that count, after some that do not.
        device: whose work is waited for.
    """
    clock = Clock(device)
    for number in range(-WARM, rounds):
        names = list(calls) if number % 2 else list(reversed(calls))
        for name in names:
            with clock(name):
                calls[name]()
    return {name: clock.seconds[name][WARM:] for name in calls}


def figures(fast: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """Returns the ratio of two lists of seconds, round by round: its median and its quartiles."""
    ratios = [b / a for a, b in zip(fast, plain, strict=True)]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
    return {
        "ratio": middle,
        "quartiles": [low, high],
        "seconds_with": statistics.median(fast),
        "seconds_without": statistics.median(plain),
    }


if __name__ == "__main__":
    main()
