"""Whole trainings, each of 16 steps: the same seed ends at the same bits, come what may."""

import errno
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from hiresvae.cli import main
from hiresvae.errors import UserError
from hiresvae.training import trainer as module

LAST = "checkpoints/000000128"
ADAPTIVE = ("adversary.augment_probability=adaptive", "adversary.augment_images=40",
            "adversary.augment=[color,translation,mirror,turns,affine]")  # fmt: skip

KILLS = """
# Forks a training that kills itself at a moment, again and again in one folder; then one that ends.
import os, pathlib, shutil, signal, sys
import torch
torch.set_num_threads(1)
from accelerate import Accelerator
from hiresvae.commands.train import train
from hiresvae.training import trainer

def before(owner, name, moment):
    real = getattr(owner, name)
    def wrapped(*arguments, **options):
        if moment(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(owner, name, wrapped)

def after(owner, name):
    real = getattr(owner, name)
    def wrapped(*arguments, **options):
        real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, wrapped)

def named(words):
    return lambda path, *_: words in str(path)

moments = {
    "before any checkpoint": lambda: before(trainer.Step, "__call__", lambda _, n: n == 2),
    "in the first checkpoint": lambda: after(Accelerator, "save_state"),
    "in a step": lambda: before(trainer.Step, "__call__", lambda _, n: n == 6),
    "before a checkpoint's name": lambda: before(pathlib.Path, "rename", named("064.part")),
    "between old model and new": lambda: before(pathlib.Path, "rename", named(".model.part")),
    "before the old is dropped": lambda: before(shutil, "rmtree", named("000000032")),
    "never": lambda: None,
}
for name, arrange in moments.items():
    child = os.fork()
    if not child:
        arrange()
        train(sys.argv[1], [], out=sys.argv[2])
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(name, os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.fixture(scope="module")
def run(trained):
    return trained


def close(run, other, tolerance=1e-4):
    for name in ("model/model", f"{LAST}/model", f"{LAST}/model_1", f"{LAST}/running_prior"):
        one, two = (load_file(folder / f"{name}.safetensors") for folder in (run, other))
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(
                value, two[key], rtol=tolerance, atol=tolerance, msg=lambda m, k=key: f"{k}: {m}"
            )


def test_the_same_seed_ends_at_the_same_bits_and_another_elsewhere(run, train, weights, tmp_path):
    torch.manual_seed(123)  # what ran before does not matter
    assert weights(train(tmp_path / "again")) == weights(run)
    other = weights(train(tmp_path / "other", "seed=1"))
    assert other["model.safetensors"] != weights(run)["model.safetensors"]


def test_a_run_folder_has_all_that_was_promised(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == list(range(16, 129, 16))
    assert "critic" not in lines[0], "the adversary has not begun"
    assert {"critic", "adversarial", "feature_matching", "r1", "r2"} <= lines[-1].keys()
    assert all(line["bound_gradient_norm"] > 0 for line in lines[2:])
    assert lines[-1]["adversary_gradient_norm"] > 0
    assert lines[-1]["distortion_nats"] < lines[0]["distortion_nats"], "it learns"
    assert [p.name for p in sorted((run / "checkpoints").iterdir())] == ["000000096", "000000128"]
    for name in ("config.yaml", "train.log", "data_report.json", "model/README.md"):
        assert (run / name).stat().st_size > 0
    assert list((run / "samples").glob("*.png"))
    assert list((run / "reconstructions").glob("*.png"))


def test_killed_at_any_moment_it_ends_at_the_same_bits(
    run, tiny, weights, python, content, tmp_path
):
    done = python("-c", KILLS, str(tiny), str(tmp_path / "run"))
    ends = [line for line in done.stdout.splitlines() if line.split()[-1] in ("-9", "0", "1")]
    assert [line.rsplit(" ", 1)[1] for line in ends] == ["-9"] * 6 + ["0"], done.stderr
    assert weights(tmp_path / "run") == weights(run)
    assert content(tmp_path / "run").keys() == content(run).keys(), "and nothing is left over"


def test_told_again_while_it_saves_it_saves(tiny, tmp_path, monkeypatch):
    step, save = module.Step.__call__, module.checkpoint.save

    def told(self, count, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(self, count, **options)

    def told_again(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        save(*given)

    monkeypatch.setattr(module.Step, "__call__", told)
    monkeypatch.setattr(module.checkpoint, "save", told_again)
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tiny), "--out", str(tmp_path / "run")])
    assert caught.value.code == 143
    assert (tmp_path / "run" / "checkpoints" / "000000008" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "stopped by SIGTERM")]
)
def test_told_to_stop_it_saves_and_goes_on(
    number, words, run, tiny, train, weights, tmp_path, monkeypatch, capsys
):
    step = module.Step.__call__

    def told(self, count, **options):
        if count == 6:
            os.kill(os.getpid(), number)
        return step(self, count, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module.Step, "__call__", told)
        with pytest.raises(SystemExit) as caught:
            main(["train", str(tiny), "--out", str(tmp_path / "run")])
    assert caught.value.code == 128 + number
    assert f"hiresvae: {words} (state saved)" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoints" / "000000056" / "manifest.json").exists()
    assert (tmp_path / "run" / "model").is_dir(), "what there is can be looked at"
    train(tmp_path / "run")
    assert weights(tmp_path / "run") == weights(run)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["images"] for line in lines] == list(range(16, 129, 16))


@pytest.mark.parametrize("overrides", [(), ADAPTIVE], ids=["plain", "adaptive"])
def test_forward_through_the_unwrapped_model_two_processes_end_where_one_does(
    run, train, tiny, both_processes, tmp_path, overrides
):
    """`diffusers`, its example autoencoderkl; `sd-scripts`, issue 924."""
    one = train(tmp_path / "one", *overrides) if overrides else run
    both_processes(
        "-m",
        "hiresvae",
        "train",
        str(tiny),
        "--out",
        str(tmp_path / "two"),
        *(f"--set={word}" for word in overrides),
    )
    close(one, tmp_path / "two")
    rates = [
        [(line["images"], line["learning_rate"]) for line in map(json.loads, text.splitlines())]
        for text in ((folder / "metrics.jsonl").read_text() for folder in (one, tmp_path / "two"))
    ]
    assert rates[0] == rates[1], "a schedule counts images, not processes"
    if overrides:
        file = f"{LAST}/augment.safetensors"
        first, second = load_file(one / file), load_file(tmp_path / "two" / file)
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_two_processes_match_the_class_means_of_one(tiny, train, both_processes, tmp_path):
    """Four steps with all that the adversary averages over processes, and bounded weights."""
    chosen = [
        "model.conditional=true", "data.labels=set", "training.images=32", "adversary.start=0",
        "adversary.loss=mean_features", "adversary.condition=both", "adversary.lecam=0.1",
        "adversary.mean_matching=10", "adversary.class_mean_matching=10", "adversary.ramp=0",
        "adversary.spectral_norm=true",
    ]  # fmt: skip
    train(tmp_path / "one", *chosen)
    both_processes(
        "-m",
        "hiresvae",
        "train",
        str(tiny),
        "--out",
        str(tmp_path / "two"),
        *(f"--set={word}" for word in chosen),
    )
    name = "checkpoints/000000032/adversary_means.safetensors"
    one, two = (load_file(tmp_path / folder / name) for folder in ("one", "two"))
    assert one.keys() == {"logits.totals", "features.totals", "classes.totals"}
    for key, value in one.items():
        assert value.any()
        torch.testing.assert_close(value, two[key], rtol=1e-3, atol=1e-3, msg=key)


def test_accumulation_of_one_network_alone_parts_of_a_batch_end_where_the_whole_does(
    run, train, tmp_path
):
    """`accelerate`, issues 1428 and 1708."""
    close(run, train(tmp_path / "parts", "training.accumulation=2"))


def test_an_adversary_that_never_begins_changes_no_bit_of_the_model(train, content, tmp_path):
    never = train(tmp_path / "never", "adversary.start=0.95", "training.images=64")
    plain = train(tmp_path / "plain", "adversary=null", "training.images=64")
    for name in ("model.safetensors", "prior.safetensors"):
        assert content(never / "model")[name] == content(plain / "model")[name]
    assert not (plain / "checkpoints" / "000000064" / "model_1.safetensors").exists()


def test_without_an_average_a_snapshot_of_the_model_itself_changes_no_bit(train, weights, tmp_path):
    plain = train(tmp_path / "one", "training.ema_images=0", "training.images=64")
    midway = train(
        tmp_path / "two", "training.ema_images=0", "training.images=64", "training.snapshot=16"
    )
    arrived = [weights(folder) for folder in (midway, plain)]
    for found in arrived:
        del found["config.json"]  # tells the settings, which differ
    assert arrived[0] == arrived[1]


def test_a_longer_training_goes_on_from_a_finished_one(train, tmp_path):
    train(tmp_path / "run", "training.images=32")
    train(tmp_path / "run", "training.images=48")
    assert (tmp_path / "run" / "checkpoints" / "000000048").is_dir()


def test_a_full_disk_is_a_sentence_and_leaves_the_last_state(
    train, content, weights, run, tmp_path, monkeypatch
):
    from accelerate import Accelerator

    folder, real = tmp_path / "run" / "checkpoints", Accelerator.save_state

    def save_state(self, where):
        real(self, where)
        if "064" in where:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Accelerator, "save_state", save_state)
        with pytest.raises(UserError, match="no space is left on the disk"):
            train(tmp_path / "run")
    assert [path.name for path in folder.iterdir()] == ["000000032"], "no half-written state"
    train(tmp_path / "run")
    assert weights(tmp_path / "run") == weights(run), "with room again, it goes on"


def test_augmentation_probability_lost_on_resume_it_goes_on_where_it_was(
    train, weights, tmp_path, monkeypatch
):
    """`NVlabs/stylegan2-ada-pytorch`, issues 81 and 108."""
    whole, step = train(tmp_path / "whole", *ADAPTIVE), module.Step.__call__

    def broken(self, number, **options):
        if number == 13:
            raise RuntimeError("a power cut")
        return step(self, number, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module.Step, "__call__", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            train(tmp_path / "cut", *ADAPTIVE)
    assert weights(train(tmp_path / "cut", *ADAPTIVE)) == weights(whole)
    state = load_file(whole / LAST / "augment.safetensors")
    assert state["num_observed"] == 12, "every step of the critic"
    halves = train(tmp_path / "halves", *ADAPTIVE, "training.accumulation=2")
    again = load_file(halves / LAST / "augment.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in state.items())
