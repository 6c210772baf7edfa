"""Whole trainings that go wrong: restored, ended in words, decided alike by all processes."""

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from hiresvae.cli import main
from hiresvae.training import guard as module
from hiresvae.training import step as step_module


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the bound NaN from a step on, at the full rate or (always) at any."""

    def arrange(first, *, always=False):
        real, advance = step_module.bound_loss, step_module.Step.__call__

        def call(self, number, **options):
            sick = number >= first and (always or self.guard.rate == 1.0)
            with monkeypatch.context() as patch:
                if sick:
                    patch.setattr(
                        step_module,
                        "bound_loss",
                        lambda *given, **more: real(*given, **more) * torch.nan,
                    )
                return advance(self, number, **options)

        monkeypatch.setattr(step_module.Step, "__call__", call)

    return arrange


def test_several_in_a_row_restore_the_last_good_checkpoint_at_a_lower_rate(
    poisoned, trained, train, weights, tmp_path, monkeypatch
):
    poisoned(6)
    run = train(tmp_path / "run", "training.patience=2")
    # Steps 6 and 7 are skipped, at the end of step 7 the host looks: back to step 4.
    said = (run / "train.log").read_text()
    assert "training diverged at 64 images (2 steps in a row had gradients" in said
    assert "; not finite: bound_nats_per_dim, the gradients of encoder." in said
    assert "back to 32 images, at 0.5 of the learning rate" in said
    told, before = lines(run), lines(trained)
    assert [line["images"] for line in told] == list(range(16, 129, 16)), "each once"
    assert [line["skipped_steps"] for line in told] == [0, 0, 2, 2, 2, 2, 2, 2]
    assert [line["restores"] for line in told] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert told[3]["learning_rate"] == 0.5 * before[3]["learning_rate"]
    assert told[1]["distortion_nats"] == before[1]["distortion_nats"]
    state = load_file(run / "checkpoints" / "000000128" / "guard.safetensors")
    assert state["rate_factor"] == 0.5

    # Stopped after it went back, it ends where the other did.
    kept = module.Guard.trouble

    def stop_after(self, number, **options):
        if self.rate < 1 and number == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return kept(self, number, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module.Guard, "trouble", stop_after)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "again", "training.patience=2")
    train(tmp_path / "again", "training.patience=2")
    assert weights(tmp_path / "again") == weights(run)


def test_one_that_goes_back_has_heard_nothing_of_the_time_that_it_left(make_trainer):
    trainer = make_trainer("adversary.start=0")
    far = {"critic_sign_held_out": 0.0, "critic_train_above_held_out": 1.0, "critic_r_v": 0.9}
    for images in (96, 112, 128):
        line = {"images": images, "rate_nats": 9.0} | far
        trainer.rungs.hear(line)
        trainer.watch.alarm.hear(line)
    assert trainer.rungs.silence.spoke == [128] and trainer.watch.alarm.by_heart
    trainer._go_back("a test")
    assert trainer.images == 0 and trainer.rungs.silence.spoke == [0]
    assert not trainer.watch.alarm.by_heart and not trainer.watch.alarm.said


def test_what_is_written_amid_the_trouble_does_not_drive_out_what_is_good(
    poisoned, train, tmp_path
):
    """With a save each step, two broken ones are on disk before the host looks."""
    poisoned(6)
    run = train(tmp_path / "run", "training.patience=2", "training.checkpoint=8")
    assert "back to 48 images, at 0.5" in (run / "train.log").read_text()
    left = sorted(path.name for path in (run / "checkpoints").glob("[0-9]*"))
    assert left == ["000000120", "000000128"], "at peace the last two are all"
    assert not list((run / "checkpoints").glob(".*"))


GOING_BACK = """
# Goes back to its only checkpoint, and is killed while the lowered rate is saved in it.
import os, pathlib, signal, sys
import torch
torch.set_num_threads(1)
from hiresvae.commands.train import train
from hiresvae.training import step

real, call = step.bound_loss, step.Step.__call__

def poisoned(self, number, **options):
    sick = number >= 6 and self.guard.rate == 1.0
    step.bound_loss = (lambda *given, **more: real(*given, **more) * torch.nan) if sick else real
    return call(self, number, **options)

def rename(self, other):
    if self.name == ".000000032.part" and self.with_name(".000000032.old").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, other)

step.Step.__call__, whole = poisoned, pathlib.Path.rename
if len(sys.argv) > 3:
    pathlib.Path.rename = rename
