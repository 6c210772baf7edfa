from types import SimpleNamespace

import numpy as np
import torch

from hiresvae.uses import reals
from hiresvae.uses.reals import Reals, filled


def data(n: int = 30, stored: int = 10):
    pictures = np.random.default_rng(0).integers(0, 256, (n, 3, stored, stored), dtype=np.uint8)
    return SimpleNamespace(
        pictures=pictures, train=np.arange(n - 6), held_out=np.arange(n - 6, n),
        labels=np.arange(n) % 3,
    )  # fmt: skip


def test_the_middle_of_so_many_pictures_in_one_order_with_their_labels() -> None:
    source = data()
    found = Reals.of(source, 8, most=20)
    assert found.train.shape == (20, 3, 8, 8) and found.held_out.shape == (6, 3, 8, 8)
    assert found.role == "held_out" and len(found.train_labels) == 20
    again = Reals.of(source, 8, most=24)
    assert torch.equal(again.train[:20], found.train), "more pictures begin with the same ones"
    middle = source.pictures[..., 1:-1, 1:-1]
    for picture, label in zip(found.train.numpy(), found.train_labels, strict=True):
        at = np.flatnonzero((middle == picture).all((1, 2, 3)))
        assert source.labels[at].tolist() == [label]


def test_all_training_pictures_come_however_few_are_taken() -> None:
    source = data()
    found = Reals.of(source, 8, most=5)
    assert len(found.train) == 5 and found.total == 24
    for _ in range(2):
        every = torch.cat(list(found.blocks())).numpy()
        np.testing.assert_array_equal(every, source.pictures[source.train][..., 1:-1, 1:-1])


def test_nothing_held_out_is_said_by_the_role() -> None:
    source = data()
    source.held_out, source.labels = np.arange(0), None
    found = Reals.of(source, 10)
    assert found.role == "train" and found.held_out is found.train and found.train_labels is None
    assert Reals.of(source, 10, name="reference").role == "reference"


def test_large_sets_lie_in_a_file_and_are_the_same(monkeypatch) -> None:
    batches = [torch.full((n, 1, 4, 4), i, dtype=torch.uint8) for i, n in enumerate((3, 5, 2))]
    small = filled(10, iter(batches))
    monkeypatch.setattr(reals, "IN_MEMORY", 100)
    large = filled(10, iter(batches))
    assert torch.equal(small, torch.cat(batches)) and torch.equal(large, small)
    assert large.dtype == torch.uint8 and len(filled(0, [])) == 0
