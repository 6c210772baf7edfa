import json

import numpy as np
import pytest

from benchmarks import anomaly


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    usual, strange = rng.integers(0, 9, 40).astype(float), rng.integers(3, 12, 30).astype(float)
    pairs = strange[:, None] - usual[None]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert anomaly.auroc(usual, strange) == pytest.approx(expected, abs=1e-12)
    assert anomaly.auroc(strange, usual) == pytest.approx(1 - expected, abs=1e-12)
    low, high = anomaly.interval(usual, strange)
    assert low < expected < high


def test_another_source_is_told_and_drawn(trained, tmp_path, capsys):
    out, sheet = tmp_path / "a.json", tmp_path / "a.png"
    words = [str(trained), "--against", "embedded:faces", "--n", "8", "--draws", "1"]
    anomaly.main([*words, "--out", str(out), "--sheet", str(sheet)])
    found = json.loads(out.read_text())
    assert found["against"] == "embedded:faces" and 0 < found["usual"] <= 8
    few = set(anomaly.MEASURES) - {"typical"}
    assert set(found["auroc"]) == few, "of too few usual pictures nothing is typical"
    assert all(0 <= row["auroc"] <= 1 for row in found["auroc"].values())
    assert sheet.stat().st_size and "bits less complexity" in capsys.readouterr().out


def test_a_ladder_is_measured_rung_by_rung(laddered, tmp_path, capsys):
    words = [str(laddered), "--against", "embedded:faces", "--n", "8", "--draws", "1"]
    anomaly.main([*words, "--out", str(tmp_path / "a.json")])
    found = json.loads((tmp_path / "a.json").read_text())["auroc"]
    tops = {f"error_top_{k}" for k in range(1, 4)}  # all four are "error"
    assert set(found) == set(anomaly.MEASURES) - {"typical"} | tops
    assert all(0 <= found[name]["auroc"] <= 1 for name in tops)
    assert "error with the top 2 rungs" in capsys.readouterr().out


def test_the_labels_left_out_are_the_strangers(train, tmp_path, capsys):
    kept = ["data.labels=set", "data.without=[sea]", "data.limit=96", "training.images=16"]
    run = train(tmp_path / "run", "adversary=null", *kept)
    anomaly.main([str(run), "--draws", "1", "--out", str(tmp_path / "a.json")])
    found = json.loads((tmp_path / "a.json").read_text())
    assert set(found["auroc"]) == set(anomaly.MEASURES)
    assert found["against"] == "embedded:paintings sea" and found["strange"] > 0


def test_without_strangers_one_is_named(trained, capsys):
    with pytest.raises(SystemExit) as stop:
        anomaly.main([str(trained)])
    assert stop.value.code == 2 and "--against mnist" in capsys.readouterr().err
