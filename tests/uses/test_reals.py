from types import SimpleNamespace

import numpy as np
import torch

from hiresvae.autoencoding import CorruptionSettings
from hiresvae.uses import reals
from hiresvae.uses.reals import Reals, filled


def data(n: int = 30, stored: int = 10):
    pictures = np.random.default_rng(0).integers(0, 256, (n, 3, stored, stored), dtype=np.uint8)
    return SimpleNamespace(
        pictures=pictures, train=np.arange(n - 6), held_out=np.arange(n - 6, n),
        labels=np.arange(n) % 3, inputs=None,
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


def test_what_a_denoising_encoder_is_to_see_goes_with_what_it_is_to_make() -> None:
    source = data()
    plain = Reals.of(source, 8)
    assert plain.seen(None, 0) is plain.held_out
    assert plain.seen(CorruptionSettings(kind="pairs", inputs="x"), 0) is None
    noisy = plain.seen(CorruptionSettings(kind="masking", share=1.0), 0)
    assert noisy is not None and noisy.shape == plain.held_out.shape and (noisy == 128).all()
    source.inputs = 255 - source.pictures
    pairs = Reals.of(source, 8)
    assert torch.equal(pairs.held_out, plain.held_out)
    seen = pairs.seen(CorruptionSettings(kind="pairs", inputs="x"), 0)
    assert torch.equal(seen, 255 - pairs.held_out)
    source.held_out = np.arange(0)
    alone = Reals.of(source, 8)
    assert torch.equal(alone.inputs, 255 - alone.train)


def test_what_is_seen_does_not_depend_on_how_many_are_corrupted_at_a_time(monkeypatch) -> None:
    found, chosen = Reals.of(data(), 8), CorruptionSettings(sigma=0.5)
    whole = found.seen(chosen, 3)
    monkeypatch.setattr(reals, "BLOCK", 4)
    assert torch.equal(found.seen(chosen, 3), whole)
    assert not torch.equal(found.seen(chosen, 4), whole)
    assert not torch.equal(whole[0].int() - found.held_out[0], whole[1].int() - found.held_out[1])


def test_large_sets_lie_in_a_file_and_are_the_same(monkeypatch) -> None:
    batches = [torch.full((n, 1, 4, 4), i, dtype=torch.uint8) for i, n in enumerate((3, 5, 2))]
    small = filled(10, iter(batches))
    monkeypatch.setattr(reals, "IN_MEMORY", 100)
    large = filled(10, iter(batches))
    assert torch.equal(small, torch.cat(batches)) and torch.equal(large, small)
    assert large.dtype == torch.uint8 and len(filled(0, [])) == 0
