import json

import numpy as np
import pytest

from hiresvae.uses.curves import read_training


def line(images, time, speed, **values):
    return {"images": images, "time": time, "images_per_second": speed, **values}


@pytest.fixture
def run(tmp_path):
    lines = [
        line(100, 1000.0, 10.0, error=0.5, rate_nats=3.0),
        line(200, 1010.0, 10.0, error=0.4),
    ]
    scores = [
        {"images": 50, "kernel_distance_held_out": 2.0, "features": "textures"},
        {"images": 100, "kernel_distance_held_out": float("nan"), "features": "textures"},
        {"images": 200, "kernel_distance_held_out": 1.0, "features": "textures"},
    ]
    for name, content in (("metrics.jsonl", lines), ("scores.jsonl", scores)):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in content))
    return tmp_path


def test_curves_have_images_seconds_and_units(run):
    training = read_training(str(run), "absolute error")
    assert (training.images, training.seconds) == (200, 20.0)
    error, score = training.curves["error"], training.curves["kernel_distance_held_out"]
    assert error.unit == "absolute error"
    assert error.to_json() == {
        "unit": "absolute error", "images": [100, 200], "seconds": [10.0, 20.0],
        "values": [0.5, 0.4],
    }  # fmt: skip
    assert training.curves["rate_nats"].images.tolist() == [100]
    assert "textures" in score.unit
    np.testing.assert_allclose(score.seconds, [5.0, 20.0])
    assert score.values.tolist() == [2.0, 1.0], "a score that is no number is no point"


def test_a_model_without_its_run_has_no_curves(tmp_path, trained):
    assert read_training(str(tmp_path)) is None
    assert read_training(str(trained / "model")) is None
    (tmp_path / "metrics.jsonl").write_text("")
    assert read_training(str(tmp_path)) is None


def test_a_real_run_can_be_read(trained):
    training = read_training(str(trained))
    assert training.images == 128 and training.seconds > 0
    assert {"error", "rate_nats", "kernel_distance_held_out"} <= set(training.curves)
    for curve in training.curves.values():
        assert (np.diff(curve.images) > 0).all() and (np.diff(curve.seconds) >= 0).all()
