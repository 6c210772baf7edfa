"""Whether reconstructed digits are still the digits that they were.

A logistic regression learns the digits of the run's training pictures; it is then asked about
held-out ones and about their reconstructions.

Usage:
    python benchmarks/digits.py runs/classic_mnist --out digits.json
"""

from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hiresvae
from hiresvae.data import open_data
from hiresvae.run import write_json

STEPS = 100


def main() -> None:
    """Measures and prints the shares."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--out", type=Path, help="JSON")
    chosen = parser.parse_args()
    model = hiresvae.load(chosen.run)
    labelled = model.settings.data.model_copy(update={"labels": "set"})
    data = open_data(labelled)
    labels = np.asarray(data.labels)
    train, held_out = np.asarray(data.train), np.asarray(data.held_out)
    judge = make_pipeline(
        StandardScaler(with_std=False), LogisticRegression(C=0.05, max_iter=STEPS)
    )
    lessons, originals = (data.middles(rows, model.model.size) for rows in (train, held_out))
    judge.fit(_vectors(lessons), labels[train])
    copies = torch.cat([model.reconstruct(part) for part in originals.split(512)])
    asked, answers = labels[held_out], judge.predict(_vectors(copies))
    before = judge.predict(_vectors(originals))
    found = {
        "originals_told_rightly": float(np.mean(before == asked)),
        "reconstructions_told_as_the_originals_digit": float(np.mean(answers == asked)),
        "reconstructions_told_as_the_original_is_told": float(np.mean(answers == before)),
    }
    print(f"{len(held_out)} held-out digits, {len(train)} to learn from")
    for name, share in found.items():
        print(f"{name:46} {share:.4f}")
    if chosen.out is not None:
        write_json(chosen.out, {"held_out": len(held_out), "training": len(train), **found})


def _vectors(pictures: torch.Tensor) -> np.ndarray:
    """Returns uint8 pictures ``(N, C, H, W)`` as numbers in [0, 1] ``(N, D)``."""
    return pictures.flatten(1).numpy().astype(np.float32) / 255


if __name__ == "__main__":
    main()
