import pytest

from hiresvae.cli import main
from hiresvae.errors import UserError


def test_a_folder_of_other_settings_is_refused_and_stays(trained, train, content, refused):
    before = content(trained)
    with refused("training.lr 0.0004", "now say 0.001", "--out", "--fresh"):
        train(trained, "training.lr=0.001")
    with refused("adversary"):
        train(trained, "adversary=null")
    assert content(trained) == before


def test_what_changes_no_number_may_change(train, tmp_path):
    train(tmp_path / "run", "training.images=16")
    train(tmp_path / "run", "training.images=16", "training.tick=8", "data.device_cache=false")
    assert "tick: 8" in (tmp_path / "run" / "config.yaml").read_text()


def test_fresh_begins_anew_and_leaves_what_is_not_the_runs(train, content, tmp_path):
    run = tmp_path / "run"
    train(run, "training.images=32", "seed=5")
    (run / "notes.txt").write_text("mine")
    train(run, "training.images=16", fresh=True)
    assert (run / "notes.txt").read_text() == "mine"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["000000016"]
    said = (run / "train.log").read_text()
    assert "training tiny to 16 images" in said, "the log is that of the new run"
    assert "to 32 images" not in said
    expected = train(tmp_path / "expected", "training.images=16")
    assert (content(run / "model")["model.safetensors"]
            == content(expected / "model")["model.safetensors"])  # fmt: skip


def test_a_config_that_cannot_be_read_is_refused(train, tmp_path, refused):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("data: {sise: 3}")
    with refused("data.sise", "--fresh"):
        train(tmp_path / "run")


def test_a_file_where_the_run_should_be_is_one_sentence(tiny, tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tiny), "--out", str(tmp_path / "mine" / "run")])
    assert caught.value.code == 2
    assert "a file stands where a folder is needed" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_tracker_or_precision_that_is_not_there_is_refused(train, tmp_path, monkeypatch):
    monkeypatch.setattr("hiresvae.commands.train._importable", lambda name: False)
    with pytest.raises(UserError, match=r"'tensorboard' is not installed; pip install"):
        train(tmp_path / "run", "training.trackers=[tensorboard]")


def test_a_conditional_run_knows_its_labels(labelled):
    assert '"sea"' in (labelled / "model" / "labels.json").read_text()
    card = (labelled / "model" / "README.md").read_text()
    (line,) = (line for line in card.splitlines() if line.startswith("- labels: "))
    assert "haystacks" in line
