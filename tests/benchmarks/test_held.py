import json
import os
import platform
import subprocess
import sys

import held
import pytest
from trainings import ROOT


def test_speeds_are_compared_round_by_round(tiny, tmp_path, monkeypatch, capsys):
    speeds = {"held": [30.0, 20.0], "given_back": [20.0, 10.0]}
    begun = []

    def start(config, run, threads, program):
        begun.append((run.name, program))
        run.mkdir(exist_ok=True)
        (run / "train.log").write_text(held.SAID if run.name == "held" else "")
        return [run.name]

    monkeypatch.setattr(held, "start", start)
    monkeypatch.setattr(
        held, "ended", lambda started: {"held": 3, "given_back": 2}[started[0]] << 30
    )
    monkeypatch.setattr(held, "speed", lambda run, skipped: speeds[run.name].pop(0))
    out = tmp_path / "held.json"
    held.main([str(tiny), "--sides", "16", "--batch", "8", "--out", str(out)])
    one, other = ("held", held.HOLDS), ("given_back", held.GIVES_BACK)
    assert begun == [other, one, one, other]
    (row,) = json.loads(out.read_text())["rows"]
    assert row["ratio"] == pytest.approx(1.75) and row["ratio_range"] == [1.5, 2]
    assert row["held"] == {"images_per_second": 25, "gib": 3}
    assert row["given_back"] == {"images_per_second": 15, "gib": 2}
    assert "1.75 (1.50 to 2.00)" in capsys.readouterr().out


def test_memory_that_was_not_held_is_not_compared(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(held, "start", lambda config, run, *_, **__: (
        run.mkdir(), (run / "train.log").write_text("")
    ))  # fmt: skip
    monkeypatch.setattr(held, "ended", lambda started: 1)
    monkeypatch.setattr(held, "speed", lambda run, skipped: 1.0)
    with pytest.raises(SystemExit) as stop:
        held.main([str(tiny), "--sides", "16", "--batch", "8", "--out", str(tmp_path / "h.json")])
    assert stop.value.code == 2 and "only where there is plenty" in capsys.readouterr().err


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
@pytest.mark.parametrize(("program", "holds"), [(held.HOLDS, True), (held.GIVES_BACK, False)])
def test_one_side_holds_memory_and_the_other_does_not(tiny, tmp_path, program, holds):
    told = """
import hiresvae.held_memory as h
h.free_memory = lambda: 1 << 60
"""
    (tmp_path / "sitecustomize.py").write_text(told)
    words = ["train", str(tiny), "--out", str(tmp_path / "run"), "--set=training.images=16"]
    place = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, *program, *words],
        capture_output=True, text=True, check=True, timeout=300,
        env=os.environ | place,
    )  # fmt: skip
    log = (tmp_path / "run" / "train.log").read_text()
    assert (held.SAID in log) == holds, said.stderr