train(sys.argv[1], ["training.patience=2", "training.images=72"], out=sys.argv[2])
"""


def test_killed_while_it_goes_back_it_goes_back_again(tiny, python, weights, tmp_path):
    """The checkpoint lay whole under a hidden name, and the training began from nothing."""
    for name, killed in (("run", ["kill"]), ("run", []), ("other", [])):
        done = python("-c", GOING_BACK, str(tiny), str(tmp_path / name), *killed)
        assert done.returncode == (-signal.SIGKILL if killed else 0), done.stderr
    said = (tmp_path / "run" / "train.log").read_text()
    assert "continuing from 32 images" in said
    assert said.count("back to 32 images, at 0.5 of the learning rate") == 1, "the second's"
    assert weights(tmp_path / "run") == weights(tmp_path / "other")
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_before_the_first_checkpoint_it_begins_again(poisoned, train, tmp_path):
    poisoned(2)
    run = train(tmp_path / "run", "training.patience=1", "training.images=72")
    assert "back to 0 images, at 0.5" in (run / "train.log").read_text()
    assert lines(run)[-1]["images"] == 72
    assert lines(run)[-1]["restores"] == 1


def test_one_that_diverges_again_and_again_ends_with_a_sentence(poisoned, tiny, tmp_path, capsys):
    poisoned(5, always=True)
    chosen = ["--set", "training.patience=2", "--set", "training.restores=1"]
    torch.set_num_threads(1)
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tiny), "--out", str(tmp_path / "run"), *chosen])
    assert caught.value.code == 2
    (said,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("hiresvae:")]
    assert "diverged again after 1 restore(s): 3 steps in a row" in said
    assert "; not finite: bound_nats_per_dim, the gradients of encoder." in said
    assert "lower training.lr 0.0004" in said and "--fresh" in said
    for path in (tmp_path / "run" / "checkpoints").glob("[0-9]*"):
        assert all(x.isfinite().all() for x in load_file(path / "model.safetensors").values())
        assert module.is_good(path), "none that was written amid broken steps is left as good"


def test_trouble_that_no_step_gets_past_is_not_met_twice_from_the_same_checkpoint(
    poisoned, tiny, tmp_path
):
    poisoned(13, always=True)
    chosen = ["--set", "training.patience=2", "--set", "training.restores=4"]
    torch.set_num_threads(1)
    with pytest.raises(SystemExit):
        main(["train", str(tiny), "--out", str(tmp_path / "run"), *chosen])
    said = (tmp_path / "run" / "train.log").read_text()
    back = [line.split("back to ")[1].split()[0] for line in said.splitlines() if "back to" in line]
    assert back == ["96", "64", "64", "64"], "the lower of the two that are kept, at lower rates"


def test_a_nan_that_passes_is_named_at_the_next_tick_and_its_checkpoint_is_not_good(
    train, tmp_path, monkeypatch
):
    real, advance = step_module.bound_loss, step_module.Step.__call__

    def call(self, number, **options):
        with monkeypatch.context() as patch:
            if number == 7:  # just before the checkpoint of 64 images
                patch.setattr(
                    step_module, "bound_loss", lambda *a, **more: real(*a, **more) * torch.nan
                )
            return advance(self, number, **options)

    monkeypatch.setattr(step_module.Step, "__call__", call)
    run = train(tmp_path / "run", "training.images=72")
    said = (run / "train.log").read_text()
    words = "steps before 64 images were skipped; not finite: bound_nats_per_dim, the gradients of"
    assert said.count(words) == said.count("not finite") == 1
    good = {path.name: module.is_good(path) for path in (run / "checkpoints").glob("[0-9]*")}
    assert good == {"000000032": True, "000000064": False, "000000072": True}


BOTH = """
# One of two processes: the second's bound is broken at step 5; the adversary is balanced.
import os, sys
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from hiresvae.commands.train import train
from hiresvae.training import step
from hiresvae.training.trainer import Trainer

rank, real, call = int(os.environ["RANK"]), step.bound_loss, step.Step.__call__

def broken(self, number, **options):
    sick = number == 5 and rank == 1
    step.bound_loss = (lambda *given, **more: real(*given, **more) * torch.nan) if sick else real
    return call(self, number, **options)

fit = Trainer.fit
def told(self):
    done = fit(self)
    state = {f"guard.{k}": v for k, v in self.step.guard.state_dict().items()}
    state |= {f"balance.{k}": v for k, v in self.step.balance.state_dict().items()}
    state |= {f"model.{k}": v for k, v in self.vae.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, f"{sys.argv[2]}.{rank}")
    return done

Trainer.fit, step.Step.__call__ = told, broken
train(sys.argv[1], sys.argv[3:], out=sys.argv[2])
"""


def test_gates_from_the_local_batch_two_processes_decide_and_weigh_alike(
    tiny, both_processes, tmp_path
):
    chosen = [
        "adversary.balance=gradient_ratio", "adversary.balance_every=2", "adversary.start=0",
        "training.images=80",
    ]  # fmt: skip
    both_processes("-c", BOTH, str(tiny), str(tmp_path / "two"), *chosen)
    one, other = (load_file(f"{tmp_path / 'two'}.{rank}") for rank in (0, 1))
    for name, value in one.items():
        assert torch.equal(value.nan_to_num(-1.0), other[name].nan_to_num(-1.0)), name
    assert one["guard.skipped"] == 1, "what broke in one was skipped in both"
    said = (tmp_path / "two" / "train.log").read_text()
    assert "not finite: bound_nats_per_dim" in said, "the first names what the second met"
    assert all(value.isfinite().all() for name, value in one.items() if "model." in name)
    assert one["balance.mass"] > 0
