import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, picture_noise
from hiresvae.metrics.results import Figure
from hiresvae.models.draws import FromPosterior
from hiresvae.models.vae import VAE
from hiresvae.settings import DataSettings, ModelSettings, Settings
from hiresvae.uses import likelihood
from hiresvae.uses.likelihood import bounds, likelihood_figures, prior_gap

SIDE = 16


def make(**chosen) -> PictureModel:
    torch.manual_seed(0)
    model = ModelSettings(pyramid="1x1 4x1 8 16", width=4, max_width=8, latent_dim=6, rung_dim=2,
                          **chosen)  # fmt: skip
    net = VAE(model, size=SIDE, channels=3, classes=3)
    for weight in net.parameters():  # what starts at zero says nothing
        weight.data += 0.02 * torch.randn(weight.shape)
    settings = Settings(data=DataSettings(size=SIDE), model=model)
    return PictureModel(net.eval().requires_grad_(False), None, (), (), settings)  # type: ignore[arg-type]


def pictures(n: int = 7) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8)


def figures(model: PictureModel, iwae: int = 0) -> tuple[dict[str, Figure], list[str]]:
    notes: list[str] = []
    x = pictures()
    found = likelihood_figures(model, x, {"held_out": 7}, seed=0, iwae=iwae, notes=notes)
    assert all(figure.counts == {"held_out": 7} for figure in found)
    return {figure.name: figure for figure in found}, notes


def test_elbo_is_the_models_own_and_does_not_depend_on_batches(monkeypatch) -> None:
    model, x = make(scale=0.5), pictures()
    found = bounds(model, x, seed=4)
    np.testing.assert_allclose(found.elbo, model.elbo(x, seed=4).numpy(), rtol=1e-5)
    assert found.rate.shape == (7, 2) and found.top.shape == (7, 6) and found.iwae is None
    monkeypatch.setattr(likelihood, "BATCH", 3)
    again = bounds(model, x, seed=4)
    np.testing.assert_allclose(again.elbo, found.elbo, rtol=1e-5)
    assert again.active == found.active


def test_iwae_equals_torch_distributions() -> None:
    model, x = make(scale=0.5), pictures(2)
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
    expected = np.logaddexp.reduce(weights, axis=0) - math.log(3)
    np.testing.assert_allclose(found.iwae, expected, rtol=1e-5)


def test_iwae_closes_in_on_a_known_likelihood() -> None:
    model, x = make(scale=1.0), pictures()
    for rung in model.model.decoder.rung_list:
        rung.write.weight.data.zero_()
    # The decoder does not see z: p(x | z) is p(x), known exactly, and the ELBO lies the KL below.
    one, many = (bounds(model, x, samples=k) for k in (1, 200))
    truth = -one.distortion
    np.testing.assert_allclose(one.elbo, truth - one.rate.sum(1), rtol=1e-6)
    assert one.elbo.mean() < many.iwae.mean() < truth.mean() + 0.05
    assert truth.mean() - many.iwae.mean() < 0.3 * (truth.mean() - one.elbo.mean())


def test_bits_only_where_the_likelihood_is_discrete() -> None:
    found, notes = figures(make(scale=0.5), iwae=2)
    assert "bits_per_dim" not in found and "density" in notes[0]
    assert found["iwae_2"].value > found["elbo"].value
    found, notes = figures(make(likelihood="logistic_mixture", mixtures=2))
    assert notes == []
    expected = -found["elbo"].value / (3 * SIDE**2 * math.log(2))
    assert found["bits_per_dim"].value == pytest.approx(expected)
    assert (found["bits_per_dim"].unit, found["bits_per_dim"].better) == ("bits", "down")
    low, high = found["bits_per_dim"].interval
    assert low <= found["bits_per_dim"].value <= high


def test_coin_throws_tell_bits_of_black_and_white_alone() -> None:
    found, notes = figures(make(likelihood="bernoulli"))
    assert "bits_per_dim" not in found and "these pictures are grey" in notes[0]
    model = make(likelihood="bernoulli")
    model.settings = Settings(
        data=DataSettings(size=SIDE, binarize=True), model=model.settings.model
    )
    found, notes = figures(model)
    assert notes == [] and found["bits_per_dim"].value > 0
    one, two = (bounds(model, pictures(), seed=seed).distortion for seed in (0, 1))
    assert not np.allclose(one, two), "other coins"
    np.testing.assert_allclose(
        bounds(model, pictures(), seed=4).elbo, model.elbo(pictures(), seed=4).numpy(), rtol=1e-5
    )


def test_rungs_add_up_and_a_rung_that_says_nothing_is_counted_as_such() -> None:
    model = make(scale=0.5)
    second = model.model.decoder.rung_list[1]
    second.read.weight.data.zero_()
    second.read.bias.data.zero_()
    found, _ = figures(model)
    rungs = [found[f"kl_rung_{i}"].value for i in (0, 1)]
    assert sum(rungs) == pytest.approx(found["rate"].value)
    assert rungs[0] > 0 and rungs[1] == pytest.approx(0, abs=1e-5)
    assert found["active_units_rung_1"].value == 0
    assert found["active_units_rung_1"].unit == "of 32 latents"
    model.model.decoder.rung_list[0].read.weight.data *= 100
    found, _ = figures(model)
    # The prior below follows the rung above, but its posterior adds nothing to it.
    assert found["active_units_rung_0"].value == 6 and found["active_units_rung_1"].value == 0


def test_prior_gap_has_the_closed_form() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    q, _ = np.linalg.qr(x - x.mean(0))
    mean, std = np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.5, 2.0])
    top = q * np.sqrt(49) * std + mean
    expected = ((mean**2).sum() + ((std - 1) ** 2).sum()) / 3
    assert prior_gap(top, {"held_out": 50}).value == pytest.approx(expected)


def test_a_conditional_model_guesses_labels_and_an_autoencoder_has_no_likelihood() -> None:
    model, x = make(scale=0.5, conditional=True), pictures(3)
    found = bounds(model, x, seed=2)
    np.testing.assert_allclose(found.elbo, model.elbo(x, seed=2).numpy(), rtol=1e-5)
    with pytest.raises(UserError, match="autoencoder"):
        bounds(make(scale=0.5, stochastic=False), x)
