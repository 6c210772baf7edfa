import json
import os

import numpy as np
import pytest
from PIL import Image

from hiresvae.commands.reconstruct import distinct, run
from hiresvae.errors import UserError


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cats/1.png", "dogs/1.png", "dogs/2.png"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(path)
    (tmp_path / "pets" / "dogs" / "broken.png").write_bytes(b"\x89PNG no picture")
    return tmp_path / "pets"


def test_each_picture_has_a_file_a_figure_and_a_place(trained, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    report = json.loads(
        run(model=str(trained), paths=[pictures], out=out, device="cpu").read_text()
    )
    made = sorted(path.name for path in out.glob("*_reconstruction.png"))
    assert made == ["1_2_reconstruction.png", "1_reconstruction.png", "2_reconstruction.png"]
    assert len(report["pictures"]) == 3, "no picture takes another's place"
    errors = [picture["psnr_db"] for picture in report["pictures"].values()]
    assert report["mean_psnr_db"] == pytest.approx(sum(errors) / 3, abs=2e-3)
    assert 3 < report["mean_psnr_db"] < 30
    assert [entry["name"].split("/")[-1] for entry in report["skipped"]] == ["broken.png"]
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size == (6 * 18 - 2, 16), "three pairs side by side"
    said = capsys.readouterr().out
    assert "3 pictures, mean PSNR" in said and "broken.png: not a picture\n" in said


def test_single_files_and_several_paths(labelled, pictures, tmp_path):
    paths = [pictures / "cats" / "1.png", pictures / "dogs"]
    report = json.loads(run(model=str(labelled), paths=paths, out=tmp_path / "out").read_text())
    assert len(report["pictures"]) == 3


def test_nothing_to_reconstruct_is_a_sentence(trained, pictures, tmp_path):
    with pytest.raises(UserError, match=r"no pictures to reconstruct in .*\(broken\.png: "):
        run(model=str(trained), paths=[pictures / "dogs" / "broken.png"], out=tmp_path / "out")
    with pytest.raises(UserError, match="does not exist"):
        run(model=str(trained), paths=[tmp_path / "none.png"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_are_told_apart():
    names = ["a/1.png", "b/1.jpg", "1_2.png", "c/1.png"]
    assert distinct(names) == ["a/1.png", "b/1_2.jpg", "1_2_2.png", "c/1_3.png"]


def test_a_pipe_is_not_waited_for(trained, tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"no pictures .*\(a\.png: no regular file\)"):
        run(model=str(trained), paths=[tmp_path / "a.png"], out=tmp_path / "out")
