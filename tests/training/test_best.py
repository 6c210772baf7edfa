import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from hiresvae.cli import main
from hiresvae.errors import UserError
from hiresvae.generator import load
from hiresvae.training import best as module
from hiresvae.training.snapshots import running_density


def scores(run):
    return [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]


def kept(run):
    return json.loads((run / "model_best" / "score.json").read_text())


@pytest.fixture
def given(monkeypatch):
    """Scores come from a list in place of a measurement."""

    def give(values):
        rest = iter(values)
        monkeypatch.setattr(module.Best, "_value", lambda *_: next(rest))
        monkeypatch.setattr(module.Best, "nearer", lambda _, __, fitted, *___: fitted)

    return give


def test_each_snapshot_is_scored_and_the_nearest_kept(trained):
    lines = scores(trained)
    assert [line["images"] for line in lines] == [64, 128]
    values = [line["kernel_distance_held_out"] for line in lines]
    assert kept(trained)["value"] == pytest.approx(min(values), rel=1e-4)
    assert kept(trained)["images"] == lines[values.index(min(values))]["images"]
    assert all(line["features"] == "textures" and line["seconds"] < 60 for line in lines)
    model = load(trained, which="best", device="cpu")
    assert model.images_seen == kept(trained)["images"]


def test_a_worse_end_leaves_the_best_with_a_prior_of_its_own(train, trained, given, tmp_path):
    given([1.0, 2.0])
    run = train(tmp_path / "run")
    assert kept(run) == {"images": 64, "value": 1.0, "features": "textures", "running": False}
    last, best = (load(run, which=which, device="cpu") for which in ("last", "best"))
    assert (last.images_seen, best.images_seen) == (128, 64)
    assert not torch.equal(last.sample(2), best.sample(2))
    assert "best 1 at 64" in (run / "train.log").read_text()


def test_the_best_at_the_end_is_the_last(train, given, content, tmp_path):
    given([2.0, 1.0])
    run = train(tmp_path / "run")
    best = content(run / "model_best")
    best.pop("score.json")
    assert best == content(run / "model")


@pytest.fixture
def priors_scored(monkeypatch):
    """The first snapshot's priors, fitted and running, are of these scores, then the second's."""

    def give(values):
        rest = iter(values)
        monkeypatch.setattr(module.Best, "_value", lambda *_: next(rest))

    return give


