"""`hiresvae edit`, from its arguments to its files."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hiresvae import images
from hiresvae.cli import app
from hiresvae.generator import load
from hiresvae.uses.codes import read


def test_edit_writes_pictures_a_sheet_and_a_report(trained, folder, tmp_path, call):
    out = tmp_path / "out"
    call("edit", trained, folder, "sample:4", "--attribute", "brightness", "--out", out)
    assert sorted(p.name for p in out.iterdir()) == [
        "0_edited.png", "1_edited.png", "2_edited.png", "edit.json", "sample_4_edited.png",
        "sheet.png",
    ]  # fmt: skip
    report = json.loads((out / "edit.json").read_text())
    assert list(report["change_by_strength"]) == ["-2", "-1", "0", "1", "2"]
    assert report["examples"] > 20


def test_edit_tells_whether_faces_stay_the_same(trained, folder, tmp_path, call, patches):
    words = ["edit", trained, folder, "--attribute", "brightness", "--steps", 3, "--out", tmp_path]
    call(*words, "--features", patches, "--face-box", "0.1,0.1,0.8")
    report = json.loads((tmp_path / "edit.json").read_text())
    assert report["identity"]["features"]["name"] == "patches.pt"
    assert report["identity"]["features"]["box"] == [0.1, 0.1, 0.8]
    assert report["identity"]["random_people"]["people"] == "held_out"
    rows = [entry["identity"] for entry in report["change_by_strength"].values()]
    assert len(rows) == 3 and rows[1]["from_reconstruction"] < rows[2]["from_reconstruction"]
    assert rows[1]["from_original"] == 0 < rows[2]["from_original"], "all detail is given back"


def test_edit_writes_nothing_where_the_network_cannot_be_had(trained, folder, tmp_path, refused):
    from hiresvae.commands.edit import run

    chosen = {"attribute": "brightness", "out": tmp_path / "out", "device": "cpu"}
    with refused("0.png"):
        run(model=str(trained), paths=["sample:1"], features=folder / "0.png", **chosen)
    assert not (tmp_path / "out").exists()


def test_edit_tells_what_is_no_picture(trained, folder, tmp_path, call):
    (folder / "bad.png").write_text("no picture")
    said = call("edit", trained, folder, "--attribute", "brightness", "--out", tmp_path / "out")
    assert "skipped " in said and "bad.png: not a picture" in said


def test_edit_tells_what_is_no_picture_among_the_examples(trained, folder, tmp_path, call):
    """Of the two folders as of those to be edited, in words and in the report."""
    having = tmp_path / "having"
    having.mkdir()
    for level in (200, 220):
        images.save(torch.full((3, 16, 16), level, dtype=torch.uint8), having / f"{level}.png")
    (having / "torn.png").write_text("no picture")
    out = tmp_path / "out"
    words = ["--attribute", "light", "--with", having, "--without", folder, "--out", out]
    said = call("edit", trained, "sample:1", *words)
    assert "skipped " in said and "torn.png: not a picture" in said
    (row,) = json.loads((out / "edit.json").read_text())["skipped"]
    assert row["name"].endswith("torn.png") and "not a picture" in row["reason"]


def test_edit_without_the_network_reports_the_rest(trained, folder, tmp_path, call, monkeypatch):
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(tmp_path))
    words = ["edit", trained, folder, "--attribute", "brightness", "--out", tmp_path / "out"]
    assert "mobilefacenet_features.pt" not in call(*words), "paintings are no faces"
    said = " ".join(call(*words, "--identity").split())
    report = json.loads((tmp_path / "out" / "edit.json").read_text())
    assert report["identity"]["missing"] in said
    assert "needs the file mobilefacenet_features.pt" in said
    assert report["change_by_strength"]["2"]["measured"]["brightness"] != 0


@pytest.mark.parametrize("box", ["0,1", "0,0,nan", "left,top,side"])
def test_a_box_of_other_words_is_a_mistake(trained, box):
    words = ["edit", str(trained), "sample:1", "--attribute", "brightness", "--face-box", box]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and "--face-box" in done.output


def test_edit_gives_back_what_the_model_forgets(trained, folder, tmp_path, call):
    """An edit of nothing is the picture; without the detail it is what the model makes of it."""
    words = ["edit", trained, folder / "0.png", "--attribute", "brightness", "--strength", 0]
    images_of = {}
    for share in (1, 0):
        call(*words, "--detail", share, "--out", tmp_path)
        images_of[share] = np.asarray(Image.open(tmp_path / "0_edited.png")).astype(int)
        report = json.loads((tmp_path / "edit.json").read_text())
        assert report["detail_given_back"] == share
        assert report["change_by_strength"]["0"]["measured"]["brightness"] == 0
    painter = load(trained, device="cpu")
    own = read(painter, folder / "0.png").pictures
    remade = painter.reconstruct(own)
    for share, expected in ((1, own), (0, remade)):
        assert (images_of[share] == expected[0].permute(1, 2, 0).numpy()).all()
    assert not torch.equal(own, remade)


def test_an_edit_of_nothing_is_reported_once(trained, folder, tmp_path, call, patches):
    words = ["edit", trained, folder / "0.png", "--attribute", "brightness", "--strength", 0]
    call(*words, "--features", patches, "--out", tmp_path)
    change = json.loads((tmp_path / "edit.json").read_text())["change_by_strength"]
    assert list(change) == ["0"] and change["0"]["identity"]["from_original"] == 0


def test_examples_that_say_nothing_or_two_things_are_refused(trained, folder, tmp_path):
    asked = ["edit", str(trained), "sample:1", "--attribute", "x", "--out", str(tmp_path / "no")]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    two = ["--with", str(folder), "--without", str(folder.parent)]
    for words, said in (
        (two, "have 3 pictures in common, the first is 0.png"),
        (["--with", str(folder), "--without", f"{folder}/."], "have 3 pictures in common"),
        (["--with", str(folder), "--without", str(loop)], "loop"),
        ([*two, "--csv", "no.csv"], "leave --csv and --source"),
        ([*two, "--source", "monet"], "leave --csv and --source"),
        (["--strength", "1e30"], "--strength 1e+30 must be from -100 to 100"),
        (["--detail", "nan"], "nan must be from 0 to 1"),
        (["--detail", "2"], "2 must be from 0 to 1"),
    ):
        done = CliRunner().invoke(app, [*asked, *words])
        assert done.exit_code == 2 and said in " ".join(done.output.split())
    assert not (tmp_path / "no").exists()


def test_edit_under_another_label(labelled, tmp_path, call):
    call("edit", labelled, "sample:1", "--attribute", "sea", "--out", tmp_path)
    report = json.loads((tmp_path / "edit.json").read_text())
    assert report["method"] == "label"
    assert list(report["change_by_strength"]) == ["0", "0.5", "1", "1.5", "2"]
    words = ["edit", str(labelled), "sample:1", "--attribute", "sea", "--device", "cpu"]
    for more, said in (
        (["--strength", "-2"], "--strength -2 leads away from the label"),
        (["--keep", "brightness"], "'sea' is edited by its label, which needs no examples"),
        (["--method", "label", "--csv", "none.csv"], "'sea' is edited by its label"),
    ):
        done = CliRunner().invoke(app, [*words, *more, "--out", str(tmp_path)])
        assert done.exit_code == 2 and said in " ".join(done.output.split())


def test_a_strip_of_two_labels_goes_from_one_to_the_other(train, tmp_path, call):
    source = tmp_path / "kinds"
    for name, low in (("dark", 0), ("light", 150)):
        for i in range(12):
            picture = torch.full((3, 16, 16), low, dtype=torch.uint8) + 8 * i
            images.save(picture, source / name / f"{i}.png")
    model = train(
        tmp_path / "run", "model.conditional=true", "data.labels=folders", "adversary=null",
        f"data.source={source}", "data.limit=null", "training.images=64",
    )  # fmt: skip
    words = ["edit", model, "sample:1", "--attribute", "light", "--out", tmp_path]
    call(*words, "--strength", -2)
    report = json.loads((tmp_path / "edit.json").read_text())
    assert list(report["change_by_strength"]) == ["2", "1", "0", "-1", "-2"]
    call(*words)
    report = json.loads((tmp_path / "edit.json").read_text())
    assert list(report["change_by_strength"]) == ["-2", "-1", "0", "1", "2"]
