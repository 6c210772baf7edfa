import json

import pytest
from typer.testing import CliRunner

from hiresvae.cli import app
from hiresvae.commands.compare import file_name


@pytest.fixture
def call():
    def run(*words: object):
        return CliRunner().invoke(app, ["compare", *map(str, words), "--device", "cpu"])

    return run


def test_writes_a_page_and_its_numbers_and_keeps_what_was_measured(
    trained, labelled, tmp_path, call, monkeypatch
):
    options = ["--samples", 8, "--features", "none", "--metrics", "paired", "--out", tmp_path]
    done = call(trained, labelled, *options)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Better beyond the 95 % intervals: tiny in " in done.output
    assert "report.html" in done.output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Comparison of tiny and labelled</title>" in page
    told = json.loads((tmp_path / "report.json").read_text())
    assert [one["name"] for one in told["models"]] == ["tiny", "labelled"]
    kept = sorted(path.name for path in (tmp_path / "evaluations").iterdir())
    assert kept == ["labelled.json", "tiny.json"]
    monkeypatch.setattr("hiresvae.uses.compare.evaluate", lambda *_, **__: pytest.fail("again"))
    again = call(trained, labelled, *options)
    assert again.exit_code == 0 and again.output == done.output
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_mistakes_are_one_sentence(trained, tmp_path, call, monkeypatch):
    alone = call(trained, "--out", tmp_path)
    assert alone.exit_code == 2 and "name 2 models or more" in alone.output
    monkeypatch.setattr("hiresvae.uses.compare.evaluate", lambda *_, **__: pytest.fail("late"))
    absent = call(trained, tmp_path / "none", "--out", tmp_path / "out")
    assert absent.exit_code == 2 and "does not exist" in absent.output
    (tmp_path / "file").write_text("")
    blocked = call(trained, trained, "--out", tmp_path / "file")
    assert blocked.exit_code == 2 and "choose another with --out" in blocked.output


def test_names_become_file_names():
    assert file_name("../<a>/b") == "a-b"
    assert file_name("...") == "model"
