import numpy as np
import pytest
from PIL import Image

from hiresvae.commands.data import COLUMNS, run
from hiresvae.errors import UserError


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for label, count in (("cats", 3), ("dogs", 12)):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(count):
            noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "pets" / label / f"{i}.png")
    copy = (tmp_path / "pets" / "cats" / "0.png").read_bytes()
    (tmp_path / "pets" / "cats" / "copy.png").write_bytes(copy)
    (tmp_path / "pets" / "cats" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return tmp_path / "pets"


def test_it_says_what_is_in_a_folder(pictures, capsys):
    run(str(pictures), size=8, labels="folders")
    said = capsys.readouterr().out
    assert "16 pictures of 8x8" in said
    assert "1 exact copies" in said
    assert "30x20" in said
    assert "label cats: 4 pictures\nlabel dogs: 12 pictures\n" in said
    assert "skipped" in said
    assert "broken.jpg: " in said


def test_the_sheet_has_a_row_for_each_label(pictures, tmp_path, capsys):
    run(str(pictures), size=8, labels="folders", out=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as file:
        sheet = np.asarray(file)
    assert sheet.shape == (2 * 10 - 2, COLUMNS * 10 - 2, 3)
    assert (sheet[:8, 4 * 10 :] == 255).all(), "four cats leave the rest of their row white"
    assert (sheet[10:, 7 * 10 :] != 255).any(), "twelve dogs fill theirs"
    assert f"sheet written to {tmp_path / 'sheet.png'}" in capsys.readouterr().out


def test_without_labels_the_sheet_is_spread_over_the_source(pictures, tmp_path):
    run(str(pictures), size=8, out=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as file:
        assert file.size == (COLUMNS * 10 - 2, 2 * 10 - 2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 4}, "data.size is 4, but must be a whole number from 8 to 2048; nearest is 8"),
        ({"limit": 0}, "data.limit is 0"),
        ({"labels": "folder"}, "did you mean 'folders'"),
    ],
)
def test_mistakes_are_sentences(pictures, options, sentence):
    with pytest.raises(UserError, match=sentence):
        run(str(pictures), **options)


def test_a_sheet_that_cannot_be_written_is_a_sentence(pictures, tmp_path):
    with pytest.raises(UserError, match=r"no kind of picture: did you mean '.png'"):
        run(str(pictures), out=tmp_path / "sheet.pn")
    with pytest.raises(UserError, match="cannot write"):
        run(str(pictures), size=8, out=pictures / "cats" / "0.png" / "sheet.png")
