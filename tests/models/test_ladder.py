"""The mathematics of a ladder: what its rungs cost, and what its bounds are bounds of."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from hiresvae.blocks.layers import conv
from hiresvae.distributions.gaussian import standard_like
from hiresvae.distributions.likelihoods import LocationScaleHead
from hiresvae.images import to_float
from hiresvae.models import latent
from hiresvae.models.contract import Walk
from hiresvae.models.draws import FromPosterior
from hiresvae.models.latent import GaussianRung
from hiresvae.models.vae import VAE
from hiresvae.settings import ModelSettings
from hiresvae.uses.bounds import LEVELS, bounds

MERGES = ["residual", "precision"]


@pytest.mark.parametrize("merge", MERGES)
def test_the_rate_of_every_rung_is_that_of_monte_carlo(make, awake, images, noise, merge):
    model = awake(make(pyramid="1x1 4x2 8x1 16", merge=merge))
    walk = model.walk(FromPosterior(model.features(images), noise), None, 4)
    rng, count = torch.Generator().manual_seed(3), 4000
    for drawn in walk.drawn:
        q, p = drawn.posterior, drawn.prior or standard_like(drawn.z)
        ratios = []
        for _ in range(count // 50):
            z = q.mean + q.std * torch.randn(50, *q.mean.shape, generator=rng)
            density = (
                torch.distributions.Normal(d.mean.double(), d.std.double()).log_prob(z.double())
                for d in (q, p)
            )
            one, other = (part.flatten(2).sum(2) for part in density)
            ratios.append(one - other)
        ratio = torch.cat(ratios)
        error = ratio.std(0) / count**0.5
        assert ((ratio.mean(0) - drawn.rate()).abs() < 5 * error + 1e-4).all()
        assert (drawn.rate() > 0).all()


def test_one_rung_is_the_plain_vae_to_the_last_bit_however_it_would_merge(make, images, noise):
    outputs = []
    for chosen in ({}, {"pyramid": "1x1 ..."}, {"pyramid": "1x1 4 8 16", "merge": "precision"}):
        torch.manual_seed(0)
        model = make(**chosen)
        out = model(images, noise=noise)
        (out.distortion + out.rate.sum(1)).mean().backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
        outputs.append((out.distortion, out.rate, out.reconstruction, gradients))
    for other in outputs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outputs[0], other, strict=True))


def parameters(size: int, **chosen) -> int:
    settings = ModelSettings(**{"width": 8, "max_width": 32, "latent_dim": 16, **chosen})
    with torch.device("meta"):
        model = VAE(settings, size=size, channels=3)
    return sum(p.numel() for p in model.parameters())


def test_a_doubled_side_adds_two_stages_and_the_dense_latent_four_times_the_weights():
    counts = [parameters(size, pyramid="1x1 4x2 8x2 ...") for size in (64, 128, 256, 512, 1024)]
    added = np.diff(counts)
    assert (added == added[0]).all(), "each doubling adds the same"
    with torch.device("meta"):
        model = VAE(ModelSettings(width=8, max_width=32), size=128, channels=3)
    # All sides move one stage up; what comes anew is one of full width in either network.
    parts = []
    for network in (model.encoder, model.decoder):
        middle = next(
            (passage, block)
            for passage, block in zip(network.passages, network.blocks[1:], strict=True)
            if passage.mix.weight.shape[:2] == (32, 32) and passage.mix.weight.ndim == 4
        )
        parts += [p.numel() for module in middle for p in module.parameters()]
    assert added[0] == sum(parts)
    dense = [parameters(size, backbone="classic") for size in (64, 128, 256)]
    assert dense[1] / dense[0] > 3.5 and dense[2] / dense[1] > 3.9


# A ladder that is linear and Gaussian throughout, so that its likelihood is known:
#   z1 ~ N(0, 1), z2 | z1 ~ N(A z1, S2), x | z2 ~ N(W z2, SIGMA^2 I).
A, S2, SIGMA = 1.5, 0.4, 0.6
W = torch.tensor([0.8, -0.5, 0.3, 1.1])
V = SIGMA**2 / W.square().sum().item()  # W x / |W|^2 is z2 with noise of this variance
WIDTH = 4 * math.log(LEVELS)  # likelihoods are told of 8-bit pictures


class LinearLadder(nn.Module):
    """The two rungs above, with posteriors that can be exact; ``SIZE`` pixels of 2 x 2."""

    def __init__(self, merge: str) -> None:
        super().__init__()
        self.rungs = nn.ModuleList(
            [
                GaussianRung(1, 2, 4, 1, first=True),
                GaussianRung(1, 2, 4, 1, first=False, merge=merge),
            ]
        )
        self.head = conv(2, 4, 1)
        self.likelihood = LocationScaleHead("gaussian", SIGMA)
        self.latent_shapes = [(1, 1, 1)] * 2
        top, low = self.rungs
        with torch.no_grad():
            for part in (top.write, low.write, low.foresee, self.head):
                part.weight.zero_()
                part.bias.zero_()
            top.write.weight[0] = 1.0  # the state holds z1 and then z2
            low.write.weight[1] = 1.0
            low.foresee.weight[0, 0] = A
            low.foresee.bias[1] = math.log(S2)
            self.head.weight[:, 1, 0, 0] = W

    @torch.no_grad()
    def be_exact(self) -> None:
        """Sets the posteriors to the true ones."""
        top, low = self.rungs
        for part in (top.read, low.read):
            part.weight.zero_()
            part.bias.zero_()
        t = W / W.square().sum()
        precision = 1 + A**2 / (S2 + V)
        top.read.weight[0, :, 0, 0] = t * A / (S2 + V) / precision
        top.read.bias[1] = -math.log(precision)
        if low.merge == "precision":
            low.read.weight[0, :, 0, 0] = t
            low.read.bias[1] = math.log(V)
        else:
            v = 1 / (1 / S2 + 1 / V)
            low.read.weight[0, 0] = A * (v / S2 - 1)  # of the state, told from the prior's mean
            low.read.weight[0, 2:, 0, 0] = t * v / V
            low.read.bias[1] = math.log(v / S2)

    def features(self, images, labels=None):
        return {1: images.flatten(1)[:, :, None, None]}

    def walk(self, draw, labels, count, grain=None):
        state, drawn = torch.zeros(count, 2, 1, 1), []
        for number, rung in enumerate(self.rungs):
            drawn.append(draw(number, rung, state))
            state = rung.inject(state, drawn[-1].z)
        return Walk(self.head(state).view(count, 1, 2, 2), drawn)

    def painter(self):
        return SimpleNamespace(
            model=self, device=torch.device("cpu"), conditional=False,
            settings=SimpleNamespace(model=SimpleNamespace(stochastic=True)),
            observed=lambda pictures, noise: to_float(pictures), less_memory=str,
            at_once=lambda most: most,
        )  # fmt: skip


@pytest.fixture(params=MERGES)
def linear(request, monkeypatch) -> LinearLadder:
    monkeypatch.setattr(latent, "activate", lambda state, slope=0.2: state)
    return LinearLadder(request.param)


@pytest.fixture
def pictures() -> torch.Tensor:
    rng = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (6, 1, 2, 2), generator=rng, dtype=torch.uint8)


@pytest.fixture
def truth(pictures) -> np.ndarray:
    """The exact log-likelihood of each 8-bit picture in nats."""
    covariance = (A**2 + S2) * torch.outer(W, W) + SIGMA**2 * torch.eye(4)
    exact = MultivariateNormal(torch.zeros(4), covariance)
    return exact.log_prob(to_float(pictures).flatten(1)).double().numpy() - WIDTH


def test_with_true_posteriors_every_draw_tells_the_exact_likelihood(linear, pictures, truth):
    linear.be_exact()
    np.testing.assert_allclose(bounds(linear.painter(), pictures, samples=1).iwae, truth, atol=1e-4)
    elbos = np.stack([bounds(linear.painter(), pictures, seed=seed).elbo for seed in range(80)])
    error = elbos.std(0) / math.sqrt(80)
    assert (np.abs(elbos.mean(0) - truth) < 5 * error + 1e-4).all()


def test_elbo_lies_below_iwae_which_rises_to_the_exact_likelihood(linear, pictures, truth):
    linear.be_exact()
    with torch.no_grad():  # now they are wrong: too wide, and beside the point
        for rung in linear.rungs:
            rung.read.bias += torch.tensor([0.4, 0.8])
    found = {}
    for samples, seeds in ((1, 160), (8, 40), (64, 10)):
        several = [
            bounds(linear.painter(), pictures, seed=seed, samples=samples) for seed in range(seeds)
        ]
        found[samples] = np.mean([one.iwae for one in several])
        if samples == 1:
            elbo = np.mean([one.elbo for one in several])
    exact = truth.mean()
    assert elbo < exact - 0.1
    assert found[1] == pytest.approx(elbo, abs=0.3), "one sample is the ELBO, but for noise"
    assert found[1] < found[8] < found[64] < exact + 0.05
    assert exact - found[64] < 0.2 * (exact - elbo)


def test_training_brings_the_bound_to_the_exact_likelihood(linear, pictures, truth):
    learnt = [p for rung in linear.rungs for p in rung.read.parameters()]
    optimizer = torch.optim.Adam(learnt, lr=0.03)
    images = to_float(pictures).repeat(16, 1, 1, 1)
    rng, begun = torch.Generator().manual_seed(1), None
    for number in range(500):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - number / 500)
        draw = FromPosterior(
            linear.features(images), lambda _, *s: torch.randn(len(images), *s, generator=rng)
        )
        walk = linear.walk(draw, None, len(images))
        rate = sum(drawn.rate() for drawn in walk.drawn)
        loss = (rate - linear.likelihood(walk.head).log_prob(images)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        begun = loss.item() if begun is None else begun
    several = [bounds(linear.painter(), pictures, seed=seed, samples=1) for seed in range(60)]
    # The bound of one sample is the ELBO on average, with less noise where posteriors are good.
    elbo = np.mean([one.iwae for one in several])
    assert -begun - WIDTH < truth.mean() - 0.1, "there was something to learn"
    assert truth.mean() - 0.05 < elbo < truth.mean() + 0.01
