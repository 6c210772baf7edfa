import json

import pytest
import torch
from PIL import Image

from hiresvae.settings import TrainingSettings
from hiresvae.training import rungs
from hiresvae.training import trainer as trainer_module
from hiresvae.training.rung_plot import draw_rungs
from hiresvae.training.rungs import Silence

SHAPES = [(8, 1, 1), (2, 4, 4), (2, 8, 8)]
TICKS = TrainingSettings(images=1000, tick=20)
LADDER = ("adversary=null", "model.pyramid=1x1 4x1 8x1 ...", "training.images=64")


def tick(images, *rates):
    return {"images": images, **{f"rate_nats_{i}": rate for i, rate in enumerate(rates)}}


def test_a_rung_that_says_nothing_for_a_tenth_of_the_training_is_named_once():
    silence = Silence(SHAPES, TICKS)
    said = [silence.hear(tick(images, 9.0, 0.1, 0.4)) for images in range(20, 401, 20)]
    assert [i for i, words in enumerate(said) if words] == [4], "at 100 images, and not again"
    assert "rungs 1 (4x4), 2 (8x8) never above 0.5 nats for 100 images: collapsed" in said[4]


def test_a_rung_that_spoke_and_falls_silent_is_named_then_and_again():
    silence = Silence(SHAPES, TICKS)
    rates = [3.0] * 5 + [0.0] * 6 + [3.0] + [0.0] * 6
    said = [silence.hear(tick(20 * i + 20, 9.0, 9.0, rate)) for i, rate in enumerate(rates)]
    assert [i for i, words in enumerate(said) if words] == [9, 16]
    assert "rung 2 (8x8) never above 0.5 nats for 100 images" in said[9]


def test_one_rung_is_told_by_its_rate_and_a_broken_tick_says_nothing():
    silence = Silence(SHAPES[:1], TICKS)
    assert silence.hear({"images": 100, "skipped_steps": 5}) is None
    assert "rung 0 (1x1)" in silence.hear({"images": 120, "rate_nats": 0.2})
    assert Silence(SHAPES[:1], TICKS).hear({"images": 120, "rate_nats": 2.0}) is None


def test_active_units_are_those_that_pictures_move(make_trainer):
    trainer = make_trainer(*LADDER)
    low, top = trainer.vae.decoder.rung_list[1], trainer.vae.decoder.rung_list[0]
    with torch.no_grad():
        low.read.weight.zero_()
        low.foresee.weight.normal_()  # its prior follows the rung above; it adds nothing
        top.read.weight.mul_(100)
        top.read.weight[1].zero_()
    found = trainer.rungs()
    assert found.keys() == {"active_units_0", "active_units_1", "active_units_2"}
    assert found["active_units_0"] == 7, "of 8 latents all but the one that reads nothing"
    assert found["active_units_1"] == 0
    assert 0 <= found["active_units_2"] <= 8 * 8 * 8
    assert trainer.rungs() == found, "the same each time"


def test_batches_of_any_size_count_the_same(make_trainer):
    chosen = [*LADDER, "model.conditional=true", "data.labels=set", "data.binarize=true"]
    trainer = make_trainer(*chosen)
    assert set(trainer.rungs()) == {f"active_units_{i}" for i in range(3)}
    few = make_trainer(*LADDER, "training.batch_size=2").rungs()
    assert few == make_trainer(*LADDER).rungs()


@pytest.mark.parametrize("chosen", ["model.stochastic=false", "data.limit=1"])
def test_nothing_is_counted_without_noise_or_pictures_to_differ(make_trainer, chosen):
    trainer = make_trainer("adversary=null", "data.held_out=0.0", chosen)
    assert trainer.rungs() == {}
    if "stochastic" in chosen:
        assert trainer.rungs.hear({"images": 10**6, "rate_nats": 0.0}) is None


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_ladder_tells_and_draws_what_its_rungs_carry(train, tmp_path, monkeypatch):
    monkeypatch.setattr(rungs, "SILENT", 1e9)
    run = train(tmp_path / "run", *LADDER)
    for line in lines(run):
        assert {f"rate_nats_{i}" for i in range(3)} <= line.keys()
        assert {f"active_units_{i}" for i in range(3)} <= line.keys()
        total = sum(line[f"rate_nats_{i}"] for i in range(3))
        assert total == pytest.approx(line["rate_nats"], rel=1e-4)
    with Image.open(run / "rungs.png") as file:
        assert file.size == (990, 715)
    log = (run / "train.log").read_text()
    assert log.count("never above") == 1 and "rungs 0 (1x1), 1 (4x4), 2 (8x8)" in log


def test_one_rung_is_told_but_not_drawn(trained):
    assert all("active_units" in line for line in lines(trained))
    assert not (trained / "rungs.png").exists()


def test_looking_changes_no_bit(trained, train, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module.RungWatch, "__call__", lambda _: {})
    assert weights(train(tmp_path / "run")) == weights(trained)


def test_the_plot_takes_gaps_and_many_rungs(tmp_path):
    shapes = [(4, 4, 4)] * 30
    told = [{"images": 10, "rate_nats_3": 0.0, "active_units_3": 64}, {"images": 20}]
    draw_rungs(told, shapes, tmp_path / "rungs.png")
    assert [path.name for path in tmp_path.iterdir()] == ["rungs.png"]
