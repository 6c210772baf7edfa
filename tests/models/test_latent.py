import pytest
import torch
from torch import Tensor, nn

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
