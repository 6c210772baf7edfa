"""The commands for trained models, each once from its arguments to its files."""

import csv
import json
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hiresvae import images
from hiresvae.cli import app
from hiresvae.generator import load
from hiresvae.uses.codes import read


@pytest.fixture
def call():
    def run(*words: object) -> str:
        done = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    return run


@pytest.fixture
def autoencoder(trained, tmp_path):
    """The tiny training's model, as if it had been trained without noise."""
    painter = load(trained, device="cpu")
    plain = painter.settings.model.model_copy(update={"stochastic": False})
    painter.settings = painter.settings.model_copy(update={"model": plain})
    (tmp_path / "autoencoder").mkdir()
    painter.save(tmp_path / "autoencoder")
    return tmp_path / "autoencoder"


@pytest.fixture
def folder(tmp_path):
    rng = torch.Generator().manual_seed(0)
    for i in range(3):
        noise = torch.randint(0, 256, (3, 20, 24), generator=rng, dtype=torch.uint8)
        images.save(noise, tmp_path / "mine" / f"{i}.png")
    return tmp_path / "mine"


@pytest.fixture
def patches(tmp_path):
    """A TorchScript file of 48 features."""

    class Patches(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(x / 255, 4).flatten(1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Patches()).save(str(tmp_path / "patches.pt"))
    return tmp_path / "patches.pt"


def size(path):
    with Image.open(path) as file:
        return file.size


def test_interpolate_writes_strips_and_films(trained, folder, tmp_path, call, monkeypatch):
    strip, film = tmp_path / "way.png", tmp_path / "way.gif"
    call("interpolate", trained, "sample:1", "sample:2", "--out", strip, "--steps", 3, "--scale", 1)
    assert size(strip) == (3 * 16 + 2 * 2, 16)
    words = call(
        "interpolate", trained, "sample:1", folder / "0.png", "--loop", "--steps", 4, "--out", film
    )
    assert "2 x 4 pictures" in words
    with Image.open(film) as file:
        assert file.n_frames == 6, "two legs of four share their ends"
        assert file.size == (256, 256)
    strip = tmp_path / "folder.png"
    words = call("interpolate", trained, folder, "sample:1", "--loop", "--steps", 2, "--out", strip)
    assert "4 x 2 pictures" in words, "a loop ends with the first picture, not with the folder"
    written = []

    class Writer:
        def send(self, frame):
            written.append(None if frame is None else frame.shape)

        def close(self):
            written.append("closed")

    def write_frames(path, size, **_):
        open(path, "wb").close()
        assert size == (256, 256)
        return Writer()

    fake = type(sys)("imageio_ffmpeg")
    fake.write_frames = write_frames
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", fake)
    call("interpolate", trained, "sample:1", "sample:2", "--steps", 3, "--out", tmp_path / "a.mp4")
    assert written == [None, *[(256, 256, 3)] * 3, "closed"]


def test_a_way_begins_and_ends_with_the_pictures_themselves(
    trained, laddered, folder, tmp_path, call, monkeypatch
):
    from hiresvae.commands import interpolate

    shown = []

    def kept(rows, **words):
        shown.append(rows)
        return sheet(rows, **words)

    sheet = interpolate.sheet
    monkeypatch.setattr(interpolate, "sheet", kept)

    def way(model, *words):
        keys = (folder / "0.png", folder / "1.png", "sample:1")
        call("interpolate", model, *keys, "--steps", 3, "--out", tmp_path / "way.png", *words)
        return shown[-1]

    def apart(one, other):
        return (one.int() - other.int()).abs().max()

    for model in (trained, laddered):
        (first, a, _, b, second), (_, again, *_) = way(model)
        assert apart(a, first) <= 1 and apart(b, second) <= 1 and apart(again, second) <= 1
    (original, a, _, b, _), (_, again, *_) = way(laddered, "--rungs", "0")
    assert apart(a, original) <= 1, "the first picture, of which one rung moves"
    assert torch.equal(b, again), "and goes on from where it was"
    looped = way(laddered, "--rungs", "0", "--loop")[-1]
    assert apart(looped[3], original) <= 1
    original, a, *_ = way(trained, "--detail", 0)[0]
    assert apart(a, original) > 1


def test_interpolate_refuses_a_key_that_is_no_picture(trained, folder, tmp_path, call, refused):
    from hiresvae.commands.interpolate import run

    bad, strip = folder / "bad.png", tmp_path / "way.png"
    bad.write_text("no picture")
    for keys in (["sample:1", str(bad), "sample:2"], ["sample:1", str(bad)]):
        with refused(f"no picture in {bad} (bad.png: not a picture)"):
            run(model=str(trained), keys=keys, out=strip, device="cpu")
    assert not strip.exists()
    words = call("interpolate", trained, folder, "sample:1", "--steps", 2, "--out", strip)
    assert "bad.png: not a picture" in words and "3 x 2 pictures" in words


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


def test_latent_writes_its_maps(labelled, tmp_path, call):
    words = call("latent", labelled, "--out", tmp_path, "--side", 3, "--rows", 2, "--limit", 30)
    assert "latents active" in words
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "latent.json", "posterior.png", "scatter.png", "sheet.png", "traversals.png",
    ]  # fmt: skip
    assert size(tmp_path / "sheet.png") == (48, 48)


