import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hiresvae.data import open_data
from hiresvae.data.pictures import split
from hiresvae.errors import UserError
from hiresvae.settings import DataSettings


def settings(folder: Path, **more: object) -> DataSettings:
    return DataSettings(source=str(folder), size=16, **more)


def test_a_folder_is_opened(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "notes.txt").write_text("hello")
    data = open_data(settings(folder, labels="none"))
    assert data.pictures.shape == (12, 3, 16, 16) and data.pictures.dtype == np.uint8
    assert sorted([*data.train, *data.held_out]) == list(range(12)) and len(data.held_out)
    assert data.names[0] == "cats/00.png"
    report = json.loads(data.report.to_json())
    assert report["key"] == data.key
    assert (report["found"], report["used"], report["duplicates"]) == (13, 12, 0)
    assert report["skipped"] == [["notes.txt", "not a picture"]]
    assert report["sizes"]["median"] == [20, 14]
    assert "12 pictures of 16x16, colour" in data.describe()
    assert "1 skipped, the first is notes.txt (not a picture)" in data.describe()
    assert capsys.readouterr() == ("", ""), "no bar where there is no terminal"


def test_random_crops_have_room(folder: Path) -> None:
    assert open_data(settings(folder, crop="random")).pictures.shape[-1] == 18


def test_limit_and_copies(folder: Path) -> None:
    assert len(open_data(settings(folder, limit=5)).pictures) == 5
    (folder / "dogs/copy.png").write_bytes((folder / "cats/00.png").read_bytes())
    data = open_data(settings(folder))
    assert data.report.duplicates == 1
    same = {data.names.index("cats/00.png"), data.names.index("dogs/copy.png")}
    assert same <= set(data.train.tolist()) or same <= set(data.held_out.tolist())


def test_key_tells_content_from_place(folder: Path, tmp_path: Path) -> None:
    key = open_data(settings(folder)).key
    moved = folder.rename(tmp_path / "elsewhere")
    assert open_data(settings(moved)).key == key
    assert open_data(settings(moved, labels="folders")).key != key
    assert open_data(settings(moved, held_out=0.5)).key != key
    labelled = open_data(settings(moved, labels="folders")).key
    (moved / "cats").rename(moved / "beasts")
    assert open_data(settings(moved)).key == key, "the same pictures in the same order"
    assert open_data(settings(moved, labels="folders")).key != labelled
    (moved / "beasts/00.png").unlink()
    assert open_data(settings(moved)).key != key


def test_labels_are_understood_before_anything_is_decoded(folder: Path, cache: Path) -> None:
    for labels in ("clusters:²", "folder", "csv:x"):
        with pytest.raises(UserError, match=r"data\.labels"):
            open_data(settings(folder, labels=labels))
    with pytest.raises(UserError, match="nearest valid: 'clusters:5'"):
        open_data(settings(folder, labels="clusters:9", limit=5))
    assert not (cache / "stores").exists()


def test_two_folders_that_look_alike_are_two(tmp_path: Path) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), colour).save(tmp_path / name / "x.bmp")
        os.utime(tmp_path / name / "x.bmp", ns=(1, 1))
    one, other = (open_data(settings(tmp_path / name)).pictures[0, 0, 0, 0] for name in "ab")
    assert (one, other) == (255, 0)


def test_a_cache_below_no_home_is_a_sentence(folder: Path) -> None:
    with pytest.raises(UserError, match=r"data\.cache '~nobody-at-all/c'"):
        open_data(settings(folder, cache="~nobody-at-all/c"))


def test_mistakes_reach_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean"):
        open_data(DataSettings(source="embedded:painting"))


MIXER = 0x9E3779B97F4A7C15F39CC0605CEDC835
hashes = st.lists(st.integers(0, 30).map(lambda i: f"{i * MIXER % 2**128:032x}"))


@given(hashes, st.floats(0, 0.9))
def test_split_is_by_content(digests: list[str], share: float) -> None:
    train, held = split(digests, share)
    assert sorted([*train, *held]) == list(range(len(digests)))
    assert not {digests[i] for i in train} & {digests[i] for i in held}, "copies do not straddle"
    if digests:
        assert len(train)
    if share > 0 and len(set(digests)) > 1:
        assert len(held)
    if share == 0:
        assert not len(held)


def test_split_keeps_its_share_and_its_sides() -> None:
    rng = np.random.default_rng(0)
    digests = [rng.bytes(16).hex() for _ in range(5000)]
    _, held = split(digests, 0.1)
    assert 0.08 < len(held) / 5000 < 0.12
    _, fewer = split(digests[:3000], 0.1)
    assert fewer.tolist() == [i for i in held if i < 3000], "nothing changes sides"


def test_pictures_of_some_labels_are_left_out(folder: Path) -> None:
    whole = open_data(settings(folder, labels="folders"))
    data = open_data(settings(folder, labels="folders", without=["dogs"]))
    cats = whole.classes.index("cats")
    for part, before in ((data.train, whole.train), (data.held_out, whole.held_out)):
        assert (data.labels[part] == cats).all()
        assert set(part) == {i for i in before if whole.labels[i] == cats}
    assert data.key != whole.key and data.classes == whole.classes
    with pytest.raises(UserError, match=r"data.without names label 'dog': did you mean 'dogs'\?"):
        open_data(settings(folder, labels="folders", without=["dog"]))
    with pytest.raises(UserError, match="leaves no picture to train on"):
        open_data(settings(folder, labels="folders", without=["cats", "dogs"]))
    with pytest.raises(UserError, match=r"data\.labels is 'none'"):
        open_data(settings(folder, without=["cats"]))
