from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hiresvae.errors import UserError
from hiresvae.models.draws import (
    FromPosterior,
    FromPrior,
    Given,
    Together,
    check_latents,
    check_temperature,
)
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard

NormalNoise = Callable[..., Tensor]


@pytest.fixture
def model(make: Callable[..., VAE], awake: Callable[[nn.Module], nn.Module]) -> VAE:
    return awake(make(pyramid="1x1 4x2 8x1 16"))


def rows(count: int, step: int = 0) -> NormalNoise:
    return Noise(0, step, Shard(count, 0, count)).normal


def test_from_posterior_without_noise_takes_the_means(model: VAE, images: Tensor):
    walk = model.walk(FromPosterior(model.features(images), None), None, 4)
    for drawn in walk.drawn:
        assert torch.equal(drawn.z, drawn.posterior.mean)
        assert (drawn.rate() > 0).all()
    assert [drawn.prior is None for drawn in walk.drawn] == [True, False, False, False]


def test_from_posterior_adds_its_own_noise_at_every_rung(
    model: VAE, images: Tensor, noise: NormalNoise
):
    walk = model.walk(FromPosterior(model.features(images), noise), None, 4)
    for number, (drawn, shape) in enumerate(zip(walk.drawn, model.latent_shapes, strict=True)):
        expected = drawn.posterior.sample(noise(f"posterior {number}", *shape))
        assert torch.equal(drawn.z, expected)


def test_from_prior_without_noise_takes_the_means(model: VAE):
    walk = model.walk(FromPrior(None), None, 2)
    assert (walk.drawn[0].z == 0).all()
    again = model.walk(FromPrior(rows(2), temperature=0.0), None, 2)
    torch.testing.assert_close(walk.head, again.head)
    assert all(drawn.posterior is None for drawn in walk.drawn)


def test_from_prior_scales_the_noise_by_the_temperature(model: VAE):
    half, whole = FromPrior(rows(2), temperature=0.5), FromPrior(rows(2))
    for number, rung in enumerate(model.decoder.rung_list):
        state = torch.randn(2, rung.write.out_channels, *rung.shape[1:])
        prior = rung.prior(state)
        mean = torch.zeros(2, *rung.shape) if prior is None else prior.mean
        z = whole(number, rung, state).z
        torch.testing.assert_close(half(number, rung, state).z - mean, 0.5 * (z - mean))
        assert (z != mean).all()


def test_each_rung_has_its_own_temperature(model: VAE):
    hot, mixed = FromPrior(rows(2)), FromPrior(rows(2), temperature=(1.0, 0.5, 0.0))
    for number, rung in enumerate(model.decoder.rung_list):
        state = torch.randn(2, rung.write.out_channels, *rung.shape[1:])
        prior = rung.prior(state)
        mean = torch.zeros(2, *rung.shape) if prior is None else prior.mean
        spread = (1.0, 0.5, 0.0, 0.0)[number]
        expected = spread * (hot(number, rung, state).z - mean)
        torch.testing.assert_close(mixed(number, rung, state).z - mean, expected)


@pytest.mark.parametrize(
    ("temperature", "sentence"),
    [
        ((1.0,) * 5, "has 5 numbers, but this model has 4 rungs; nearest valid: 4"),
        ((), "has 0 numbers, .* nearest valid: 1"),
        (-0.5, "temperature -0.5: must be 0 or more; nearest valid: 0"),
        ((1.0, float("nan")), "temperature nan: must be 0 or more"),
    ],
)
def test_impossible_temperatures_are_refused(temperature, sentence):
    with pytest.raises(UserError, match=sentence):
        check_temperature(temperature, 4)
    check_temperature((1.0, 0.0), 4)
    check_temperature(1.2, 1)


def test_from_prior_takes_a_given_top_and_draws_the_rest(model: VAE):
    top = torch.randn(2, 6, 1, 1)
    walk = model.walk(FromPrior(rows(2), top=[top]), None, 2)
    assert torch.equal(walk.drawn[0].z, top)
    other = model.walk(FromPrior(rows(2, step=1), top=[top]), None, 2)
    assert not torch.allclose(walk.drawn[1].z, other.drawn[1].z)


def test_given_repeats_a_walk_and_leaves_gaps_to_the_other_draw(model: VAE, images: Tensor):
    otherwise = FromPosterior(model.features(images), None)
    walk = model.walk(FromPosterior(model.features(images), rows(4)), None, 4)
    latents: list[Tensor | None] = [drawn.z for drawn in walk.drawn]
    torch.testing.assert_close(model.walk(Given(latents, otherwise), None, 4).head, walk.head)
    mixed = model.walk(Given([None, latents[1]], otherwise), None, 4)
    assert torch.equal(mixed.drawn[1].z, latents[1])
    for number in (0, 2, 3):
        assert torch.equal(mixed.drawn[number].z, mixed.drawn[number].posterior.mean)


def test_together_equals_the_two_separate_walks(model: VAE, images: Tensor):
    first = FromPosterior(model.features(images), rows(4))
    second = FromPrior(rows(3, step=1), top=[torch.randn(3, 6, 1, 1)])
    both = model.walk(Together(first, 4, second), None, 7)
    one, two = model.walk(first, None, 4), model.walk(second, None, 3)
    torch.testing.assert_close(both.head, torch.cat([one.head, two.head]), rtol=1e-5, atol=1e-5)
    for drawn, a, b in zip(both.drawn, one.drawn, two.drawn, strict=True):
        torch.testing.assert_close(drawn.z, torch.cat([a.z, b.z]), rtol=1e-5, atol=1e-5)
        # Samples have no rate: only the pictures' rows count.
        torch.testing.assert_close(drawn.rate(), a.rate(), rtol=1e-5, atol=1e-5)


def test_latents_of_other_shapes_name_the_nearest(refused):
    shapes = [(6, 1, 1), (2, 4, 4)]
    top, below = torch.zeros(3, 6, 1, 1), torch.zeros(3, 2, 4, 4)
    for fitting in ([top], [top, below]):
        check_latents(fitting, shapes)
    with refused("rung 0 have the shape (3, 6)", "nearest valid: (3, 6, 1, 1)"):
        check_latents([top.flatten(1)], shapes)
    with refused("rung 1 have the shape (2, 2, 4, 4)", "nearest valid: (3, 2, 4, 4)"):
        check_latents([top, below[:2]], shapes)
    with refused("of 0 rungs", "nearest valid: of 1"):
        check_latents([], shapes)
    with refused("of 3 rungs", "nearest valid: of 2"):
        check_latents([top, below, below], shapes)
    with refused("shape ()"):
        check_latents([torch.zeros(())], shapes)
