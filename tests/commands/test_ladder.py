import pytest
from PIL import Image
from typer.testing import CliRunner

from hiresvae import images
from hiresvae.cli import app, main
from hiresvae.errors import UserError
from hiresvae.generator import load


def call(*words):
    done = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def size(path):
    with Image.open(path) as file:
        return file.size


def test_sheets_of_pictures_and_samples(laddered, tmp_path):
    picture = load(laddered, device="cpu").sample(1, seed=3)[0]
    images.save(picture, tmp_path / "mine.png")
    out = tmp_path / "out"
    words = call(
        "ladder", laddered, tmp_path / "mine.png", "sample:1", "--keep", 1, "--draws", 2,
        "--out", out, "--scale", 1, "--temperature", "1,0.5",
    )  # fmt: skip
    assert "2 pictures, 1 of 4 rungs kept" in words
    assert sorted(path.name for path in out.iterdir()) == [
        "coarse_to_fine.png", "kept.png", "mixed.png",
    ]  # fmt: skip
    wide, narrow = size(out / "coarse_to_fine.png"), size(out / "kept.png")
    assert wide[1] == narrow[1] and wide[0] - narrow[0] == 3 * (16 + 2), "6 columns, and 3"


def test_what_is_no_picture_is_told(laddered, tmp_path):
    broken = tmp_path / "broken\x1b.png"
    broken.write_text("no picture")
    words = call("ladder", laddered, broken, "sample:1", "--out", tmp_path / "out")
    assert "skipped broken\\x1b.png: not a picture" in words and "1 pictures, " in words


def test_samples_are_shown_where_no_picture_is_named(laddered, tmp_path):
    assert "4 pictures, 2 of 4 rungs kept" in call("ladder", laddered, "--out", tmp_path / "a")
    call("ladder", laddered, "sample:7", "--out", tmp_path / "b")
    assert not (tmp_path / "b" / "mixed.png").exists(), "one picture mixes with nothing"


def test_samples_of_a_temperature_for_each_rung(laddered, tmp_path):
    painter = load(laddered, device="cpu")
    call("sample", laddered, "--n", 2, "--temperature", "0,1,1,1", "--out", tmp_path / "made")
    with Image.open(tmp_path / "made" / "000001.png") as file:
        assert file.size == (16, 16)
    cold = painter.sample(2, temperature=0.0, prior="standard").int()
    assert (cold[0] - cold[1]).abs().max() <= 1
    chosen = {"prior": "standard", "start": 1}
    same = painter.sample(2, temperature=(0.5, 0.5, 0.5, 0.5), **chosen).int()
    assert (same - painter.sample(2, temperature=0.5, **chosen).int()).abs().max() <= 1
    with pytest.raises(UserError, match="has 5 numbers, but this model has 4 rungs"):
        painter.sample(1, temperature=(1.0,) * 5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ladder", "ONE", "sample:1"], "this model has 1 rung"),
        (["ladder", "RUN", "--keep", "4"], "nearest valid: 3"),
        (["ladder", "RUN", "none.png"], "does not exist"),
        (["ladder", "RUN", *[f"sample:{i}" for i in range(17)]], "nearest valid: 16"),
        (["sample", "RUN", "--temperature", "1,1,1,1,1"], "nearest valid: 4"),
        (["sample", "ONE", "--temperature", "1,0.5"], "this model has 1 rung; nearest valid: 1"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    trained, laddered, words, said, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    runs = {"ONE": str(trained), "RUN": str(laddered)}
    with pytest.raises(SystemExit) as caught:
        main([runs.get(word, word) for word in words])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
