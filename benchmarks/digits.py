"""Whether reconstructed digits are still the digits that they were.

A logistic regression learns the digits of the run's training pictures; it is then asked about
held-out ones and about their reconstructions.

Usage:
    python benchmarks/digits.py runs/classic_mnist
"""

import argparse

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hiresvae
from hiresvae.data import open_data

STEPS = 100


def main() -> None:
    """Measures and prints the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    model = hiresvae.load(parser.parse_args().run)
    labelled = model.settings.data.model_copy(update={"labels": "set"})
    data = open_data(labelled)
    labels = np.asarray(data.labels)
    train, held_out = np.asarray(data.train), np.asarray(data.held_out)
    judge = make_pipeline(
        StandardScaler(with_std=False), LogisticRegression(C=0.05, max_iter=STEPS)
    )
    judge.fit(_vectors(data.pictures[train]), labels[train])
    originals = torch.from_numpy(data.pictures[held_out])
    copies = torch.cat([model.reconstruct(part) for part in originals.split(512)]).numpy()
    asked, answers = labels[held_out], judge.predict(_vectors(copies))
    before = judge.predict(_vectors(data.pictures[held_out]))
    print(f"{len(held_out)} held-out digits, {len(train)} to learn from")
    print(f"originals whose digit is told rightly        {np.mean(before == asked):.4f}")
    print(f"reconstructions told as the original's digit {np.mean(answers == asked):.4f}")
    print(f"reconstructions told as the original is told {np.mean(answers == before):.4f}")


def _vectors(pictures: np.ndarray) -> np.ndarray:
    """Returns uint8 pictures ``(N, C, H, W)`` as numbers in [0, 1] ``(N, D)``."""
    return np.asarray(pictures).reshape(len(pictures), -1).astype(np.float32) / 255


if __name__ == "__main__":
    main()
