"""Whole trainings that go wrong, and the balance beside them: skipped, restored, ended in words."""

import dataclasses
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from hiresvae.cli import main
from hiresvae.training import guard as module
from hiresvae.training import step as step_module
from hiresvae.training.guard import KNOWN
from hiresvae.training.steady import SpectralPenalty


def numbers(trainer):
    """All that a step may change but the guard, as bytes."""
    networks, found = trainer.networks, []
    for owner in (networks.model, networks.critic, trainer.running):
        found += [tensor.clone() for tensor in owner.state_dict().values()]
    for optimizer in (networks.model_optimizer, networks.critic_optimizer):
        for state in optimizer.state_dict()["state"].values():
            found += [tensor.clone() for tensor in state.values()]
    return found


CLASSES = [
    "model.conditional=true", "data.labels=set", "adversary.condition=both",
    "adversary.classifier=0.5", "adversary.classifier_matching=0.1",
]  # fmt: skip
TERMS = {
    "plain": (
        [],
        ["distortion", "rate", "adversarial", "feature_matching", "critic", "r1", "r2"],
    ),
    "classes": (CLASSES, ["real_class_nats", "fake_class_nats", "classifier_matching"]),
    "spectral": (["model.spectral=0.1"], ["spectral"]),
}


@pytest.mark.parametrize("kind", TERMS)
def test_a_nan_in_any_term_leaves_no_trace_and_the_next_step_does(make_trainer, monkeypatch, kind):
    chosen, terms = TERMS[kind]
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0", *chosen)
    step, networks = trainer.step, trainer.networks
    trainer._set_rates(1.0)
    trainer.step(0)
    real_forward, real_judge = step._forward, step.adversary.judge
    real_penalty = SpectralPenalty.forward

    def forward(*inputs, **more):
        outputs = real_forward(*inputs, **more)
        return dataclasses.replace(outputs, **{term: getattr(outputs, term) * torch.nan})

    class Judge(type(step.adversary)):
        def judge(self, *inputs, **options):
            verdict = real_judge(*inputs, **options)
            for side in ("model", "critic"):
                terms = getattr(verdict, side)
                if term in terms:
                    terms[term] = terms[term] * torch.nan
            return verdict

    for count, term in enumerate(terms, start=1):
        before = numbers(trainer)
        clock = trainer.running.num_observed.clone()
        with monkeypatch.context() as patch:
            if term in ("distortion", "rate"):
                patch.setattr(step, "_forward", forward)
            elif term == "spectral":
                patch.setattr(SpectralPenalty, "forward", lambda x: real_penalty(x) * torch.nan)
            else:
                patch.setattr(step, "adversary", Judge(trainer.settings.adversary))
            logs = step(2)
        assert all(value.isnan() for value in logs.values()), f"{term}: the step counts in no mean"
        trainer.running.num_observed.copy_(clock)  # a clock, not a number
        for old, new in zip(before, numbers(trainer), strict=True):
            assert torch.equal(old, new), term
        assert step.guard.skipped == step.guard.in_a_row == count
        for network in (networks.model, networks.critic):
            assert all(p.grad is None for p in network.parameters()), term
    before = numbers(trainer)
    assert all(value.isfinite() for value in step(3).values())
    assert step.guard.in_a_row == 0
    assert any(not torch.equal(a, b) for a, b in zip(before, numbers(trainer), strict=True))


LOST = {
    "distortion": "distortion_nats, bound_nats_per_dim, the gradients of encoder.",
    "rate": "rate_nats, bound_nats_per_dim, the gradients of encoder.",
    "adversarial": "adversarial, the gradients of encoder.",
    "critic": "critic, the gradient",
}


@pytest.mark.parametrize("term", LOST)
def test_a_nan_without_a_name_the_term_and_the_first_gradient_are_named(
    make_trainer, monkeypatch, term
):
    """`NVlabs/NVAE`, issues 2, 17, 29 and 36: a NaN, and nobody knew whence."""
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0")
    step = trainer.step
    if term in ("distortion", "rate"):
        real_forward = step._forward

        def forward(*inputs, **more):
            outputs = real_forward(*inputs, **more)
            return dataclasses.replace(outputs, **{term: getattr(outputs, term) * torch.nan})

        monkeypatch.setattr(step, "_forward", forward)
    else:
        real_judge = step.adversary.judge

        class Judge(type(step.adversary)):
            def judge(self, *inputs, **options):
                verdict = real_judge(*inputs, **options)
                side = verdict.model if term in verdict.model else verdict.critic
                side[term] = side[term] * torch.nan
                return verdict

        monkeypatch.setattr(step, "adversary", Judge(trainer.settings.adversary))
    step(1)
    assert step.suspects.words().startswith(f"not finite: {LOST[term]}")


def test_a_nan_without_a_name_a_gradient_that_overflows_alone_is_named(make_trainer):
    """All figures are finite, and the gradient of one layer is not."""
    trainer = make_trainer("adversary=null")
    broken = trainer.vae.last_layer
    broken.register_hook(lambda gradient: gradient * torch.inf)
    trainer.step(0)
    named = "the gradient of decoder.head.weight in the model"
    assert trainer.step.suspects.words() == f"not finite: {named}"
    assert trainer.step.guard.skipped == 1


