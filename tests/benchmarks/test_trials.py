import json

import numpy as np
import pytest
import yaml
from trials import Bench, Job, by_figure, finished, in_batches, markdown, measured, quiet_speed

from hiresvae.configuration import dump_settings, load_settings


def record(title, seed, value, interval=None):
    figures = {
        "psnr_reconstructions": {
            "value": value, "interval": interval, "unit": "dB", "better": "up",
        },
        "elbo": {"value": 1.0, "interval": None, "unit": "nats", "better": "up"},
    }  # fmt: skip
    return {"title": title, "seed": seed, "images": 1000, "seconds": 90.0, "figures": figures}


def test_one_seed_has_its_interval_and_several_their_range():
    one = markdown([record("a", 0, 20.04, [19.0, 21.0]), record("b", 0, None)])
    lines = one.splitlines()
    assert lines[0] == "| training | images | minutes | psnr_reconstructions (up) |"
    assert lines[2] == "| a | 1,000 | 1.5 | 20 (19 to 21) |"
    assert lines[3] == "| b | 1,000 | 1.5 | - |"
    several = markdown([record("a", 0, 20.0, [19.0, 21.0]), record("a", 1, 22.0, [21.0, 23.0])])
    assert several.splitlines()[2] == "| a | 1,000 | 1.5 | 21 (20 to 22) |"


def test_every_figure_has_its_values_by_title_and_seed():
    found = by_figure([record("a", 0, 20.0), record("a", 1, 22.0), record("b", 0, 1.0)])
    values = found["psnr_reconstructions"]["values"]
    assert [one["seed"] for one in values["a"]] == [0, 1]
    assert values["b"] == [{"seed": 0, "value": 1.0, "interval": None}]
    assert found["elbo"]["unit"] == "nats"


def test_images_come_in_whole_batches():
    assert [in_batches(x, 8) for x in (0.0, 7.9, 16.0, 23.9)] == [8, 8, 16, 16]


def test_a_job_gives_changes_of_the_adversary_to_those_that_have_one(tiny, tmp_path):
    plain = tmp_path / "plain.yaml"
    plain.write_text(yaml.safe_dump(yaml.safe_load(tiny.read_text()) | {"adversary": None}))
    changes = ("adversary.gamma=0.7", "model.width=5")
    with_one, without = (Job("a, b", file, changes, 640, 3) for file in (tiny, plain))
    assert with_one.settings().adversary.gamma == 0.7
    assert without.settings().adversary is None and without.settings().model.width == 5
    assert with_one.settings().training.images == 640 and with_one.settings().seed == 3
    assert with_one.name == "a-b-640-seed3"


def test_only_exactly_this_training_is_finished(trained, tmp_path):
    settings = load_settings(trained / "config.yaml")
    assert finished(trained, settings)
    assert not finished(tmp_path, settings)
    longer = load_settings(trained / "config.yaml", ["training.images=129"])
    assert not finished(trained, longer)
    other = load_settings(trained / "config.yaml", ["model.beta=2.0"])
    assert not finished(trained, other)
    # The settings are there from the first step on, the model only from a snapshot on.
    (tmp_path / "config.yaml").write_text(dump_settings(settings))
    assert not finished(tmp_path, settings)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"images_seen": 64}))
    assert not finished(tmp_path, settings)


def test_a_model_cut_short_is_one_sentence_and_made_anew_from_the_checkpoint(
    train, tmp_path, refused
):
    run = train(tmp_path / "run", "training.images=64")
    settings = load_settings(run / "config.yaml")
    model = run / "model" / "config.json"
    whole = model.read_text()
    for broken in (whole[:-20], "{}", "[]"):
        model.write_text(broken)
        with refused(str(model), "delete it"):
            finished(run, settings)
    model.unlink()
    assert not finished(run, settings)
    train(run, "training.images=64")
    assert finished(run, settings) and model.read_text() == whole


def test_a_run_that_was_evaluated_by_an_older_version_is_not_measured_again(
    trained, tiny, tmp_path, monkeypatch
):
    calls = []

    def fake(model, file, **asked):
        calls.append(asked)
        return {"figures": {}}

    monkeypatch.setattr("hiresvae.uses.compare.evaluate", fake)
    monkeypatch.setattr("trials.finished", lambda *_: True)
    bench, job = Bench(tmp_path, tmp_path, 16, "none", "texture"), Job("a", tiny, (), 128, 0)
    bench.run(job).symlink_to(trained)
    bench.do(job)
    kept = json.loads(bench.file(job).read_text())
    assert kept["asked"].pop("networks") == {"features": None, "lpips": None}
    bench.file(job).write_text(json.dumps(kept))
    assert bench.do(job)["evaluation"] == bench.file(job).name and len(calls) == 1


def test_what_slows_a_training_down_for_a_while_is_not_its_speed(tmp_path):
    seconds = np.cumsum([1.0, 1.0, 9.0, 9.0, 1.0, 1.0, 1.0])
    lines = [
        {"images": 10 * (i + 1), "time": t, "images_per_second": 10 * (i + 1) / t}
        for i, t in enumerate(seconds)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert quiet_speed(tmp_path) == pytest.approx(10.0)
    assert measured(tmp_path)["images_per_second"] == pytest.approx(70 / 23, rel=1e-3)


def test_what_a_training_took_is_measured(trained, tmp_path, refused):
    found = measured(trained)
    assert found["images"] == 128 and found["seconds"] > 0
    assert found["images_per_second"] == pytest.approx(128 / found["seconds"], rel=0.5)
    with refused("metrics.jsonl"):
        measured(tmp_path)
