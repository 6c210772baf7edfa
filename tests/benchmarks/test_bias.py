import json

import numpy as np
import pytest

from benchmarks import bias
from hiresvae.metrics.frechet import frechet_distance
from hiresvae.metrics.kernel import kernel_distance


def test_few_real_pictures_are_far_from_others_by_frechet_and_not_by_kernel():
    real = np.random.default_rng(0).normal(size=(1024, 16))
    frechet, kernel = (bias.among(real, d, 0) for d in (frechet_distance, kernel_distance))
    assert list(frechet) == list(kernel) == [64, 128, 256, 512]
    means = [np.mean(values) for values in frechet.values()]
    assert means == sorted(means, reverse=True) and means[0] > 5 * means[-1] > 0
    # Of one source: 0 in the mean, so both signs.
    every = np.concatenate(list(kernel.values()))
    assert every.min() < 0 < every.max() and abs(every.mean()) < 0.1
    assert [len(values) for values in frechet.values()] == [3, 3, 2, 1]


def test_no_picture_is_on_both_sides():
    real = np.arange(128.0)[:, None]
    seen = []
    bias.among(real, lambda a, b: seen.append((a, b)) or 0.0, 0)
    for one, two in seen:
        assert len(one) == len(two) and not np.intersect1d(one, two).size


def test_a_model_is_measured_with_ever_more_samples(trained, network, tmp_path, monkeypatch):
    monkeypatch.setattr(bias, "FEWEST", 8)
    out, picture = tmp_path / "bias.json", tmp_path / "bias.png"
    words = [str(trained), "--samples", "60", "--features", network]
    bias.main([*words, "--out", str(out), "--picture", str(picture)])
    told = json.loads(out.read_text())
    assert told["words"] == ["frechet", "kernel"] and told["infinity"] is not None
    assert list(told["distances"]["frechet"]["samples from 42 real pictures"]) == [
        "8", "16", "32", "60",
    ]  # fmt: skip
    assert picture.stat().st_size > 5000


def test_too_few_pictures_are_refused(trained, network, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        bias.main([str(trained), "--features", network, "--out", str(tmp_path / "bias.json")])
    assert stop.value.code == 2 and "nearest valid: 128 and 64" in capsys.readouterr().err
