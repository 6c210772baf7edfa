from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiresvae import images
from hiresvae.commands.sample import _beside, run
from hiresvae.errors import UserError


def pixels(path):
    with Image.open(path) as file:
        return np.asarray(file)


def test_each_picture_has_its_file_and_a_place_in_the_grid(trained, tmp_path, capsys):
    grid = run(model=str(trained), n=5, out=tmp_path / "made", seed=3, device="cpu")
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == [f"{i:06d}.png" for i in range(5)], "what is in the folder is all samples"
    assert grid == tmp_path / "made_grid.png"
    first = pixels(tmp_path / "made" / "000000.png")
    assert first.shape == (16, 16, 3)
    assert (pixels(grid)[:16, :16] == first).all()
    assert pixels(grid).shape == (2 * 18 - 2, 3 * 18 - 2, 3)
    said = capsys.readouterr().out
    assert "5 pictures in" in said and "careful" not in said


def test_pictures_of_an_earlier_call_stay_and_are_told(trained, tmp_path, capsys):
    out = tmp_path / "made"
    run(model=str(trained), n=4, out=out, device="cpu")
    capsys.readouterr()
    run(model=str(trained), n=2, out=out, seed=1, grid=out / "grid.png", device="cpu")
    assert len(list(out.glob("0*.png"))) == 4
    assert "also holds 2 pictures not of this call, such as 000002.png" in capsys.readouterr().out


def test_a_grid_has_its_place_beside_any_folder(tmp_path, monkeypatch):
    (tmp_path / "here" / "made").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert _beside(Path("made")) == Path("made_grid.png")
    assert _beside(Path("a/made")) == Path("a/made_grid.png")
    assert _beside(Path()) == tmp_path / "here_grid.png"
    assert _beside(Path("made/..")) == tmp_path / "here_grid.png"


def test_a_folder_of_samples_is_measured_without_its_grid(trained, tmp_path):
    from hiresvae.uses.evaluate import evaluate

    for name, seed in (("made", 0), ("real", 1)):
        run(model=str(trained), n=9, out=tmp_path / name, seed=seed, device="cpu")
    report = evaluate(
        str(tmp_path / "made"), tmp_path / "f.json", reference=tmp_path / "real",
        features="none", metrics="texture", device="cpu",
    )  # fmt: skip
    assert report["counts"] == {"pictures": 9, "reference": 9}


def test_the_seed_decides_and_more_pictures_change_none(trained, tmp_path):
    for name, n, seed in (("a", 2, 1), ("b", 3, 1), ("c", 2, 2)):
        run(model=str(trained / "model"), n=n, out=tmp_path / name, seed=seed, device="cpu")
    a, b, c = (pixels(tmp_path / name / "000001.png").astype(int) for name in "abc")
    assert abs(a - b).max() <= 1, "but for rounding by one level"
    assert (a != c).any()


def test_grid_format_and_label_are_as_asked(labelled, tmp_path):
    grid = tmp_path / "sheets" / "sea.webp"
    run(model=str(labelled), n=2, out=tmp_path / "made", label="sea", grid=grid, format="jpg")
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["000000.jpg", "000001.jpg"]
    with Image.open(grid) as file:
        assert file.format == "WEBP"


def test_mistakes_are_sentences_and_leave_nothing(trained, tmp_path):
    out = tmp_path / "made"
    with pytest.raises(UserError, match=r"the ending must be \.png"):
        run(model=str(trained), n=1, out=out, grid=tmp_path / "grid.gif")
    with pytest.raises(UserError, match="does not exist"):
        run(model=str(tmp_path / "none"), n=1, out=out)
    assert not out.exists()
    out.write_text("a file")
    with pytest.raises(UserError, match="a file stands where a folder is needed"):
        run(model=str(trained), n=1, out=out)
    with pytest.raises(UserError, match="trained without labels"):
        run(model=str(trained), n=1, out=tmp_path / "other", label="sea")


def test_a_grid_too_long_for_its_format_is_refused_before_anything_is_drawn(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setitem(images.LARGEST, "webp", 100)
    with pytest.raises(UserError, match=r"long\.webp would be \d+ pixels long.*long\.png"):
        run(model=str(trained), n=64, out=tmp_path / "drawn", grid=tmp_path / "long.webp")
    assert not (tmp_path / "drawn").exists()
