import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiresvae.commands.data import COLUMNS, run
from hiresvae.errors import UserError
from hiresvae.images import LARGEST

ROOT = str(Path(__file__).parents[2])


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
        ({"labels": "clusters:²"}, "nearest valid: 'clusters:8'"),
        ({"labels": "clusters:9", "limit": 5}, "nearest valid: 'clusters:5'"),
    ],
)
def test_mistakes_are_sentences(pictures, options, sentence):
    with pytest.raises(UserError, match=sentence):
        run(str(pictures), **options)


def test_names_in_another_encoding_are_shown_escaped(pictures):
    odd = pictures / "cats" / os.fsdecode(b"caf\xe9.png")
    odd.write_text("no picture")
    (pictures / os.fsdecode(b"\xfcbung")).mkdir()
    copy = (pictures / "cats" / "0.png").read_bytes()
    (pictures / os.fsdecode(b"\xfcbung") / "a.png").write_bytes(copy)
    command = [sys.executable, "-m", "hiresvae", "data", str(pictures), "--labels", "folders"]
    environment = os.environ | {"PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "skipped cats/caf\\udce9.png: not a picture" in done.stdout
    assert "label \\udcfcbung: 1 pictures" in done.stdout


def test_a_sheet_that_its_format_cannot_hold_is_a_sentence(pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(LARGEST, "webp", 50)
    with pytest.raises(UserError, match=r"webp holds 50 at most; nearest valid: sheet\.png"):
        run(str(pictures), size=8, out=tmp_path / "sheet.webp")


def test_a_sheet_that_cannot_be_written_is_a_sentence(pictures, tmp_path):
    with pytest.raises(UserError, match=r"no kind of picture: did you mean '.png'"):
        run(str(pictures), out=tmp_path / "sheet.pn")
    with pytest.raises(UserError, match="cannot write"):
        run(str(pictures), size=8, out=pictures / "cats" / "0.png" / "sheet.png")
