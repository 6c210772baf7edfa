import json

import processes
import pytest
from processes import ALONE, APART, TOGETHER

from hiresvae.configuration import load_settings


def test_the_overhead_is_told_round_by_round(tiny, tmp_path, monkeypatch, capsys):
    speeds = {APART: [20.0, 10.0, 16.0], TOGETHER: [15.0, 9.0, 8.0], ALONE: [20.0, 12.0, 12.0]}
    asked = []

    def told(place, configs, who):
        asked.append(who)
        return speeds[who][len(asked) // 3 - (len(asked) % 3 == 0)]

    monkeypatch.setattr(processes, "images_a_second", told)
    out = tmp_path / "p.json"
    words = [str(tiny), "--side", "16", "--batch", "8", "--steps", "2", "--ticks", "3"]
    processes.main([*words, "--folder", str(tmp_path / "place"), "--out", str(out)])
    assert asked == [APART, TOGETHER, ALONE] * 3
    found = json.loads(out.read_text())
    assert found["overhead"] == pytest.approx(0.25)
    assert found["overhead_range"] == pytest.approx([0.1, 0.5])
    assert found["overhead_of_threads"] == pytest.approx(0)
    assert found["images_per_second"] == {APART: 16, TOGETHER: 9, ALONE: 12}
    assert "25.0 % (10.0 to 50.0)" in capsys.readouterr().out
    halves = {name: load_settings(tmp_path / "place" / f"{name}.yaml", []) for name in
              ("whole", "half")}  # fmt: skip
    assert [halves[name].training.batch_size for name in ("whole", "half")] == [8, 4]
    assert [halves[name].training.images for name in ("whole", "half")] == [48, 24]


def test_who_trains_how(tmp_path, monkeypatch):
    begun, waited = [], []

    def start(config, run, threads, count=1):
        begun.append((config, run.name, threads, count))
        return [run.name]

    monkeypatch.setattr(processes, "start", start)
    monkeypatch.setattr(processes, "ended", waited.append)
    monkeypatch.setattr(processes, "last_tick", lambda run: {"first": 9.0, "second": 7.0}[run.name])
    monkeypatch.setattr(
        processes, "speed", lambda run, skipped, until=None: 3.0 if until == 7.0 else 5.0
    )
    configs = {"whole": "whole", "half": "half"}
    found = [processes.images_a_second(tmp_path, configs, who) for who in (APART, TOGETHER, ALONE)]
    assert found == [6, 5, 5], "of the two apart, while both are at work, the sum"
    assert waited[0] == ["first", "second"], "both at once"
    assert begun == [
        ("half", "first", 1, 1), ("half", "second", 1, 1), ("whole", "together", 1, 2),
        ("whole", "one_process", 2, 1),
    ]  # fmt: skip
