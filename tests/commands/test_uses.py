"""The commands for trained models, each once from its arguments to its files."""

import csv
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hiresvae import images
from hiresvae.cli import app
from hiresvae.generator import load


@pytest.fixture
def autoencoder(trained, tmp_path):
    """The tiny training's model, as if it had been trained without noise."""
    painter = load(trained, device="cpu")
    plain = painter.settings.model.model_copy(update={"stochastic": False})
    painter.settings = painter.settings.model_copy(update={"model": plain})
    (tmp_path / "autoencoder").mkdir()
    painter.save(tmp_path / "autoencoder")
    return tmp_path / "autoencoder"


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
