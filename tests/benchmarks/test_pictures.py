import json

import pictures
import pytest

SMALL = ["--side", "16", "--steps", "2", "--ticks", "4", "--threads", "1"]


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "DRAWN", 12)
    return tmp_path / "p.json"


def run(out, *words):
    pictures.main([*SMALL, *words, "--folder", str(out.parent / "place"), "--out", str(out)])
    return json.loads(out.read_text())["rows"]


def test_many_pictures_are_few_files(out):
    folder = pictures.linked(out.parent, 30, 16)
    files = sorted(folder.iterdir())
    assert len(files) == 30 and len({file.stat().st_ino for file in files}) == 12
    assert pictures.linked(out.parent, 30, 16) == folder, "made once"


def test_each_number_is_trained_on_in_a_process_of_its_own(out, capsys):
    (row,) = run(out, "--counts", "30", "--rounds", "1")
    assert row["pictures"] == 30 and row["stored_bytes"] == 30 * 3 * 16**2
    assert row["seconds_an_image"] > 0 and row["opening_seconds"] > 0
    assert row["building_seconds_a_picture"] == pytest.approx(row["building_seconds"] / 30)
    assert row["held_bytes"] == 0, "they are read as they are needed"
    if (pictures.ended.__globals__["PROC"] / "self/status").is_file():
        assert row["peak_bytes"] - row["held_bytes"] == row["peak_bytes_beside_pictures"] > 5e7
    assert "30" in capsys.readouterr().out.splitlines()[1]


def test_ratios_are_of_the_same_round_in_turn(out, monkeypatch):
    done, speeds = [], iter([100.0, 50.0, 10.0, 8.0, 20.0, 20.0])
    monkeypatch.setattr(pictures, "start", lambda config, *_: done.append(config.stem) or config)
    monkeypatch.setattr(pictures, "ended", lambda config: {"6": 100, "18": 130}[config.stem])
    monkeypatch.setattr(pictures, "speed", lambda *_: next(speeds))
    words = ["--counts", "18", "6", "--rounds", "3", "--set", "data.device_cache=true"]
    few, many = run(out, *words)
    assert done == ["6", "18"] * 3, "the fewest first, all of them in each round"
    assert (few["time_ratio"], few["memory_ratio"]) == (1, 1)
    assert many["time_ratio"] == pytest.approx(10 / 8)
    assert many["time_ratio_range"] == pytest.approx([1, 2])
    assert many["seconds_an_image"] == pytest.approx(1 / 20) and many["memory_ratio"] == 1.3
    assert many["held_bytes"] == 18 * 3 * 16**2, "as the setting says"