def test_a_step_whose_gradient_explodes_does_not_count_in_what_is_told(make_trainer):
    """Its figures are finite, but may be so large that they drown those of the steps beside it."""
    trainer = make_trainer("adversary=null", "training.skip_above=10.0")
    calm = [trainer.step(number) for number in range(KNOWN)]
    handle = trainer.vae.last_layer.register_hook(lambda gradient: gradient * 1e6)
    lost = trainer.step(KNOWN)
    handle.remove()
    assert trainer.step.guard.skipped == 1
    assert all(
        value.isfinite() for logs in (*calm, trainer.step(KNOWN + 1)) for value in logs.values()
    )
    assert lost.keys() == calm[-1].keys()
    assert all(value.isnan() for value in lost.values())


def test_coarse_fakes_do_not_hide_that_all_samples_became_one(make_trainer, monkeypatch):
    trainer = make_trainer(
        "adversary.start=0", "model.pyramid=1x1 4x1 8x1 ...", "adversary.fakes=[coarse, fitted]"
    )
    step = trainer.step
    assert step(0)["fake_spread"] > 0
    forward = step._forward

    def collapsed(*inputs, **more):
        outputs = forward(*inputs, **more)
        sample = outputs.sample.clone()
        sample[1::2] = sample[1]
        return dataclasses.replace(outputs, sample=sample)

    monkeypatch.setattr(step, "_forward", collapsed)
    assert abs(step(1)["fake_spread"]) < 1e-5


def test_a_collapse_is_seen_where_the_encoder_is_the_critic(make_trainer, monkeypatch):
    trainer = make_trainer(
        "adversary=null", "introspective.start=0", "introspective.ramp=0", "model.kl_warmup=0"
    )  # fmt: skip
    step = trainer.step
    trainer._set_rates(1.0)
    logs = step(0, measure=True)
    assert logs["fake_spread"] > 0 and logs["adversary_gradient_norm"] > 0
    assert logs["adversary_gradient_norm_at_top"] == 0, "latents are held still"
    make = step.introspection.make

    def collapsed(*given):
        made = make(*given)
        return torch.cat([made[:8], made[8:9].expand(8, -1, -1, -1)])

    monkeypatch.setattr(step.introspection, "make", collapsed)
    assert abs(step(1)["fake_spread"]) < 1e-5


def test_gradients_of_each_term_are_told_where_they_meet(make_trainer):
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0", "model.kl_warmup=0")
    trainer._set_rates(1.0)
    trainer.step(0)
    logs = trainer.step(1, measure=True)
    for name in ("distortion", "adversary"):
        assert logs[f"{name}_gradient_norm"] > 0
        assert logs[f"{name}_gradient_norm_at_top"] > 0
    assert logs["rate_gradient_norm"] == 0, "latents come before the decoder's last layer"
    assert logs["rate_gradient_norm_at_top"] > 0
    torch.testing.assert_close(logs["distortion_gradient_norm"], logs["bound_gradient_norm"])
    assert not any("gradient_norm" in name for name in trainer.step(2))


def test_the_adversary_pushes_as_hard_as_its_weight_says(make_trainer):
    """Without feature matching its gradient at the last layer is weight times the bound's."""
    trainer = make_trainer(
        "adversary.start=0", "adversary.ramp=0", "adversary.balance=gradient_ratio",
        "adversary.balance_every=1", "adversary.feature_matching=0", "adversary.weight=0.25",
        "adversary.balance_cap=1e9", "adversary.fakes=[reconstructions]", "model.scale=0.5",
    )  # fmt: skip
    trainer._set_rates(0.0)  # neither weights nor scale move: what was measured still holds
    first = trainer.step(0, measure=True)
    assert first["adversary_gradient_norm"] == 0, "not felt before it was weighed"
    second = trainer.step(0, measure=True)
    ratio = second["adversary_gradient_norm"] / second["bound_gradient_norm"]
    assert ratio.item() == pytest.approx(0.25, rel=1e-3)
    expected = 0.25 * trainer.step.balance.ratio
    torch.testing.assert_close(second["adversary_weight"], expected)


def test_the_critic_warms_up_before_it_is_felt(make_trainer):
    trainer = make_trainer("adversary.start=0", "adversary.warmup=0.5", "adversary.ramp=0")
    trainer._set_rates(1.0)
    critic = [p.clone() for p in trainer.networks.critic.parameters()]
    early, late = trainer.step(7, measure=True), trainer.step(8, measure=True)
    assert early["critic"] > 0 and early["adversary_gradient_norm"] == 0
    assert late["adversary_gradient_norm"] > 0
    now = trainer.networks.critic.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(critic, now, strict=True))


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


def test_beginning_again_is_as_the_first_time(make_trainer):
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0")
    begun = [*numbers(trainer), *trainer.average.state_dict().values()]
    begun = [tensor.clone() for tensor in begun]
    trainer._set_rates(1.0)
    for number in range(2):
        trainer.step(number)
    trainer.average.update(trainer.vae, 16, 8)
    trainer._begin_again()
    now = [*numbers(trainer), *trainer.average.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(begun, now, strict=True))


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


def test_the_weight_of_two_parts_is_that_of_one_batch(make_trainer):
    ratios = []
    for parts in (1, 2):
        trainer = make_trainer(
            "adversary.start=0", "adversary.ramp=0", "adversary.balance=gradient_ratio",
            f"training.accumulation={parts}",
        )  # fmt: skip
        trainer.step(0)
        ratios.append(trainer.step.balance.ratio)
    torch.testing.assert_close(*ratios, rtol=1e-3, atol=0)
    assert ratios[0] > 0
