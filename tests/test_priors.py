import math

import pytest
import torch
from safetensors.torch import load, save
from torch.distributions import MultivariateNormal

from hiresvae.errors import UserError
from hiresvae.priors import Density, fit
from tests.latents import clusters, correlated, normal, uniform


def test_known_gaussian_is_found():
    z, mean, covariance = correlated(4400, 5)
    density = fit(z[:4000], z[4000:], components=5)
    assert density.kind == "gaussian"
    torch.testing.assert_close(density.means[0], mean, atol=0.1, rtol=0)
    found = density.scale_tril[0] @ density.scale_tril[0].T
    torch.testing.assert_close(found, covariance, atol=0.2, rtol=0.1)
    draws = density.sample(normal(50_000, 5, 7), uniform(50_000))
    torch.testing.assert_close(draws.mean(0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(draws.T.cov(), covariance, atol=0.25, rtol=0.1)
    # Within a small loss of the truth, on latents that it never saw.
    truth = MultivariateNormal(mean, covariance).log_prob(z[4000:]).mean()
    assert density.log_prob(z[4000:]).mean().item() == pytest.approx(truth.item(), abs=0.05)


def test_log_prob_is_that_of_torch():
    z, _, _ = correlated(500, 4)
    density = fit(z[:400], z[400:], kind="gaussian")
    expected = MultivariateNormal(density.means[0], scale_tril=density.scale_tril[0]).log_prob(z)
    torch.testing.assert_close(density.log_prob(z), expected, rtol=1e-4, atol=1e-4)


def test_clusters_are_found():
    z, _ = clusters(1200)
    train, held = z[:900], z[900:]
    density = fit(train, held, components=10)
    assert density.kind == "mixture" and len(density.means) == 3
    nearest = torch.cdist(density.means, 5 * torch.eye(6)[:3]).min(0).values
    assert nearest.max() < 0.2
    draws = density.sample(normal(3000, 6, 5), uniform(3000))
    assert torch.cdist(draws, density.means).min(1).values.mean() < 1.5
    shares = torch.cdist(draws, 5 * torch.eye(6)[:3]).argmin(1).bincount() / 3000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.04, rtol=0)
    forced = fit(train, held, kind="gaussian")
    assert density.log_prob(held).mean() > forced.log_prob(held).mean() + 1
    assert fit(z, held, kind="mixture", components=2).kind == "mixture"


def test_components_may_differ_in_spread():
    z = normal(4400, 2) * torch.where(uniform(4400, 3) < 0.5, 0.1, 3.0)[:, None]
    density = fit(z[:4000], z[4000:])
    assert density.kind == "mixture" and density.scale_tril.shape == (len(density.means), 2, 2)
    sizes = density.scale_tril.diagonal(dim1=1, dim2=2).mean(1)
    assert sizes.max() / sizes.min() > 10


@pytest.mark.parametrize(("n", "dim"), [(1000, 128), (60, 128), (40, 4), (3, 8), (1, 8)])
def test_few_latents_of_many_numbers(n: int, dim: int):
    z = normal(n + 100, dim)
    density = fit(z[:n], z[n:])
    draws = density.sample(normal(2000, dim, 3), uniform(2000))
    assert torch.isfinite(draws).all() and torch.isfinite(density.log_prob(z)).all()
    if n >= 40:
        assert density.kind == "gaussian"
        assert torch.linalg.cond(density.scale_tril[0]) < 10  # of the truth: 1
        assert draws.std().item() == pytest.approx(1.0, abs=0.15)


def test_dead_latents_and_copies_do_not_break_it():
    z = normal(50, 4)
    z[:, 2] = 0.7
    density = fit(z, z[:0])  # nothing held out
    draws = density.sample(normal(100, 4, 1), uniform(100))
    torch.testing.assert_close(draws[:, 2], torch.full((100,), 0.7), atol=0.01, rtol=0)
    same = fit(z[:1].expand(50, 4), z[:1].expand(9, 4))
    torch.testing.assert_close(same.sample(normal(1, 4), uniform(1)), z[:1], atol=0.02, rtol=0)


def test_classes():
    z, labels = clusters(900)
    density = fit(z[:600], z[600:], labels=labels[:600], num_classes=5)
    assert density.kind == "classes" and len(density.means) == 5
    wanted = uniform(3000).mul(3).long()
    draws = density.sample(normal(3000, 6, 4), uniform(3000), labels=wanted)
    assert (torch.cdist(draws, 5 * torch.eye(6)[:3]).argmin(1) == wanted).float().mean() > 0.99
    # A class without pictures stands where all are on average.
    torch.testing.assert_close(density.means[4], z[:600].mean(0), atol=0.05, rtol=0)
    unlabelled = density.sample(normal(3000, 6, 4), uniform(3000, 8))
    torch.testing.assert_close(unlabelled.mean(0), z.mean(0), atol=0.25, rtol=0)


def test_standard_is_the_noise_itself():
    noise = normal(5, 3)
    density = fit(normal(10, 3), normal(2, 3), kind="standard")
    assert torch.equal(density.sample(noise, uniform(5)), noise)
    expected = -0.5 * noise.square().sum(1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(density.log_prob(noise), expected)


def test_samples_depend_on_their_own_numbers_alone():
    z, _ = clusters(600)
    density = fit(z[:500], z[500:])
    noise, choice = normal(20, 6, 9), uniform(20, 9)
    together = density.sample(noise, choice)
    alone = torch.cat([density.sample(noise[i : i + 1], choice[i : i + 1]) for i in range(20)])
    assert torch.equal(together, alone)
    cold = density.sample(0 * noise, choice)
    assert torch.cdist(cold, density.means).min(1).values.max() < 1e-5
    last = density.sample(noise[:1], torch.tensor([1 - 2**-24]))
    assert torch.isfinite(last).all()


def test_fit_is_repeatable_and_survives_a_file():
    z, _ = clusters(600)
    density = fit(z[:500], z[500:], seed=3)
    assert torch.equal(fit(z[:500], z[500:], seed=3).means, density.means)
    again = Density.from_tensors(load(save(density.tensors())))
    assert again.kind == density.kind
    noise, choice = normal(8, 6), uniform(8)
    assert torch.equal(again.sample(noise, choice), density.sample(noise, choice))
    assert torch.equal(again.log_prob(z), density.log_prob(z))


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "classes"])
def test_the_rest_of_a_latent_suits_what_is_known(kind: str):
    torch.manual_seed(0)
    many = 1 if kind == "gaussian" else 2
    roots = torch.eye(5).repeat(many, 1, 1) + 0.5 * torch.randn(many, 5, 5).tril(-1)
    means = 20 * torch.arange(many)[:, None] + torch.randn(many, 5)
    density = Density(kind, torch.full((many,), 1 / many).log(), means, roots)
    component = torch.arange(2) % many
    known = means[component][:, :2] + torch.tensor([[0.3, -1.0], [0.5, 0.2]])
    labels = component if kind == "classes" else None
    rest = density.complete(known, torch.zeros(2, 3), labels=labels)
    covariance = roots @ roots.mT
    for row, m in enumerate(component.tolist()):
        s = covariance[m]
        regression = s[2:, :2] @ torch.linalg.inv(s[:2, :2])
        expected = means[m, 2:] + regression @ (known[row] - means[m, :2])
        torch.testing.assert_close(rest[row], expected, rtol=1e-4, atol=1e-4)
    # What is left open varies as it does given the known numbers.
    noise = torch.randn(40_000, 3)
    drawn = density.complete(known[:1].expand(40_000, -1), 0.5 * noise)
    m = int(component[0])
    s = covariance[m]
    left = s[2:, 2:] - s[2:, :2] @ torch.linalg.inv(s[:2, :2]) @ s[:2, 2:]
    torch.testing.assert_close(drawn.T.cov(), 0.25 * left, rtol=0.05, atol=0.02)
    # Known and rest together are a draw of the whole.
    whole = density.sample(torch.randn(20_000, 5), torch.rand(20_000))
    again = density.complete(whole[:, :2], torch.randn(20_000, 3))
    torch.testing.assert_close(again.mean(0), whole[:, 2:].mean(0), rtol=0.05, atol=0.1)


def test_mistakes_are_told():
    with pytest.raises(UserError, match="did you mean 'mixture'"):
        fit(normal(10, 2), normal(2, 2), kind="mixtures")
    with pytest.raises(UserError, match="got 0"):
        fit(normal(0, 2), normal(2, 2))
