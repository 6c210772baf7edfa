"""Steps that go wrong leave no trace and are named; what pulls at the decoder is told."""

import dataclasses

import pytest
import torch

from hiresvae.training.guard import KNOWN
from hiresvae.training.steady import SpectralPenalty


def numbers(trainer):
    """All that a step may change but the guard, as bytes."""
    networks, found = trainer.networks, []
    owners = [networks.model, networks.critic, trainer.running]
    owners += [trainer.step.steady.spectral] if trainer.step.steady.spectral else []
    for owner in owners:
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
    "spectral": (["model.spectral=0.1", "adversary.spectral_norm=true"], ["spectral", "critic"]),
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
