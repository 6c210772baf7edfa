"""Whether a labelled model draws the class that it is asked for, and all kinds of it.

A small convolutional classifier learns the classes of the run's training pictures; its accuracy on
held-out pictures says what its word is worth. It is then asked about samples of every class.
Diversity is the mean distance in pixels of two samples of a class over that of two real pictures of
the class, so many of each.

Usage:
    python benchmarks/classes.py runs/fashion --each 100 --out classes.json
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from command_line import parser_of
from torch import Tensor, nn

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.data import open_data
from hiresvae.errors import UserError
from hiresvae.images import to_float
from hiresvae.metrics.neighbours import mean_distances
from hiresvae.run import write_json

BATCH = 64


class Judge(nn.Module):
    """Says K numbers of ``(N, C, S, S)``, such as of classes: three convolutions, halved twice."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(1024, outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns outputs ``(N, K)``, of classes their logits, of images in [-1, 1]."""
        return self.layers(images)

    def classes_of(self, pictures: Tensor) -> np.ndarray:
        """Returns the likeliest classes ``(N,)`` of uint8 pictures."""
        return self.answers(pictures).argmax(1).numpy()

    @torch.inference_mode()
    def answers(self, pictures: Tensor) -> Tensor:
        """Returns all outputs ``(N, K)`` of uint8 pictures."""
        self.eval()
        return torch.cat([self(to_float(part)) for part in pictures.split(512)])


def batches(count: int, epochs: int) -> Iterator[Tensor]:
    """Yields rows in batches, every row once an epoch."""
    rng = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        yield from torch.randperm(count, generator=rng).split(BATCH)


def trained(pictures: np.ndarray, labels: np.ndarray, classes: int, epochs: int) -> Judge:
    """Returns the classifier after so many epochs over uint8 pictures, mirrored at random."""
    torch.manual_seed(0)
    judge = Judge(pictures.shape[1], classes)
    return fitted(judge, pictures, labels, epochs, F.cross_entropy)


def fitted(
    judge: Judge,
    pictures: np.ndarray,
    answers: np.ndarray,
    epochs: int,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    *,
    mirror: bool = True,
) -> Judge:
    """Returns the judge, which has learned to answer.

    Args:
        judge: new.
        pictures: uint8 ``(N, C, S, S)``.
        answers: whatever the loss compares the outputs with, a row a picture.
        epochs: passes over the pictures.
        loss_of: of outputs ``(n, K)`` and answers.
        mirror: turn half of the pictures left to right; not where that changes the answer.
    """
    steps = max(1, epochs * -(-len(pictures) // BATCH))
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for rows in batches(len(pictures), epochs):
        images = to_float(torch.from_numpy(pictures[rows.numpy()]))
        if mirror:
            images = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, images.flip(3), images)
        loss = loss_of(judge(images), torch.from_numpy(answers[rows.numpy()]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge


def spread(pictures: np.ndarray) -> float:
    """Returns the mean distance of two of the uint8 pictures, in pixels of [0, 1]."""
    return float(
        mean_distances(pictures.reshape(len(pictures), -1).astype(np.float32) / 255).mean()
    )


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the shares."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--each", type=int, default=100, help="samples of every class")
    parser.add_argument("--epochs", type=int, default=3, help="of the classifier")
    parser.add_argument("--out", type=Path, help="JSON")
    asked = parser.parse_args(words)
    model = hiresvae.load(asked.run)
    if not model.conditional:
        raise UserError(f"{asked.run} was trained without labels; nearest valid: a labelled model")
    data = open_data(model.settings.data)
    labels, train, held_out = (np.asarray(x) for x in (data.labels, data.train, data.held_out))
    size = model.model.size
    lessons = data.middles(train, size).numpy()
    judge = trained(lessons, labels[train], len(data.classes), asked.epochs)
    unseen = data.middles(held_out, size)
    found = {
        "judge_accuracy_held_out": float(np.mean(judge.classes_of(unseen) == labels[held_out]))
    }
    agreed, diverse = {}, {}
    for number, name in enumerate(data.classes):
        made = model.sample(asked.each, label=name)
        agreed[name] = float(np.mean(judge.classes_of(made) == number))
        real = data.middles(np.flatnonzero(labels == number)[: asked.each], size).numpy()
        diverse[name] = spread(made.numpy()[: len(real)]) / spread(real)
        print(f"{name:16} agreement {agreed[name]:.3f}   diversity {diverse[name]:.2f} of real")
    found |= {"agreement": float(np.mean(list(agreed.values())))}
    found |= {"diversity": float(np.mean(list(diverse.values())))}
    for name, value in found.items():
        print(f"{name:24} {value:.4f}")
    if asked.out is not None:
        write_json(asked.out, {**found, "agreement_of": agreed, "diversity_of": diverse})


if __name__ == "__main__":
    main()
