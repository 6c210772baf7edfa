import json

import classes
import numpy as np
import pytest
import torch

LABELS = np.repeat([0, 1], 40)


def shades() -> np.ndarray:
    """Dark and light pictures of noise, 40 of each."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (80, 1, 8, 8))
    return (noise + 180 * LABELS[:, None, None, None]).astype(np.uint8)


def test_the_judge_learns_classes_that_differ():
    judge = classes.trained(shades(), LABELS, 2, epochs=8)
    assert (judge.classes_of(torch.from_numpy(shades())) == LABELS).all()


def test_the_spread_is_that_of_a_pair():
    pair = np.zeros((2, 1, 2, 2), np.uint8)
    pair[1] = 255
    assert classes.spread(pair) == pytest.approx(2.0)


def test_every_class_is_asked_for(labelled, tmp_path):
    classes.main([str(labelled), "--each", "4", "--epochs", "1", "--out", str(tmp_path / "a.json")])
    found = json.loads((tmp_path / "a.json").read_text())
    assert len(found["agreement_of"]) > 1
    assert found["agreement"] == pytest.approx(np.mean(list(found["agreement_of"].values())))
    assert all(value > 0 for value in found["diversity_of"].values())


def test_a_model_without_labels_is_refused(trained, capsys):
    with pytest.raises(SystemExit) as stop:
        classes.main([str(trained)])
    assert stop.value.code == 2
    assert "trained without labels" in capsys.readouterr().err