def test_anomaly_writes_a_table_and_heat_maps(trained, folder, tmp_path, call):
    table = tmp_path / "scores.csv"
    words = call("anomaly", trained, folder, "--out", table, "--heatmaps", tmp_path / "heat")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["file"].rpartition("/")[2] for row in rows} == {"0.png", "1.png", "2.png"}
    found = [float(row["score_bits"]) for row in rows]
    assert found == sorted(found, reverse=True)
    assert f"{sum(row['unusual'] == 'yes' for row in rows)} of 3 pictures unusual" in words
    assert len(list((tmp_path / "heat").glob("*_heat.png"))) == 3
    assert "iwae_8_bits" in rows[0] and "elbo_bits" not in rows[0]
    call("anomaly", trained, folder, "--out", table, "--draws", 2, "--by", "bits")
    assert "iwae_2_bits" in table.read_text().splitlines()[0].split(",")


def test_anomaly_finds_what_is_too_plain(trained, folder, tmp_path, call):
    table, plain = tmp_path / "scores.csv", tmp_path / "plain.png"
    images.save(torch.full((3, 16, 16), 90, dtype=torch.uint8), plain)
    usual = tmp_path / "usual"
    usual.mkdir()
    noise = torch.randint(0, 256, (20, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    for i, picture in enumerate(noise.to(torch.uint8)):
        images.save(picture // (1 + i % 3), usual / f"{i}.png")
    asked = ["--by", "typical", "--reference", usual]
    words = call("anomaly", trained, folder, plain, "--out", table, *asked)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["file"].endswith("plain.png") and rows[0]["unusual"] == "yes"
    found = [float(row["typical"]) for row in rows]
    assert found == sorted(found, reverse=True) and "(typical above" in words


def test_anomaly_of_a_ladder_by_its_top_rungs(laddered, trained, folder, tmp_path, call, refused):
    from hiresvae.commands.anomaly import run

    table = tmp_path / "scores.csv"
    words = call("anomaly", laddered, folder, "--out", table, "--by", "error_top_2", "--draws", 1)
    assert "(error_top_2 above" in words
    with table.open() as file:
        rows = list(csv.DictReader(file))
    found = [float(row["error_top_2"]) for row in rows]
    assert found == sorted(found, reverse=True)
    tops = [name for name in rows[0] if name.startswith("error_top_")]
    assert tops[:2] == ["error_top_1", "error_top_2"]
    with refused(f"nearest valid: {tops[-1]}"):
        run(model=str(laddered), paths=[folder], out=table, by="error_top_99", device="cpu")
    with refused("this model has 1 rung;", "nearest valid: error"):
        run(model=str(trained), paths=[folder], out=table, by="error_top_1", device="cpu")


def test_anomaly_of_an_autoencoder_is_by_its_error(autoencoder, folder, tmp_path, call):
    table = tmp_path / "scores.csv"
    call("anomaly", autoencoder, folder, "--out", table, "--by", "error")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    found = [float(row["mean_squared_error"]) for row in rows]
    assert found == sorted(found, reverse=True) and len(found) == 3
    assert not [name for name in rows[0] if "iwae" in name or "score" in name or "rate_" in name]
    words = ["anomaly", str(autoencoder), str(folder), "--out", str(table), "--device", "cpu"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and "take --by error" in " ".join(done.output.split())


def test_restore_keeps_size_and_what_the_mask_leaves(trained, folder, tmp_path, call):
    mask = torch.zeros(1, 20, 24, dtype=torch.uint8)
    mask[:, 5:9, 6:12] = 255
    images.save(mask, tmp_path / "mask.png")
    out = tmp_path / "out"
    words = [folder, "--mask", tmp_path / "mask.png", "--rounds", 2, "--answers", 2, "--out", out]
    said = call("restore", trained, *words)
    assert "NAME_restored.png is the mean of the answers" in " ".join(said.split())
    for i in range(3):
        parts = [out / f"{i}_{name}.png" for name in ("restored", "answer_1", "answer_2")]
        mean, one, two = (np.asarray(Image.open(part)).astype(float) for part in parts)
        assert abs(mean - (one + two) / 2).max() <= 1, "but for rounding"
        assert (one[5:9, 6:12] != two[5:9, 6:12]).any() and (one[0] == two[0]).all()
        before, after = folder / f"{i}.png", out / f"{i}_restored.png"
        assert size(after) == size(out / f"{i}_uncertainty.png") == (24, 20)
        with Image.open(before) as one, Image.open(after) as two:
            assert one.getpixel((0, 0)) == two.getpixel((0, 0))
            assert one.crop((6, 5, 12, 9)).tobytes() != two.crop((6, 5, 12, 9)).tobytes()


def test_restore_says_where_a_model_without_noise_is_unsure(autoencoder, folder, tmp_path, call):
    words = ["restore", autoencoder, folder / "0.png", "--out", tmp_path / "o"]
    assert "bright is unsure" not in call(*words, "--answers", 1)
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["0_restored.png"]
    assert "bright is unsure" in call(*words)
    with Image.open(tmp_path / "o" / "0_uncertainty.png") as file:
        assert np.asarray(file).max() > 20, "not black"


def test_restore_sees_deep_pictures_as_they_are(trained, folder, tmp_path, call):
    with Image.open(folder / "0.png") as file:
        plain = np.asarray(file.convert("L"))
    Image.fromarray(plain).save(tmp_path / "plain.png")
    Image.fromarray(plain.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    made = []
    for name in ("plain", "deep"):
        call("restore", trained, tmp_path / f"{name}.png", "--answers", 1, "--out", tmp_path / "o")
        with Image.open(tmp_path / "o" / f"{name}_restored.png") as file:
            made.append(np.asarray(file))
    np.testing.assert_array_equal(*made)


def test_export_names_its_files(trained, tmp_path, call):
    said = call("export", trained, "--out", tmp_path, "--part", "decoder")
    assert "decoder.safetensors" in said and "not held against" not in said


def test_export_says_what_it_could_not_check(trained, tmp_path, call, monkeypatch):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"")
    monkeypatch.setattr("hiresvae.commands.export.export", lambda *_: [file])
    for there in (True, False):
        monkeypatch.setattr("hiresvae.uses.parts.find_spec", lambda _, there=there: there or None)
        said = call("export", trained, "--out", tmp_path, "--format", "onnx")
        assert ("not held against the model" in said) is not there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["interpolate", "RUN", "sample:1", "--out", "a.png"], "two pictures or more"),
        (["interpolate", "RUN", "sample:1", "sample:2", "--out", "a.bmp"], "the ending must be"),
        (
            ["interpolate", "RUN", "sample:1", "sample:2", "--out", "a.png", "--rungs", "1"],
            "1 rung",
        ),
        (["edit", "RUN", "sample:1", "--attribute", "brigthness"], "did you mean 'brightness'?"),
        (["edit", "RUN", "sample:1", "--attribute", "x", "--with", "."], "go together"),
        (["edit", "RUN", "sample:1", "--attribute", "x", "--method", "mean"], "'means'"),
        (["edit", "RUN", "sample:1", "--attribute", "x", "--face-box", "0,0,2"], "lie within"),
        (
            ["edit", "RUN", "sample:1", "--attribute", "x", "--features", "f", "--no-identity"],
            "leave --no-identity",
        ),
        (["anomaly", "RUN", "none.png", "--out", "a.csv"], "does not exist"),
        (["anomaly", "RUN", "none.png", "--out", "a.csv", "--by", "x"], "must be one of"),
        (["restore", "RUN", "none.png"], "does not exist"),
    ],
)
def test_mistakes_are_one_sentence(trained, words, said, monkeypatch, tmp_path, capsys):
    from hiresvae.cli import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main([str(trained) if word == "RUN" else word for word in words])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
