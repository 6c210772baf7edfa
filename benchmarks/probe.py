"""What latents say of the label: a logistic regression on posterior means, asked of unseen ones.

Beside it the same on as many principal components of the pixels as there are latents, which is what
any linear code of that length would say, and on the pixels themselves.

Usage:
    python benchmarks/probe.py runs/fashion_mnist --out probe.json
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.data import open_data
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.run import write_json

BATCH = 256


def latents(model: PictureModel, pictures: torch.Tensor) -> np.ndarray:
    """Returns posterior means of all rungs ``(N, D)`` of uint8 pictures ``(N, C, S, S)``."""
    parts = []
    for part in pictures.split(BATCH):
        labels = model.guess_labels(part) if model.conditional else None
        parts.append(torch.cat([z.flatten(1) for z in model.encode(part, labels)], 1))
    return torch.cat(parts).cpu().numpy()


def accuracy(
    train: np.ndarray, labels: np.ndarray, held_out: np.ndarray, asked: np.ndarray
) -> float:
    """Returns the share of held-out rows whose label a regression on training rows tells."""
    judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return float(np.mean(judge.fit(train, labels).predict(held_out) == asked))


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the shares."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--n", type=int, default=20_000, help="most training pictures")
    parser.add_argument("--pixels", action="store_true", help="the pixels too; minutes")
    parser.add_argument("--out", type=Path, help="JSON")
    asked = parser.parse_args(words)
    model = hiresvae.load(asked.run)
    chosen = model.settings.data
    data = open_data(
        chosen if chosen.labels != "none" else chosen.model_copy(update={"labels": "set"})
    )
    if data.labels is None or not len(data.held_out):
        raise UserError("a probe needs labels (data.labels) and held-out pictures (data.held_out)")
    train, held_out = data.train[: asked.n], data.held_out
    parts = [data.middles(rows, model.model.size) for rows in (train, held_out)]
    labels = np.asarray(data.labels)
    codes = [latents(model, part) for part in parts]
    pixels = [part.flatten(1).numpy().astype(np.float32) / 255 for part in parts]
    pca = PCA(codes[0].shape[1], random_state=0).fit(pixels[0])
    compared = {"latents": codes, "principal_components": [pca.transform(part) for part in pixels]}
    if asked.pixels:
        compared["pixels"] = pixels
    found: dict[str, float] = {}
    for name, (known, unseen) in compared.items():
        found[name] = accuracy(known, labels[train], unseen, labels[held_out])
        print(f"{name:22} {known.shape[1]:6} numbers: {found[name]:.4f} of {len(unseen)} told")
    if asked.out is not None:
        sizes = {"training": len(train), "held_out": len(held_out), "latents": codes[0].shape[1]}
        write_json(asked.out, {**sizes, "accuracy": found})


if __name__ == "__main__":
    main()