@pytest.mark.parametrize(("fitted", "running"), [(1.0, 2.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_samples_come_from_the_prior_whose_samples_lie_nearer(
    train, priors_scored, tmp_path, fitted, running
):
    priors_scored([3.0, 3.0, fitted, running])
    run = train(tmp_path / "run")
    checkpoint = load_file(max((run / "checkpoints").iterdir()) / "running_prior.safetensors")
    prior = load(run, device="cpu").prior
    assert torch.equal(prior.means, checkpoint["means"]) == (running < 2)
    assert kept(run)["running"] == (running < 2)


def test_the_best_that_samples_from_the_running_fit_keeps_it(
    train, priors_scored, tmp_path, monkeypatch
):
    """At the end an older best gets a prior of more latents, but not in place of this one."""
    write, written = module.Best._write, []
    monkeypatch.setattr(
        module.Best, "_write", lambda *inputs: (written.append(inputs[1].prior), write(*inputs))
    )
    priors_scored([2.0, 1.0, 3.0, 3.0])
    run = train(tmp_path / "run")
    assert kept(run) == {"images": 64, "value": 1.0, "features": "textures", "running": True}
    (prior,) = written
    assert torch.equal(load(run, which="best", device="cpu").prior.means, prior.means)


@pytest.mark.parametrize(
    "chosen", [{"prior.kind": "gaussian"}, {"adversary.fakes": "[reconstructions]"}]
)
def test_only_a_critic_that_was_shown_the_running_fit_speaks_for_it(
    train, tmp_path, monkeypatch, chosen
):
    monkeypatch.setattr(module.Best, "nearer", lambda *_: pytest.fail("asked"))
    run = train(tmp_path / "run", *(f"{key}={value}" for key, value in chosen.items()))
    assert not kept(run)["running"]


def test_the_running_fit_can_be_asked_for(train, tmp_path):
    run = train(tmp_path / "run", "prior.kind=running")
    checkpoint = load_file(max((run / "checkpoints").iterdir()) / "running_prior.safetensors")
    assert torch.equal(load(run, device="cpu").prior.scale_tril, checkpoint["scale_tril"])


def test_a_best_that_was_spoilt_on_the_disk_gives_way_to_the_last(
    train, given, tmp_path, monkeypatch
):
    finish = module.Best._finish

    def spoilt(self, *inputs):
        (self.run.model_best / "model.safetensors").write_bytes(b"")
        return finish(self, *inputs)

    given([1.0, 2.0])
    monkeypatch.setattr(module.Best, "_finish", spoilt)
    run = train(tmp_path / "run")
    assert kept(run) == {"images": 128, "value": 2.0, "features": "textures", "running": False}
    assert load(run, which="best", device="cpu").images_seen == 128
    assert "is broken" in (run / "train.log").read_text()


def test_a_score_that_is_no_number_is_never_the_best(train, given, tmp_path):
    given([float("nan"), 3.0])
    run = train(tmp_path / "run")
    assert kept(run)["images"] == 128
    assert scores(run)[0]["kernel_distance_held_out"] is None


def test_best_survives_continuation_bit_for_bit(train, trained, content, tmp_path, monkeypatch):
    from hiresvae.training.trainer import Step

    step, run = Step.__call__, tmp_path / "run"

    def broken(self, number, **options):
        if number == 10:  # after the snapshot at 64 images, before the checkpoint at 96
            raise RuntimeError("a power cut")
        return step(self, number, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            train(run)
    assert kept(run)["images"] == 64
    train(run)
    again, before = content(run / "model_best"), content(trained / "model_best")
    for files in (again, before):
        assert files.pop("README.md"), "it tells seconds, of which there were others"
    assert again == before
    assert [line["images"] for line in scores(run)] == [64, 128]


def test_keeping_the_best_changes_nothing_else(train, trained, weights, tmp_path):
    run = train(tmp_path / "run", "metrics.keep_best=none")
    mine, theirs = weights(run), weights(trained)
    for numbers in (mine, theirs):
        numbers.pop("config.json")  # tells the settings, of which this is one
    assert mine == theirs
    assert not (run / "model_best").exists() and not (run / "scores.jsonl").exists()


def test_without_held_out_pictures_there_is_no_best(make_trainer):
    trainer = make_trainer("data.held_out=0.0")
    assert not trainer.best.possible


def test_a_best_by_other_features_is_measured_anew(make_trainer):
    trainer = make_trainer()
    running = running_density(trainer.running, ())
    used = trainer.snapshots.take(trainer.average.model, running, 8)
    value = trainer.best.consider(used)
    place = trainer.run.model_best / "score.json"
    place.write_text(json.dumps({"images": 8, "value": -9.0, "features": "inception"}))
    again = trainer.best._kept()
    assert (again.images, again.features) == (8, "textures")
    assert again.value == pytest.approx(value, rel=1e-4)


def test_a_snapshot_that_is_scored_again_is_told_once(make_trainer):
    trainer = make_trainer()
    running = running_density(trainer.running, ())
    for images in (8, 16, 8, 8):  # went back after 16, and then was run again when finished
        trainer.best.consider(trainer.snapshots.take(trainer.average.model, running, images))
    assert [line["images"] for line in trainer.best.scores.read()] == [8]


def test_missing_features_are_told_before_the_training(make_trainer, monkeypatch):
    def missing(**_):
        raise UserError("FID and KID need the file")

    monkeypatch.setattr(module, "find_inception", missing)
    with pytest.raises(UserError, match="FID and KID need the file"):
        make_trainer("metrics.keep_best=inception")


def test_which_is_asked_for_by_the_command(trained, tmp_path, capsys):
    main_ = ["sample", str(trained), "--n", "1", "--out", str(tmp_path / "made")]
    with pytest.raises(SystemExit) as caught:
        main([*main_, "--which", "best"])
    assert caught.value.code in (None, 0)
    assert "1 pictures in" in capsys.readouterr().out
    with pytest.raises(UserError, match="keeps no best model"):
        load(trained / "model", which="best")
    bare = shutil.copytree(trained, tmp_path / "bare")
    shutil.rmtree(bare / "model_best")
    with pytest.raises(UserError, match="keeps no best model"):
        load(bare, which="best")
