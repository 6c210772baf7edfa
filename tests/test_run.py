import errno
import json
import math
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from hiresvae.errors import UserError
from hiresvae.run import MetricsFile, RunFolder, explained, write_json, write_whole, written_aside


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space is left on the disk"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EEXIST, "a file stands where a folder is needed"),
    ],
)
def test_what_a_disk_refuses_is_a_sentence(tmp_path, code, words):
    with pytest.raises(UserError, match=words) as caught, explained("writing", tmp_path):
        raise OSError(code, os.strerror(code))
    assert str(tmp_path) in str(caught.value)


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(OSError, match="odd"), explained("writing", tmp_path):
        raise OSError(errno.EIO, "odd")


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_file_where_the_run_should_be_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="a file stands where a folder is needed"):
        RunFolder(tmp_path / place).create()
    assert (tmp_path / "file").read_text() == "mine"


def test_creating_leaves_an_empty_folder(tmp_path):
    RunFolder(tmp_path / "a" / "b").create()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_clearing_takes_what_is_a_runs_and_no_more(tmp_path):
    run = RunFolder(tmp_path)
    for folder in (run.samples, run.reconstructions, run.checkpoints, run.model, run.model_best):
        folder.mkdir()
        (folder / "x").write_text("old")
    for file in (run.config, run.metrics, run.scores, run.log, run.rungs, tmp_path / "notes.txt"):
        file.write_text("old")
    run.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_clearing_takes_links_and_not_what_they_lead_to(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    for folder in (run.checkpoints, run.model):
        elsewhere = tmp_path / f"elsewhere_{folder.name}"
        elsewhere.mkdir()
        (elsewhere / "x").write_text("kept")
        folder.symlink_to(elsewhere)
    run.samples.symlink_to(tmp_path / "nowhere")
    run.clear()
    assert list(run.path.iterdir()) == []
    assert (tmp_path / "elsewhere_model" / "x").read_text() == "kept"


def test_what_cannot_be_cleared_is_told(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()

    def locked(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", locked)
    with pytest.raises(UserError, match=r"clearing in .* no permission"):
        run.clear()


def test_a_link_in_place_of_a_folder_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere")
    for content in ("first", "second"):
        with written_aside(tmp_path / "model") as aside:
            (aside / content).write_text(content)
        assert [p.name for p in (tmp_path / "model").iterdir()] == [content]
        assert {p.name for p in tmp_path.iterdir()} == {"model", "elsewhere"}


def test_a_name_that_is_too_long_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="longer than disks take"):
        RunFolder(tmp_path / ("a" * 300)).create()


def test_a_file_is_written_whole_or_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_whole(path, "first")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(type(path), "write_text", full)
    with pytest.raises(UserError, match="no space"):
        write_whole(path, "second")
    assert path.read_text() == "first"


def test_json_is_written_as_it_reads_and_not_at_all_where_it_cannot_be(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"name": "café", "values": [1, None]})
    assert "café" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "café", "values": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": math.nan})
    assert "café" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_appears_whole_in_place_of_the_old(tmp_path):
    for content in ("first", "second"):
        with written_aside(tmp_path / "model") as aside:
            (aside / content).write_text(content)
            assert not (tmp_path / "model" / content).exists()
        assert [p.name for p in (tmp_path / "model").iterdir()] == [content]
        assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_whose_writing_fails_leaves_the_old(tmp_path, error):
    with written_aside(tmp_path / "model") as aside:
        (aside / "a").write_text("first")
    with pytest.raises(error), written_aside(tmp_path / "model") as aside:
        (aside / "a").write_text("second")
        raise error
    assert (tmp_path / "model" / "a").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_process_left_aside_is_no_hindrance(tmp_path):
    for left in (".model.part", ".model.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "junk").write_text("")
    with written_aside(tmp_path / "model") as aside:
        assert list(aside.iterdir()) == []
        (aside / "a").write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_process_had_half_replaced_goes_back_to_its_name(tmp_path):
    run = RunFolder(tmp_path)
    left = {
        "checkpoints/.000000064.old": "checkpoints/000000064",
        "checkpoints/.000000064.part": None,
        "checkpoints/.000000032.gone": None,
        ".model_best.old": "model_best",
        ".model_best.part": None,
        ".model.old": None,
        "model": "model",
        ".mine.old": ".mine.old",
    }
    for name in left:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a").write_text(name)
    run.create()
    assert (tmp_path / ".model.old").exists(), "another may be at work there: it may be refused yet"
    run.mend()
    files = {str(path.parent.relative_to(tmp_path)): path for path in tmp_path.rglob("a")}
    assert {name: path.read_text() for name, path in files.items()} == {
        there: name for name, there in left.items() if there is not None
    }
    assert not list(run.checkpoints.glob(".*"))


def test_metrics_are_rewound_to_the_state_that_training_goes_on_from(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.rewind(0)
    assert not metrics.path.exists()
    lines = [{"images": images, "error": 0.1 * images} for images in (8, 16, 24)]
    for line in lines:
        metrics.append(line)
    with metrics.path.open("a") as file:
        file.write('{"images": 32, "err')
    assert metrics.read() == lines, "a half-written line is no line"
    whole = metrics.path.read_bytes()
    for junk in (b"\0" * 9, b"\xff\xfe", b"7", b"{}", b'{"images": "x"}', b"[" * 100_000):
        metrics.path.write_bytes(junk + b"\n" + whole)
        assert metrics.read() == lines, "nor is what a power cut leaves"
    metrics.path.write_bytes(whole)
    metrics.rewind(16)
    assert metrics.path.read_text() == "".join(json.dumps(line) + "\n" for line in lines[:2])
    metrics.append(lines[2])
    assert metrics.read() == lines


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_full_disk_is_told_in_words_whoever_noticed_it(error: Exception, tmp_path: Path):
    with pytest.raises(UserError, match=r"writing the checkpoint in .* no space is left"):
        with explained("writing the checkpoint", tmp_path):
            raise error


def test_other_faults_while_writing_stay_what_they_are(tmp_path: Path):
    with pytest.raises(RuntimeError, match="shapes"), explained("writing", tmp_path):
        raise RuntimeError("shapes do not fit")
