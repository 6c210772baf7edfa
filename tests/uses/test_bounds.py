import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from hiresvae.errors import UserError
from hiresvae.models.draws import FromPosterior
from hiresvae.seeding import picture_noise
from hiresvae.uses import bounds as module
from hiresvae.uses.bounds import bounds, top_latents

SIDE = 16
# What a density over [-1, 1] owes for being compared with probabilities of 256 levels.
LEVELS = 3 * SIDE**2 * math.log(127.5)


def test_elbo_is_the_models_own_of_8_bits_and_does_not_depend_on_batches(
    monkeypatch, make_ladder, noise_pictures
) -> None:
    model, x = make_ladder(scale=0.5), noise_pictures()
    found = bounds(model, x, seed=4)
    np.testing.assert_allclose(found.elbo, model.elbo(x, seed=4).numpy() - LEVELS, rtol=1e-5)
    assert found.rate.shape == (7, 2) and found.top.shape == (7, 6) and found.iwae is None
    monkeypatch.setattr(module, "BATCH", 3)
    again = bounds(model, x, seed=4)
    np.testing.assert_allclose(again.elbo, found.elbo, rtol=1e-5)
    assert again.active == found.active


def test_probabilities_of_levels_are_taken_as_they_are(make_ladder, noise_pictures) -> None:
    model, x = make_ladder(likelihood="logistic_mixture", mixtures=2), noise_pictures(3)
    np.testing.assert_allclose(bounds(model, x).elbo, model.elbo(x).numpy(), rtol=1e-5)


def test_densities_and_probabilities_can_be_compared() -> None:
    # Of a normal distribution that is wide beside a level, the mass of the levels adds up to 1.
    levels = torch.arange(256) / 127.5 - 1
    density = Normal(0.1, 0.2).log_prob(levels)
    assert float((density - math.log(module.LEVELS)).exp().sum()) == pytest.approx(1, abs=1e-3)


def test_iwae_equals_torch_distributions(make_ladder, noise_pictures) -> None:
    model, x = make_ladder(scale=0.5), noise_pictures(2)
    found = bounds(model, x, seed=1, samples=3)
    weights = []
    single = picture_noise(1, [0, 1], torch.device("cpu"))
    for draw in range(3):
        features = model.model.features(model.check(x), None)
        walk = model.model.walk(
            FromPosterior(features, lambda stream, *s, d=draw: single(f"iwae {d} {stream}", *s)),
            None,
            2,
        )
        likely = Normal(walk.head, 0.5).log_prob(model.check(x)).double().flatten(1).sum(1)
        for drawn in walk.drawn:
            q = Normal(drawn.posterior.mean, drawn.posterior.std)
            p = Normal(drawn.prior.mean, drawn.prior.std) if drawn.prior else Normal(0.0, 1.0)
            ratio = p.log_prob(drawn.z) - q.log_prob(drawn.z)
            likely = likely + ratio.double().flatten(1).sum(1)
        weights.append(likely.numpy())
    expected = np.logaddexp.reduce(weights, axis=0) - math.log(3) - LEVELS
    np.testing.assert_allclose(found.iwae, expected, rtol=1e-5)


def test_iwae_closes_in_on_a_known_likelihood(make_ladder, noise_pictures) -> None:
    model, x = make_ladder(scale=1.0), noise_pictures()
    for rung in model.model.decoder.rung_list:
        rung.write.weight.data.zero_()
    # The decoder does not see z: p(x | z) is p(x), known exactly, and the ELBO lies the KL below.
    one, many = (bounds(model, x, samples=k) for k in (1, 200))
    truth = -one.distortion
    np.testing.assert_allclose(one.elbo, truth - one.rate.sum(1), rtol=1e-6)
    assert one.elbo.mean() < many.iwae.mean() < truth.mean() + 0.05
    assert truth.mean() - many.iwae.mean() < 0.3 * (truth.mean() - one.elbo.mean())


def test_the_label_that_is_told_costs_what_it_says(make_ladder, noise_pictures) -> None:
    model, x = make_ladder(scale=0.5, conditional=True), noise_pictures(3)
    found = bounds(model, x, seed=2, samples=2)
    shares = np.array(model.shares)[model.guess_labels(x).numpy()]
    np.testing.assert_allclose(found.label, -np.log(shares), rtol=1e-6)
    own = model.elbo(x, seed=2).numpy() - LEVELS
    np.testing.assert_allclose(found.elbo, own + np.log(shares), rtol=1e-5)
    # Labels of no weight: the same bounds but for what the label costs.
    model.shares = (1.0, 1.0, 1.0)
    free = bounds(model, x, seed=2, samples=2)
    np.testing.assert_allclose(free.iwae - found.iwae, -np.log(shares), rtol=1e-6)
    model.shares = (0.0, 0.0, 0.0)
    assert np.isfinite(bounds(model, x).elbo).all()
    assert (bounds(make_ladder(scale=0.5), x).label == 0).all()


def test_an_autoencoder_has_no_likelihood(make_ladder, noise_pictures) -> None:
    with pytest.raises(UserError, match="autoencoder"):
        bounds(make_ladder(scale=0.5, stochastic=False), noise_pictures(2))


def test_top_latents_are_draws_of_the_posterior(monkeypatch, make_ladder, noise_pictures) -> None:
    model, x = make_ladder(scale=0.5), noise_pictures(1).expand(400, -1, -1, -1)
    z = top_latents(model, x, seed=3)
    assert z.shape == (400, 6)
    posterior = model.model.walk(
        FromPosterior(model.model.features(model.check(x[:1])), None), None, 1
    ).drawn[0].posterior  # fmt: skip
    mean, std = posterior.mean.flatten().numpy(), posterior.std.flatten().numpy()
    np.testing.assert_allclose(z.mean(0), mean, atol=0.2 * std.max())
    np.testing.assert_allclose(z.std(0), std, rtol=0.15)
    monkeypatch.setattr(module, "BATCH", 7)
    np.testing.assert_allclose(top_latents(model, x, seed=3), z, atol=1e-5)


def test_top_latents_are_of_the_labels_that_are_given(make_ladder, noise_pictures) -> None:
    model, x = make_ladder(scale=0.5, conditional=True), noise_pictures(4)
    given = np.array([0, 2, 1, 0])
    guessed = model.guess_labels(x).numpy()
    np.testing.assert_array_equal(top_latents(model, x), top_latents(model, x, guessed))
    assert (top_latents(model, x, given) != top_latents(model, x, (given + 1) % 3)).any()
