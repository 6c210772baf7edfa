from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiresvae.data import Batches, open_data
from hiresvae.data.pictures import PictureData
from hiresvae.errors import UserError
from hiresvae.settings import DataSettings


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Ten pairs of 16 px: a picture of noise, and its negative as the corrupted one."""
    rng = np.random.default_rng(0)
    for i in range(10):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        save(tmp_path / f"clean/{'ab'[i % 2]}/{i}.png", pixels)
        save(tmp_path / f"noisy/{'ab'[i % 2]}/{i}.png", 255 - pixels)
    return tmp_path


def opened(place: Path, **more: object) -> PictureData:
    settings = DataSettings(source=str(place / "clean"), size=16, **more)
    return open_data(settings, inputs=str(place / "noisy"))


def test_both_halves_are_there_in_one_order(pairs: Path) -> None:
    data = opened(pairs, labels="folders")
    assert data.inputs is not None
    assert data.pictures.shape == data.inputs.shape == (10, 3, 16, 16)
    assert (data.inputs == 255 - data.pictures).all()
    assert data.names[0] == "a/0.png" and data.classes == ("a", "b")
    assert data.report.shape == (10, 3, 16, 16)
    again = opened(pairs, labels="folders")
    assert (again.inputs == data.inputs).all()
    alone = open_data(DataSettings(source=str(pairs / "clean"), size=16))
    assert alone.inputs is None and (alone.pictures == data.pictures).all()
    assert len(opened(pairs, limit=4).pictures) == 4
    assert opened(pairs, labels="clusters:2").classes == ("cluster 0", "cluster 1")


def test_what_lacks_a_partner_is_listed(pairs: Path) -> None:
    (pairs / "clean/a/0.png").unlink()
    with pytest.raises(UserError, match=r"without a partner are 'a/0.png' of corruption.inputs$"):
        opened(pairs)
    for i in range(1, 9):
        (pairs / f"noisy/{'ab'[i % 2]}/{i}.png").unlink()
    with pytest.raises(UserError, match=r"and 3 more of data.source; 'a/0.png' of corr") as caught:
        opened(pairs)
    assert "\n" not in str(caught.value) and str(caught.value).count(".png") == 6


def test_a_source_of_inputs_that_is_not_there_is_named_by_its_setting(pairs: Path) -> None:
    settings = DataSettings(source=str(pairs / "clean"), size=16)
    with pytest.raises(UserError, match=r"^corruption.inputs '.*nosy' is no folder.*'.*noisy'"):
        open_data(settings, inputs=str(pairs / "nosy"))
    with pytest.raises(UserError, match=r"^corruption.inputs 'x\+' has a '\+' with nothing"):
        open_data(settings, inputs="x+")


@pytest.mark.parametrize("crop", ["center", "tiles"])
def test_a_pair_that_cannot_be_used_is_left_out_with_its_reason(pairs: Path, crop: str) -> None:
    save(pairs / "noisy/a/0.png", np.zeros((16, 18), np.uint8))
    (pairs / "noisy/b/1.png").write_bytes(b"text")
    (pairs / "clean/a/2.png").write_bytes(b"")
    data = opened(pairs, crop=crop)
    assert len(data.pictures) == 7 and (data.inputs == 255 - data.pictures).all()
    reasons = dict(data.report.skipped)
    assert reasons["a/0.png"] == "16 x 16 pixels, but the corrupted picture has 18 x 16"
    assert reasons["b/1.png"] == "not a picture" and reasons["a/2.png"] == "empty file"


@pytest.mark.parametrize("first", ["clean", "noisy"])
def test_one_half_in_colour_makes_both_so(tmp_path: Path, first: str) -> None:
    rng = np.random.default_rng(0)
    other = "noisy" if first == "clean" else "clean"
    for i in range(4):
        grey = rng.integers(0, 256, (16, 16), dtype=np.uint8)
        stained = np.stack([grey, grey, grey // 2], 2)
        # The first pairs are grey on both sides, so that the store has to be widened later on.
        save(tmp_path / f"{first}/{i}.png", grey)
        save(tmp_path / f"{other}/{i}.png", grey if i < 2 else stained)
    data = opened(tmp_path)
    parts = {"clean": data.pictures, "noisy": data.inputs}
    assert parts["clean"].shape == parts["noisy"].shape == (4, 3, 16, 16)
    assert (parts[first] == parts[first][:, :1]).all()
    assert (parts[other][:2] == parts[first][:2]).all()
    assert (parts[other][2:, 2] == parts[first][2:, 2] // 2).all()
    grey = opened(tmp_path, channels=1)
    assert grey.pictures.shape == grey.inputs.shape == (4, 1, 16, 16)


def test_one_picture_with_several_corruptions_stays_on_one_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
        for kind in range(3):
            save(tmp_path / f"clean/{i}_{kind}.png", pixels)
            noisy = rng.integers(0, 256, (16, 16), dtype=np.uint8)
            save(tmp_path / f"noisy/{i}_{kind}.png", noisy)
    data = opened(tmp_path, held_out=0.4)
    sides = [{data.names[i].split("_")[0] for i in part} for part in (data.train, data.held_out)]
    assert all(sides) and not sides[0] & sides[1]
    assert data.report.duplicates == 0, "no pair is the copy of another"


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("crop", ["random", "tiles", "center"])
def test_batches_cut_and_mirror_both_alike(pairs: Path, crop: str, kept: bool) -> None:
    settings = DataSettings(source=str(pairs / "clean"), size=8, crop=crop, pad="edge")
    data = open_data(settings, inputs=str(pairs / "noisy"))
    batches = Batches(data, size=8, mirror=True, crop=crop, seed=0, device="cpu", device_cache=kept)
    images, _ = batches.batch(3, 40)
    inputs = batches.inputs(3, 40)
    assert inputs is not None and inputs.shape == images.shape
    assert (images + inputs).abs().max() < 0.01
    rows = data.held_out
    both = batches.pictures(rows).int() + batches.pictures(rows, inputs=True).int()
    assert (both - 255).abs().max() <= 1


def test_without_pairs_there_are_no_inputs(folder: Path) -> None:
    data = open_data(DataSettings(source=str(folder), size=16))
    batches = Batches(data, size=16, mirror=False, crop="center", seed=0, device="cpu")
    assert batches.inputs(0, 4) is None


def test_the_documents_two_halves_are_named_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoded: Callable[..., bytes]
) -> None:
    for i in range(6):
        for part, seed in (("clean", i), ("noisy", 50 + i)):
            path = tmp_path / f"data/documents/{part}/{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(seed, "L", size=(40, 24)))
    monkeypatch.setenv("HIRESVAE_DATA", str(tmp_path / "data"))
    settings = DataSettings(source="documents:clean", size=8, crop="tiles")
    data = open_data(settings, inputs="documents:noisy")
    assert data.pictures.shape == data.inputs.shape == (6 * 2 * 4, 1, 16, 16)
    assert len(open_data(DataSettings(source="documents", size=8)).pictures) == 12
