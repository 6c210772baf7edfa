"""What is skipped, when it is released, and what two processes decide; then whole trainings."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hiresvae.cli import main
from hiresvae.errors import UserError
from hiresvae.settings import AdversarySettings, Settings, TrainingSettings
from hiresvae.training import guard as module
from hiresvae.training import step as step_module
from hiresvae.training.guard import KNOWN, RELEASE, Guard, is_good, spread, step_unless
from hiresvae.training.optim import make_optimizer

FINE = torch.tensor(1.0)


def guard(**training):
    return Guard(Settings(training=TrainingSettings(**training)))


def norm(value):
    return torch.tensor(float(value))


@pytest.fixture
def known():
    """A guard that has seen norms of about 1 for as long as it needs."""
    watch = guard(skip_above=10.0)
    for number in range(KNOWN):
        assert not watch.judge(FINE, norm(0.9 + 0.2 * (number % 2)), norm(100))
    return watch


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_skipped_from_the_first_step_on(broken):
    watch, bad = guard(), torch.tensor(broken)
    assert watch.judge(bad, FINE)
    assert watch.judge(FINE, bad)
    assert watch.judge(FINE, FINE, bad)
    assert not watch.judge(FINE, FINE, FINE)
    assert (watch.skipped, watch.in_a_row) == (3, 0)
    assert watch.norms[0, 0] == 1 and watch.num_norms.tolist() == [1, 1, 0]


def test_an_exploding_norm_is_skipped_and_does_not_move_the_median(known):
    before = known.norms.clone()
    assert not known.judge(FINE, norm(9), norm(100))
    assert known.judge(FINE, norm(12), norm(100)), "of the model"
    assert known.judge(FINE, norm(1), norm(1200)), "of the critic"
    assert known.skipped == 2
    changed = ~torch.eq(known.norms, before) & ~known.norms.isnan()
    assert changed.sum() == 2, "the accepted step's"


def test_norms_of_steps_with_penalties_are_compared_among_themselves(known):
    assert not known.judge(FINE, norm(1), norm(5000), penalty=True)
    assert known.judge(FINE, norm(1), norm(5000))


def test_before_the_median_is_known_and_where_it_is_not_wanted_no_norm_is_too_large():
    watch = guard(skip_above=10.0)
    for _ in range(KNOWN - 1):
        watch.judge(FINE, norm(1))
    assert not watch.judge(FINE, norm(1e6))
    watch = guard(skip_above=None)
    for _ in range(KNOWN):
        watch.judge(FINE, norm(1))
    assert not watch.judge(FINE, norm(1e6))


@pytest.mark.parametrize(("grown", "skips"), [(15, RELEASE), (35, 2 * RELEASE)])
def test_update_gates_that_never_release_norms_that_grew_for_good(known, grown, skips):
    skipped = 0
    while known.judge(FINE, norm(grown), norm(100)):
        skipped += 1
        assert skipped <= skips
    assert skipped == skips
    more = sum(bool(known.judge(FINE, norm(grown), norm(100))) for _ in range(300))
    assert more <= 2 * skips, "few are lost until the median has followed"
    assert not known.judge(FINE, norm(grown), norm(100))
    assert known.slack < 1.5, "and the threshold comes down again"


def test_a_release_is_for_norms_not_for_what_is_not_finite(known):
    for _ in range(10 * RELEASE):
        assert known.judge(norm(torch.nan), norm(1), norm(100))
    assert known.slack == 1


def test_a_collapse_is_of_what_was_alive():
    watch = guard()
    for _ in range(300):
        watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
    assert watch.trouble(7) is None, "a training begins with pictures that are all alike"
    watch.judge(FINE, FINE, FINE, fake_spread=norm(0.5))
    for _ in range(module.COLLAPSED_STEPS - 1):
        watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
    assert watch.trouble(7) is None
    watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
    assert "all made pictures looked alike for 200 steps" in watch.trouble(7)
    watch.judge(FINE, FINE, FINE, fake_spread=norm(0.1))
    assert watch.trouble(7) is None
    assert watch.skipped == 0


def test_the_spread_of_pictures_by_hand():
    real = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
    assert spread(0.1 * real, real).item() == pytest.approx(0.01)
    assert spread(torch.ones(4, 1, 1, 1), real) == 0


def test_the_host_looks_now_and_then_and_at_the_end():
    watch = guard(patience=3)
    for _ in range(3):
        watch.judge(norm(torch.nan), FINE)
    assert watch.trouble(6) is None
    assert "3 steps in a row" in watch.trouble(7)
    assert "3 steps in a row" in watch.trouble(6, last=True)


@pytest.mark.parametrize("fused", [True, False])
def test_a_skipped_step_changes_neither_weights_nor_moments(fused):
    layers = [nn.Linear(2, 2) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [make_optimizer(layer, 0.1, (0.5, 0.9)) for layer in layers]
    for optimizer in optimizers:
        optimizer.defaults["fused"] = optimizer.param_groups[0]["fused"] = fused
    for number in range(4):
        broken = number in (0, 2)
        for which, (layer, optimizer) in enumerate(zip(layers, optimizers, strict=True)):
            if broken and which:
                continue  # the second never sees the broken steps
            for p in layer.parameters():
                p.grad = torch.full_like(p, torch.nan if broken else 1.0 + number)
            step_unless(optimizer, torch.tensor(broken))
    for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert torch.equal(one, other)
    states = [optimizer.state_dict()["state"][0] for optimizer in optimizers]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    assert not hasattr(optimizers[0], "found_inf")


def test_what_was_counted_outlives_going_back():
    watch = guard()
    old = {name: value.clone() for name, value in watch.state_dict().items()}
    for _ in range(4):
        watch.judge(norm(torch.nan), FINE)
    before = {name: value.clone() for name, value in watch.state_dict().items()}
    watch.load_state_dict(old)
    watch.went_back(before)
    assert (watch.skipped, watch.in_a_row, watch.restores, watch.rate) == (4, 0, 1, 0.5)
    again = guard()
    again.load_state_dict(watch.state_dict())
    assert (again.restores, again.rate) == (1, 0.5), "the host's part is read again"


def test_a_sentence_names_what_to_lower():
    watch = Guard(Settings(adversary=AdversarySettings(weight=3.0), training={"restores": 0}))
    with pytest.raises(UserError) as caught:
        watch.give_up("words")
    for words in ("training.lr 0.0004", "adversary.lr", "adversary.weight 3", "training.clip"):
        assert words in str(caught.value)
    with pytest.raises(UserError) as caught:
        Guard(Settings(training={"restores": 0})).give_up("words")
    assert "adversary" not in str(caught.value)
    assert Guard(Settings()).give_up("words") is None


def test_a_checkpoint_is_good_if_all_was_calm(tmp_path):
    watch = guard()
    assert is_good(tmp_path), "older ones have no guard"
    for value, good in ((1.0, True), (torch.nan, False)):
        watch.judge(norm(value), FINE)
        save_file(dict(watch.state_dict()), tmp_path / "guard.safetensors")
        assert is_good(tmp_path) == good


def numbers(trainer):
    """All that a step may change but the guard, as bytes."""
    networks, found = trainer.networks, []
    for owner in (networks.model, networks.critic, trainer.running):
        found += [tensor.clone() for tensor in owner.state_dict().values()]
    for optimizer in (networks.model_optimizer, networks.critic_optimizer):
        for state in optimizer.state_dict()["state"].values():
            found += [tensor.clone() for tensor in state.values()]
    return found


def test_a_nan_in_any_term_leaves_no_trace_and_the_next_step_does(make_trainer, monkeypatch):
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0")
    step, networks = trainer.step, trainer.networks
    trainer._set_rates(1.0)
    trainer.step(0)
    real_forward, real_judge = step._forward, step.adversary.judge

    def forward(*inputs):
        outputs = real_forward(*inputs)
        return dataclasses.replace(outputs, **{term: getattr(outputs, term) * torch.nan})

    class Judge(type(step.adversary)):
        def judge(self, *inputs, **options):
            verdict = real_judge(*inputs, **options)
            for side in ("model", "critic"):
                terms = getattr(verdict, side)
                if term in terms:
                    terms[term] = terms[term] * torch.nan
            return verdict

    terms = ["distortion", "rate", "adversarial", "feature_matching", "critic", "r1", "r2"]
    for count, term in enumerate(terms, start=1):
        before = numbers(trainer)
        clock = trainer.running.num_observed.clone()
        with monkeypatch.context() as patch:
            if term in ("distortion", "rate"):
                patch.setattr(step, "_forward", forward)
            else:
                patch.setattr(step, "adversary", Judge(trainer.settings.adversary))
            logs = step(2)
        assert any(value.isnan() for value in logs.values()), term
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
                        step_module, "bound_loss", lambda *given: real(*given) * torch.nan
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
    assert "lower training.lr 0.0004" in said and "--fresh" in said


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
    step.bound_loss = (lambda *given: real(*given) * torch.nan) if sick else real
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


def test_gates_from_the_local_batch_two_processes_decide_and_weigh_alike(tiny, train, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    chosen = [
        "adversary.balance=gradient_ratio", "adversary.balance_every=2", "adversary.start=0",
        "training.images=80",
    ]  # fmt: skip
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, str(tiny), str(tmp_path / "two"), *chosen],
            env=os.environ | together | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [one.communicate(timeout=600)[1] for one in both]
    finally:
        for one in both:
            one.kill()
    assert [one.returncode for one in both] == [0, 0], "\n".join(said)
    one, other = (load_file(f"{tmp_path / 'two'}.{rank}") for rank in (0, 1))
    for name, value in one.items():
        assert torch.equal(value.nan_to_num(-1.0), other[name].nan_to_num(-1.0)), name
    assert one["guard.skipped"] == 1, "what broke in one was skipped in both"
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
