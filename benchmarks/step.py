"""Where the time of a training step goes, as a table.

Usage:
    python benchmarks/step.py configs/monet_cvaegan.yaml --set data.size=64
"""

import argparse
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
    """Collects seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times what runs inside."""
        begun = time.perf_counter()
        yield
        self.seconds.setdefault(name, []).append(time.perf_counter() - begun)


def measure(settings: Settings) -> dict[str, float]:
    """Returns median seconds of each phase of a step."""
    batch = settings.training.batch_size
    classes = 8 if settings.model.conditional else 0
    model, critic = build(settings, 3, classes)
    channels_last(model)
    average = Average(model, settings.training.ema_images)
    optimizer = make_optimizer(model, settings.training.lr, settings.training.betas)
    side = settings.data.size
    pictures = torch.randint(0, 256, (1000, 3, side, side), dtype=torch.uint8)
    labels = torch.randint(0, classes, (batch,)) if classes else None
    clock = Clock()
    for number in range(REPEATS):
        noise = Noise(0, number, Shard(batch, 0, batch))
        with clock("data"):
            images = to_float(pictures[torch.randint(0, len(pictures), (batch,))])
            images = images.contiguous(memory_format=torch.channels_last)
        top, top_labels, fakes = None, None, None
        if settings.adversary is not None:
            fakes = Fakes.of_rows(list(settings.adversary.fakes), 0, batch, images.device)
            top = torch.randn(len(fakes.sampled), model.latent_shapes[0][0])
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
    medians = {name: statistics.median(values[2:]) for name, values in clock.seconds.items()}
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
    channels_last(critic)
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
