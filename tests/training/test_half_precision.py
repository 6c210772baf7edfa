"""Steps in half precision, and what is worked out in single precision whatever else is not."""

import pytest
import torch


def make_fp16(trainer):
    """Steps in fp16 with a gradient scaler, on a processor: Accelerate itself asks for a GPU."""
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    trainer.accelerator.native_amp = True
    trainer.accelerator.state._mixed_precision = "fp16"
    return trainer


@pytest.mark.parametrize("reaches", ["encoder", "decoder"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_step_in_half_precision_is_near_that_in_single(make_trainer, precision, reaches):
    """A step without penalties, and one with them, of both networks."""

    def run(precision: str) -> list[dict[str, torch.Tensor]]:
        known = "no" if precision == "fp16" else precision
        trainer = make_trainer(
            f"training.precision={known}", "adversary.start=0", f"adversary.reaches={reaches}"
        )
        if precision == "fp16":
            make_fp16(trainer)
        trainer._set_rates(1.0)
        return [trainer.step(number) for number in range(2)]

    for single, half in zip(run("no"), run(precision), strict=True):
        assert all(value.isfinite() for value in half.values())
        for name in ("distortion_nats", "rate_nats", "critic", "adversarial", "feature_matching"):
            torch.testing.assert_close(half[name].float(), single[name], rtol=0.05, atol=0.01)


def test_in_half_precision_gradients_are_weighed_and_told_as_in_single(make_trainer):
    """Of many large pictures: each pixel's part of the bound is below the least number of fp16."""

    def run(prepare):
        trainer = prepare(
            make_trainer(
                "adversary.start=0", "adversary.ramp=0", "adversary.balance=gradient_ratio",
                "adversary.balance_every=1", "adversary.penalty_every=1000",
                "adversary.balance_cap=1e6",
            )
        )  # fmt: skip
        trainer.step.dims = 2**26
        trainer._set_rates(1.0)
        told = trainer.step(1, measure=True)
        return {"ratio": trainer.step.balance.ratio} | {
            name: value for name, value in told.items() if "gradient_norm" in name
        }

    single, half = run(lambda trainer: trainer), run(make_fp16)
    assert single["ratio"] > 0 and single["distortion_gradient_norm_at_top"] > 0
    for name, value in single.items():
        torch.testing.assert_close(half[name].float(), value, rtol=0.1, atol=0.0, msg=name)


def test_half_precision_overflow_skips_both_networks_and_the_scaler_comes_down(make_trainer):
    """`diffusers`, issues 7188 and 9844; `accelerate`, issue 174: one scaler, two optimisers."""
    trainer = make_fp16(
        make_trainer(
            "adversary.start=0", "adversary.ramp=0", "adversary.balance=gradient_ratio",
            "adversary.balance_every=1", "adversary.penalty_every=1000",
        )
    )  # fmt: skip
    scaler, networks = trainer.accelerator.scaler, trainer.networks
    owners = (networks.model, networks.critic)
    trainer._set_rates(1.0)
    trainer.step(1)
    scaler.update(2.0**40)
    before = [p.clone() for network in owners for p in network.parameters()]
    ratio = trainer.step.balance.ratio.clone()
    trainer.step(2)
    assert trainer.step.guard.in_a_row == 1 and scaler.get_scale() < 2.0**40
    assert "the gradients of " in trainer.step.suspects.words()
    now = [p for network in owners for p in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True))
    scaler.update(2.0**12)
    logs = trainer.step(3)
    assert trainer.step.guard.in_a_row == 0 and trainer.step.guard.skipped == 1
    assert all(value.isfinite() for value in logs.values()) and ratio > 0
    for network, optimizer in zip(
        owners, (networks.model_optimizer, networks.critic_optimizer), strict=True
    ):
        assert all(p.dtype == torch.float32 and p.isfinite().all() for p in network.parameters())
        for state in optimizer.state_dict()["state"].values():
            assert all(moment.dtype == torch.float32 for moment in state.values())
    assert not any(torch.equal(a, b) for a, b in zip(before, now, strict=True) if b.ndim > 3)


def test_penalties_are_worked_out_in_single_precision(make_trainer, monkeypatch):
    trainer = make_trainer("training.precision=bf16", "adversary.start=0")
    seen = []
    trunk = trainer.accelerator.unwrap_model(trainer.networks.critic).trunk
    trunk.register_forward_hook(lambda _, given, found: seen.append(found[min(found)].dtype))
    every = trainer.settings.adversary.penalty_every
    assert every > 1
    for number in (0, 1):
        seen.clear()
        trainer.step(number)
        assert set(seen) == {torch.float32 if number % every == 0 else torch.bfloat16}


def test_steps_with_penalties_are_exact_whatever_else_is_shortened(make_trainer, monkeypatch):
    """Forward and both backwards of the critic, where a GPU would round its factors."""
    from hiresvae.adversary import losses
    from hiresvae.devices import shortened_products

    seen, penalty = [], losses.gradient_penalty
    monkeypatch.setattr(
        losses,
        "gradient_penalty",
        lambda *inputs: (
            seen.append(torch.get_float32_matmul_precision()),
            penalty(*inputs),
        )[1],
    )
    trainer = make_trainer("adversary.start=0", "adversary.penalty_every=2")
    backward = trainer.accelerator.backward
    monkeypatch.setattr(
        trainer.accelerator,
        "backward",
        lambda *inputs, **chosen: (
            seen.append(torch.get_float32_matmul_precision()),
            backward(*inputs, **chosen),
        )[1],
    )
    with shortened_products(torch.device("cuda")):
        for number, expected in ((0, ["highest"] * 3 + ["high"]), (1, ["high"] * 2)):
            seen.clear()
            trainer.step(number)
            assert seen == expected
