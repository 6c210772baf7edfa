import pytest
import torch
from torch import Tensor, nn

from hiresvae.blocks.layers import activate
from hiresvae.models.contract import Drawn
from hiresvae.models.latent import GaussianRung


@pytest.fixture
def state() -> Tensor:
    return torch.randn(4, 6, 4, 4)


@pytest.fixture
def features() -> Tensor:
    return torch.randn(4, 6, 4, 4)


def test_the_top_prior_is_the_standard_normal(state: Tensor, features: Tensor):
    rung = GaussianRung(4, 6, 6, 3, first=True)
    assert rung.prior(state) is None
    q = rung.posterior(state, features, rung.prior(state))
    assert q.mean.shape == q.logvar.shape == (4, *rung.shape) == (4, 3, 4, 4)
    # The top posterior reads the picture alone: nothing has been drawn above it.
    assert torch.equal(rung.posterior(state + 1, features, rung.prior(state + 1)).mean, q.mean)


def test_a_lower_prior_starts_as_the_standard_normal_and_then_follows_the_state(
    state: Tensor,
):
    rung = GaussianRung(4, 6, 6, 3, first=False)
    start = rung.prior(state)
    assert (start.mean == 0).all() and (start.logvar == 0).all()
    nn.init.normal_(rung.foresee.weight)
    assert not torch.allclose(rung.prior(state).mean, rung.prior(state + 1).mean)


def test_a_lower_posterior_that_adds_nothing_costs_nothing(state: Tensor, features: Tensor):
    rung = GaussianRung(4, 6, 6, 3, first=False)
    nn.init.normal_(rung.foresee.weight, std=0.1)
    nn.init.zeros_(rung.read.weight)
    q, p = rung.posterior(state, features, rung.prior(state)), rung.prior(state)
    assert (p.mean != 0).any()
    assert (Drawn(q.mean, q, p).rate() == 0).all()


def test_a_lower_posterior_sees_the_picture_and_the_state(state: Tensor, features: Tensor):
    rung = GaussianRung(4, 6, 6, 3, first=False)
    mean = rung.posterior(state, features, rung.prior(state)).mean
    assert not torch.allclose(rung.posterior(state, features + 1, rung.prior(state)).mean, mean)
    assert not torch.allclose(rung.posterior(state + 1, features, rung.prior(state + 1)).mean, mean)


def test_inject_adds_a_linear_map_of_the_latent(state: Tensor):
    rung = GaussianRung(4, 6, 6, 3, first=True)
    z = torch.randn(4, 3, 4, 4)
    added = rung.inject(state, z) - state
    assert torch.equal(rung.inject(state, 0 * z), state)
    torch.testing.assert_close(rung.inject(state, 2 * z) - state, 2 * added, rtol=1e-4, atol=1e-5)


def test_a_vector_rung_has_no_border():
    rung = GaussianRung(1, 6, 6, 3, first=False)
    assert rung.shape == (3, 1, 1)
    assert rung.read.kernel_size == rung.foresee.kernel_size == (1, 1)


def test_precision_merges_prior_and_picture_by_how_certain_they_are(
    state: Tensor, features: Tensor
):
    rung = GaussianRung(4, 6, 6, 3, first=False, merge="precision")
    nn.init.normal_(rung.foresee.weight, std=0.1)
    prior = rung.prior(state)
    mean, logvar = rung.read(activate(features)).chunk(2, 1)
    merged = rung.posterior(state, features, prior)
    weights = 1 / prior.std.square(), (-logvar).exp()
    expected = (prior.mean * weights[0] + mean * weights[1]) / (weights[0] + weights[1])
    torch.testing.assert_close(merged.mean, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(merged.std.square(), 1 / (weights[0] + weights[1]))
    assert (merged.std < prior.std).all(), "certainty adds up"


def test_a_precision_merged_posterior_sees_the_state_through_the_prior_alone(
    state: Tensor, features: Tensor
):
    rung = GaussianRung(4, 6, 6, 3, first=False, merge="precision")
    prior = rung.prior(state)
    one, two = (rung.posterior(s, features, prior).mean for s in (state, state + 1))
    assert torch.equal(one, two)
    assert not torch.equal(rung.posterior(state, features + 1, prior).mean, one)


def test_the_latents_of_a_deep_ladder_add_at_the_start_what_one_would():
    added = []
    for rungs in (1, 16):
        torch.manual_seed(0)
        all_of_them = [
            GaussianRung(1, 256, 6, 64, first=False, rungs=rungs).write for _ in range(rungs)
        ]
        added.append(sum(write(torch.randn(200, 64, 1, 1)) for write in all_of_them).var())
    torch.testing.assert_close(added[1], added[0], rtol=0.05, atol=0)
