from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hiresvae.data import Batches, PictureData
from hiresvae.data.batches import _fits, position_hash

RNG = np.random.default_rng(0)


def opened(pictures: np.ndarray, train: np.ndarray, labels: np.ndarray | None) -> PictureData:
    return PictureData(
        pictures=pictures,
        labels=labels,
        classes=(),
        names=(),
        train=train,
        held_out=np.setdiff1d(np.arange(len(pictures)), train),
        report=None,
    )


def data(count: int = 10, side: int = 9, held: int = 2, channels: int = 3) -> PictureData:
    pictures = RNG.integers(0, 256, (count, channels, side, side), dtype=np.uint8)
    return opened(pictures, np.arange(held, count), np.arange(count) % 3)


def batches(found: PictureData, **more: object) -> Batches:
    options = dict(size=8, mirror=True, crop="random", seed=0, device="cpu") | more
    return Batches(found, **options)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 2**31))
def test_every_epoch_is_a_permutation(count: int, epoch: int, seed: int) -> None:
    stream = batches(data(count + 2, 8), seed=seed)
    assert sorted(stream.indices(epoch * count, count).tolist()) == list(range(2, count + 2))


@given(st.integers(0, 100), st.lists(st.integers(0, 25), max_size=6))
def test_any_split_gives_the_same_stream(start: int, parts: list[int]) -> None:
    found = FOUND
    stream = batches(found)
    whole, labels = stream.batch(start, sum(parts))
    starts = start + np.cumsum([0, *parts])
    pieces = [batches(found).batch(int(s), n) for s, n in zip(starts, parts, strict=False)]
    assert torch.equal(torch.cat([p for p, _ in pieces] or [whole]), whole)
    assert torch.equal(torch.cat([y for _, y in pieces] or [labels]), labels)


FOUND = data()


def test_epochs_and_seeds_differ() -> None:
    stream = batches(data(200, 8))
    assert stream.indices(0, 198).tolist() != stream.indices(198, 198).tolist()
    assert stream.indices(0, 198).tolist() != batches(data(200, 8), seed=1).indices(0, 198).tolist()


def window(picture: np.ndarray, top: int, left: int, flip: bool) -> np.ndarray:
    return picture[:, top : top + 8, left : left + 8][..., :: -1 if flip else 1]


@pytest.mark.parametrize("crop", ["random", "center"])
@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_pictures_are_windows_of_the_stored_ones(crop: str, mirror: bool, kept: bool) -> None:
    found = data(10, 11, channels=1)
    stream = batches(found, crop=crop, mirror=mirror, device_cache=kept)
    images, labels = stream.batch(3, 40)
    assert images.shape == (40, 1, 8, 8) and images.dtype == torch.float32
    assert images.min() >= -1 and images.max() <= 1
    seen = set()
    for image, label, index in zip(images, labels, stream.indices(3, 40), strict=True):
        assert label == found.labels[index]
        pixels = ((image + 1) * 127.5).round().to(torch.uint8).numpy()
        original = found.pictures[index]
        places = [
            (top, left, flip)
            for top in range(4)
            for left in range(4)
            for flip in (False, True)
            if (window(original, top, left, flip) == pixels).all()
        ]
        assert len(places) == 1
        seen.add(places[0])
    tops, lefts, flips = (set(values) for values in zip(*seen, strict=True))
    assert flips == ({False, True} if mirror else {False})
    assert (tops, lefts) == (({0, 1, 2, 3},) * 2 if crop == "random" else ({1}, {1}))


def test_kept_or_mapped_is_the_same() -> None:
    found = data(12, 10)
    kept, mapped = (batches(found, device_cache=cache) for cache in (True, False))
    assert torch.equal(kept.batch(5, 30)[0], mapped.batch(5, 30)[0])


def test_a_cpu_reads_from_the_store_and_a_gpu_holds_what_fits(monkeypatch) -> None:
    found = data(12, 10)
    mapped = batches(found)._stores
    assert isinstance(mapped[0], np.ndarray)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (4 * found.pictures.nbytes, 0))
    cuda = torch.device("cuda")
    assert _fits(found.pictures.nbytes, cuda) and not _fits(found.pictures.nbytes + 1, cuda)


def test_each_epoch_sees_another_window_and_half_is_mirrored() -> None:
    bits = position_hash(0, 0, 20_000)
    assert (bits >= 0).all() and bits.unique().numel() == 20_000
    for shift in (0, 8, 32):
        assert abs((bits >> shift & 1).float().mean() - 0.5) < 0.02
    assert not torch.equal(position_hash(1, 0, 100), bits[:100])
    assert torch.equal(position_hash(0, 50, 10), bits[50:60])


def test_pictures_by_index_are_plain() -> None:
    found = data(10, 10)
    for indices in ([4, 1], np.array([4, 1]), torch.tensor([4, 1])):
        got = batches(found).pictures(indices)
        assert got.dtype == torch.uint8
        assert (got.numpy() == found.pictures[[4, 1]][:, :, 1:9, 1:9]).all()


def test_memory_maps_stay_read_only(tmp_path: Path) -> None:
    np.zeros((4, 3, 8, 8), np.uint8).tofile(tmp_path / "m")
    mapped = np.memmap(tmp_path / "m", np.uint8, "r", shape=(4, 3, 8, 8))
    found = opened(mapped, np.arange(4), None)
    for kept in (True, False):
        images, labels = batches(found, device_cache=kept).batch(0, 6)
        assert labels is None and (images == -1).all()


def test_impossible_requests() -> None:
    with pytest.raises(ValueError, match="less than 16"):
        batches(data(), size=16)
    with pytest.raises(ValueError, match="no picture to train on"):
        batches(data(2, held=2))


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("crop", ["random", "center"])
def test_a_batch_reaches_the_device_without_the_host_waiting(
    kept: bool, crop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = data()
    pairs = PictureData(**(vars(found) | {"inputs": found.pictures}))
    stream = batches(pairs, device_cache=kept, crop=crop)
    sent, to = [], torch.Tensor.to

    def noted(rows: torch.Tensor, where: object, **more: object) -> torch.Tensor:
        if isinstance(where, torch.device):
            sent.append(more.get("non_blocking"))
        return to(rows, where, **more)

    monkeypatch.setattr(torch.Tensor, "to", noted)
    images, labels = stream.batch(3, 7)
    seen = stream.inputs(3, 7)
    assert labels is not None and torch.equal(images, seen)
    copies = 2 + 2 * (crop == "random")  # rows or their numbers, mirrored ones, windows
    assert sent == [True] * (1 + 2 * copies)
