import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from hiresvae.distributions.gaussian import (
    DiagonalGaussian,
    bounded_logvar,
    product,
    residual,
    standard_like,
)


def random_gaussian(seed: int, shape: tuple[int, ...] = (3, 4, 2, 2)) -> DiagonalGaussian:
    rng = torch.Generator().manual_seed(seed)
    return DiagonalGaussian(
        2 * torch.randn(shape, generator=rng), 2 * torch.randn(shape, generator=rng)
    )


def as_torch(g: DiagonalGaussian) -> Normal:
    return Normal(g.mean.double(), g.std.double())


def test_kl_is_that_of_torch():
    q, p = random_gaussian(0), random_gaussian(1)
    expected = kl_divergence(as_torch(q), as_torch(p))
    torch.testing.assert_close(q.kl(p).double(), expected, rtol=1e-5, atol=1e-6)
    expected = kl_divergence(as_torch(q), as_torch(standard_like(q.mean)))
    torch.testing.assert_close(q.kl().double(), expected, rtol=1e-6, atol=1e-6)


def test_kl_is_that_of_monte_carlo():
    q = DiagonalGaussian(torch.full((1, 1), 0.7), torch.full((1, 1), -1.0))
    p = DiagonalGaussian(torch.full((1, 1), -0.2), torch.full((1, 1), 0.4))
    n = 200_000
    z = q.sample(torch.randn(n, 1, generator=torch.Generator().manual_seed(0)))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = (ratio.std() / n**0.5).item()
    assert ratio.mean().item() == pytest.approx(q.kl(p).item(), abs=5 * error)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 30.0))
def test_kl_is_never_negative_and_zero_on_itself(seed: int, scale: float):
    q, p = random_gaussian(seed), random_gaussian(seed + 1)
    q = DiagonalGaussian(q.mean * scale, q.logvar * scale)
    assert (q.kl(p) >= 0).all() and (q.kl() >= 0).all()
    assert (q.kl(q) == 0).all()


def test_kl_keeps_its_digits_for_nearly_equal_variances():
    q = DiagonalGaussian(torch.zeros(1, 1), torch.full((1, 1), 1e-3))
    assert q.kl().item() == pytest.approx(2.50083e-7, rel=1e-2)


def test_sample_has_the_std_that_it_says():
    q = DiagonalGaussian(torch.full((100_000, 1), 3.0), torch.full((100_000, 1), 1.386294))
    noise = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))
    assert q.std.mean().item() == pytest.approx(2.0, abs=1e-5)
    assert q.sample(noise).std().item() == pytest.approx(2.0, rel=0.02)
    assert q.sample(noise, temperature=0.5).std().item() == pytest.approx(1.0, rel=0.02)
    assert torch.equal(q.sample(noise, temperature=0.0), q.mean)


def test_log_prob_is_that_of_torch():
    q, z = random_gaussian(0), torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
    expected = as_torch(q).log_prob(z.double()).flatten(1).sum(1)
    torch.testing.assert_close(q.log_prob(z).double(), expected, rtol=1e-5, atol=1e-5)


def test_product_multiplies_densities():
    a, b = random_gaussian(3), random_gaussian(4)
    merged = product(a, b)
    va, vb = a.logvar.exp(), b.logvar.exp()
    torch.testing.assert_close(merged.logvar.exp(), 1 / (1 / va + 1 / vb))
    torch.testing.assert_close(merged.mean, (a.mean / va + b.mean / vb) / (1 / va + 1 / vb))
    # ln a + ln b - ln merged is the same wherever it is asked.
    x, y = torch.zeros_like(a.mean), torch.ones_like(a.mean)
    gap = [a.log_prob(z) + b.log_prob(z) - merged.log_prob(z) for z in (x, y)]
    torch.testing.assert_close(gap[0], gap[1], rtol=1e-4, atol=1e-3)


def test_product_with_an_uninformative_one_is_the_other():
    a = random_gaussian(5)
    wide = DiagonalGaussian(torch.full_like(a.mean, 3.0), torch.full_like(a.mean, 1e4))
    torch.testing.assert_close(product(a, wide).mean, a.mean, rtol=0.02, atol=0.02)


def test_residual_without_deltas_is_the_prior():
    prior, zeros = random_gaussian(6), torch.zeros(3, 4, 2, 2)
    assert (residual(prior, zeros, zeros).kl(prior) == 0).all()
    dm, dlv = random_gaussian(7).mean, random_gaussian(8).mean
    expected = 0.5 * (dm.square() / prior.std.square() + dlv.exp() - 1 - dlv)
    torch.testing.assert_close(residual(prior, dm, dlv).kl(prior), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("logvar", [-40.0, -13.0, -11.0, 0.0, 7.0, 9.0, 30.0])
def test_residual_without_deltas_is_the_prior_however_wide(logvar: float):
    """A bound on the sum of what was bounded already would bend twice."""
    raw = torch.full((2, 3), logvar, requires_grad=True)
    prior, zeros = DiagonalGaussian(torch.ones(2, 3), raw), torch.zeros(2, 3)
    posterior = residual(prior, zeros, zeros)
    assert torch.equal(posterior.logvar, prior.logvar) and (posterior.kl(prior) == 0).all()
    wider = residual(prior, zeros, zeros + 0.5)
    assert torch.equal(wider.logvar, bounded_logvar(raw + 0.5))
    (slope,) = torch.autograd.grad(wider.logvar.sum(), raw)
    assert (slope > 0).all(), "far outside it still learns"


@pytest.mark.parametrize("value", [1e4, -1e4, 11.0, -15.0])
def test_extreme_inputs_stay_finite(value: float):
    mean = torch.full((2, 3), value, requires_grad=True)
    logvar = torch.full((2, 3), value, requires_grad=True)
    q = DiagonalGaussian(mean, logvar)
    total = q.kl().sum() + q.kl(random_gaussian(0, (2, 3))).sum() - q.log_prob(q.std).sum()
    total.backward()
    for tensor in (q.std, total, mean.grad, logvar.grad):
        assert torch.isfinite(tensor).all()
    assert (logvar.grad != 0).all()


def test_bound_is_the_identity_inside_and_monotone_outside():
    inside = torch.linspace(-12, 8, 101)
    assert torch.equal(bounded_logvar(inside), inside)
    x = torch.linspace(-40, 40, 2001).requires_grad_()
    y = bounded_logvar(x)
    assert (y.diff() > 0).all() and y.min() > -14 and y.max() < 10
    slope = torch.autograd.grad(y.sum(), x)[0]
    near = (x > -16) & (x < 12)
    assert slope[near].min() > 0.05  # still learns a little beyond both bounds
    assert torch.equal(
        bounded_logvar(torch.tensor([-torch.inf, torch.inf])), torch.tensor([-14.0, 10.0])
    )


def test_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        half = torch.randn(2, 3, 1, 1).bfloat16()
        q = residual(DiagonalGaussian(half, half), half, half)
        results = [q.mean, q.logvar, q.std, q.sample(half), q.kl(), q.log_prob(half)]
    assert all(tensor.dtype == torch.float32 for tensor in results)
