import json

import numpy as np
import pytest

from benchmarks import probe


def test_a_linear_rule_is_found_and_noise_is_chance():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3))
    labels = (rows @ [1.0, -2.0, 0.5] > 0).astype(int)
    assert probe.accuracy(rows[:300], labels[:300], rows[300:], labels[300:]) > 0.95
    noise = rng.permutation(labels)
    assert probe.accuracy(rows[:300], noise[:300], rows[300:], noise[300:]) < 0.65


def test_a_model_is_probed_beside_principal_components(labelled, tmp_path, capsys):
    out = tmp_path / "probe.json"
    probe.main([str(labelled), "--pixels", "--out", str(out)])
    found = json.loads(out.read_text())
    assert set(found["accuracy"]) == {"latents", "principal_components", "pixels"}
    assert found["latents"] == 8 and found["held_out"] > 0
    assert "8 numbers" in capsys.readouterr().out


def test_a_probe_needs_held_out_pictures(train, tmp_path, capsys):
    run = train(tmp_path / "run", "adversary=null", "data.held_out=0", "training.images=8")
    with pytest.raises(SystemExit) as stop:
        probe.main([str(run)])
    assert stop.value.code == 2 and "data.held_out" in capsys.readouterr().err
