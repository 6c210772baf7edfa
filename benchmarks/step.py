"""Where the time of a training step goes, as a table.

Usage:
    python benchmarks/step.py configs/monet_cvaegan.yaml --set data.size=64
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.discriminator import Discriminator
from hiresvae.blocks.layers import channels_last
from hiresvae.configuration import load_settings
from hiresvae.images import to_float
from hiresvae.run import MetricsFile
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings
from hiresvae.training.objective import Fakes, bound_loss
from hiresvae.training.optim import Average, make_optimizer
from hiresvae.training.trainer import build

REPEATS = 9
MOST_PIXELS = 1 << 25
"""Of the pictures that batches are drawn from; a thousand of 1024 px would be 3 GB."""
FIGURES = 20
"""Numbers that a step tells."""


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    settings = load_settings(arguments.config, arguments.set)
    rows = measure(settings)
    total = sum(rows.values())
    batch = settings.training.batch_size
    print(
        f"{settings.name}, {settings.data.size} px, batch {batch}, "
        f"{torch.get_num_threads()} threads"
    )
    for name, seconds in rows.items():
        print(f"{name:34s} {1000 * seconds:8.1f} ms {100 * seconds / total:5.1f} %")
    print(f"{'step':34s} {1000 * total:8.1f} ms {batch / total:8.1f} images/s")


class Clock:
    """Collects seconds by name.

    Args:
        device: whose work is waited for before the clock is read.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = {}

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times what runs inside."""
        begun = self._now()
        yield
        self.seconds.setdefault(name, []).append(self._now() - begun)


def measure(
    settings: Settings, clock: Clock | None = None, repeats: int = REPEATS
) -> dict[str, float]:
    """Returns median seconds of each phase of a step.

    Args:
        settings: of the run.
        clock: what measures; another one may count something else than seconds.
        repeats: of the step; of three or more the first two do not count.
    """
    clock = clock or Clock()
    batch = settings.training.batch_size
    classes = 8 if settings.model.conditional else 0
    model, critic = build(settings, 3, classes)
    channels_last(model.to(clock.device))
    if critic is not None:
        channels_last(critic.to(clock.device))
    average = Average(model, settings.training.ema_images)
    optimizer = make_optimizer(model, settings.training.lr, settings.training.betas)
    side = settings.data.size
    dim = math.prod(model.latent_shapes[0])
    count = min(1000, max(batch, MOST_PIXELS // side**2))
    pictures = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    labels = torch.randint(0, classes, (batch,), device=clock.device) if classes else None
    for number in range(repeats):
        noise = Noise(0, number, Shard(batch, 0, batch), torch.device(clock.device))
        with clock("data"):
            chosen = pictures[torch.randint(0, len(pictures), (batch,))]
            images = to_float(chosen.to(clock.device))
            images = images.contiguous(memory_format=torch.channels_last)
        top, top_labels, fakes = None, None, None
        if settings.adversary is not None:
            fakes = Fakes.of_rows(list(settings.adversary.fakes), 0, batch, images.device)
            top = torch.randn(len(fakes.sampled), dim, device=clock.device)
            top_labels = None if labels is None else labels[fakes.sampled]
        with clock("encoder forward"):
            model.features(images, labels)
        with clock("model forward"):
            outputs = model(images, labels, noise=noise.normal, top=top, top_labels=top_labels)
        loss = bound_loss(outputs, images[0].numel(), 1.0, 0.0)
        if critic is not None and settings.adversary is not None and fakes is not None:
            mixed = fakes.mix(outputs)
            push = _critic_phase(settings, critic, images, mixed, labels, fakes, noise, clock)
            loss = loss + (mixed * push).sum()
        with clock("model backward"):
            loss.backward()
        with clock("model optimiser"):
            optimizer.step()
            optimizer.zero_grad()
        with clock("average"):
            average.update(model, 1000 * batch, batch)
    steps = max(1, settings.training.tick // batch)
    with tempfile.TemporaryDirectory() as folder, clock("logging"):
        meters = [[torch.rand(()) for _ in range(steps)] for _ in range(FIGURES)]
        means = torch.stack([torch.stack(values).mean() for values in meters]).tolist()
        line = {"images": 0, **{str(i): value for i, value in enumerate(means)}}
        MetricsFile(Path(folder) / "metrics.jsonl").append(line)
    logging = clock.seconds.pop("logging")[0] / steps
    medians = {
        name: statistics.median(values[2:] or values) for name, values in clock.seconds.items()
    }
    medians["logging, its share of a step"] = logging
    # The model's forward holds the encoder's; the table shows the decoder's and the loss alone.
    medians["decoder forward and loss"] = medians.pop("model forward") - medians["encoder forward"]
    heavy = medians.pop("critic forward and backward, penalty", None)
    if heavy is not None and settings.adversary is not None:
        extra = heavy - medians["critic forward and backward"]
        medians["penalty, its share of a step"] = extra / settings.adversary.penalty_every
    return medians


def _critic_phase(
    settings: Settings,
    critic: Discriminator,
    images: Tensor,
    mixed: Tensor,
    labels: Tensor | None,
    fakes: Fakes,
    noise: Noise,
    clock: Clock,
) -> Tensor:
    """Runs the critic with and without penalty; returns its gradient at the fakes."""
    assert settings.adversary is not None
    adversary = Adversary(settings.adversary)
    optimizer = make_optimizer(critic, settings.adversary.lr, settings.adversary.betas)
    for words, penalty in ((", penalty", True), ("", False)):
        with clock("critic forward and backward" + words):
            verdict = adversary.judge(
                critic, images, mixed, labels, paired=fakes.paired, noise=noise, penalty=penalty
            )
            loss = adversary.critic_loss(verdict)
            loss.backward(retain_graph=True, inputs=list(critic.parameters()))
    with clock("critic's gradient at the fakes"):
        (push,) = torch.autograd.grad(adversary.model_loss(verdict, 1.0), verdict.fakes)
    with clock("critic optimiser"):
        optimizer.step()
        optimizer.zero_grad()
    return push


if __name__ == "__main__":
    main()
