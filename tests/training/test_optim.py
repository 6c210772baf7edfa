import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hiresvae.settings import TrainingSettings
from hiresvae.training.optim import Average, make_optimizer, rate_factor


@pytest.mark.parametrize(
    ("schedule", "images", "expected"),
    [
        ("constant", 0, 0.0),
        ("constant", 50, 0.5),
        ("constant", 1000, 1.0),
        ("linear", 100, 1.0),
        ("linear", 500, 1.0),
        ("linear", 750, 0.5),
        ("linear", 1000, 0.0),
        ("linear", 1008, 0.0),
        ("cosine", 500, 1.0),
        ("cosine", 625, 0.5 * (1 + math.cos(math.pi / 4))),
        ("cosine", 1000, 0.0),
    ],
)
def test_the_rate_rises_holds_and_falls(schedule, images, expected):
    settings = TrainingSettings(images=1000, lr_warmup=100, schedule=schedule, decay_from=0.5)
    assert rate_factor(settings, images) == pytest.approx(expected, abs=1e-12)


@given(
    st.integers(1, 2000), st.integers(0, 500), st.floats(0, 1),
    st.sampled_from(["constant", "linear", "cosine"]),
)  # fmt: skip
def test_the_factor_is_never_outside_0_and_1(images, warmup, decay_from, schedule):
    settings = TrainingSettings(
        images=1000, lr_warmup=warmup, schedule=schedule, decay_from=decay_from
    )
    assert 0 <= rate_factor(settings, images) <= 1


def test_the_average_is_the_closed_form():
    """With a fixed half-life h, a jump from 0 to 1 has arrived by 1 - 2^(-images / h)."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, half_life=10)
    nn.init.ones_(model.weight)
    for step in range(1, 6):
        average.update(model, images=10_000, batch_size=4)
        expected = 1 - 0.5 ** (4 * step / 10)
        assert torch.allclose(average.model.weight, torch.full((1, 2), expected), atol=1e-6)


def test_the_half_life_is_at_most_a_twentieth_of_what_was_seen():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, half_life=1_000_000)
    nn.init.ones_(model.weight)
    average.update(model, images=200, batch_size=10)
    assert average.model.weight.item() == pytest.approx(0.5)


def test_without_a_half_life_the_average_is_the_model():
    model = nn.Linear(3, 3)
    average = Average(model, half_life=0)
    nn.init.normal_(model.weight)
    average.update(model, images=8, batch_size=8)
    assert torch.equal(average.model.weight, model.weight)


def test_average_without_buffers_they_are_copied_and_it_takes_no_gradient():
    """`ignite`, issue 2590; `ema-pytorch`, issue 8."""
    model = nn.BatchNorm1d(2)
    average = Average(model, half_life=100)
    model(torch.randn(8, 2))
    average.update(model, images=8, batch_size=8)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert average.model.num_batches_tracked == 1
    assert not any(p.requires_grad for p in average.parameters())
    assert not average.model.training
    assert model.weight.requires_grad


def test_parameter_that_no_optimiser_holds_each_is_in_exactly_one(make_trainer):
    """`CompVis/latent-diffusion`, its `logvar`."""
    trainer = make_trainer()
    networks = trainer.networks
    owners: dict[int, list[str]] = {}
    for name, optimizer in (("m", networks.model_optimizer), ("c", networks.critic_optimizer)):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                owners.setdefault(id(parameter), []).append(name)
    for name, network in (("m", networks.model), ("c", networks.critic)):
        for parameter in network.parameters():
            assert owners.pop(id(parameter)) == [name]
    assert not owners, "and there is nothing else in them"


def test_the_optimiser_is_adam_with_these_moments():
    module = nn.Linear(2, 2)
    optimizer = make_optimizer(module, 3e-4, (0.0, 0.99), 0.01)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (3e-4, (0.0, 0.99), 0.01)
    assert len(group["params"]) == 2


def test_loaded_moments_lie_in_memory_as_their_weights_do():
    """Fused Adam took the moments of channels-last weights for those of others."""

    def weights(order, loaded):
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 4, 2).to(memory_format=order)
        optimizer = make_optimizer(layer, 0.1, (0.9, 0.99))
        for count in (1.0, 2.0):
            layer.weight.grad = (count * torch.linspace(-1, 1, 48)).reshape(4, 3, 2, 2)
            layer.bias.grad = torch.zeros(4)
            optimizer.step()
            state = optimizer.state_dict()
            moments = state["state"][0]
            for name in ("exp_avg", "exp_avg_sq"):
                moments[name] = moments[name].contiguous(memory_format=loaded)
            optimizer.load_state_dict(state)
        return layer.weight.detach()

    plain, last = torch.contiguous_format, torch.channels_last
    expected = weights(plain, plain)
    for order, loaded in ((plain, last), (last, plain), (last, last)):
        torch.testing.assert_close(weights(order, loaded), expected)
