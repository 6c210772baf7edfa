import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Laplace, Normal

from hiresvae.distributions.likelihoods import LIKELIHOODS, LikelihoodHead, make_likelihood
from hiresvae.errors import UserError


def make(name: str, channels: int = 3, scale: float | str = "optimal") -> LikelihoodHead:
    return make_likelihood(name, channels=channels, scale=scale, mixtures=4)


def random_images(n: int = 2, c: int = 3, side: int = 4) -> Tensor:
    levels = torch.randint(256, (n, c, side, side), generator=torch.Generator().manual_seed(0))
    return levels / 127.5 - 1


def random_head(likelihood: LikelihoodHead, c: int = 3, side: int = 4, n: int = 2) -> Tensor:
    shape = (n, likelihood.num_channels(c), side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("channels", [1, 3])
def test_contract(name: str, channels: int):
    likelihood = make(name, channels)
    bound = likelihood(random_head(likelihood, channels).requires_grad_())
    images = random_images(c=channels)
    noise = torch.rand(2, likelihood.num_noise(channels), 4, 4)
    assert bound.log_prob(images).shape == bound.error(images).shape == (2,)
    assert bound.mean.shape == bound.sample(noise).shape == images.shape
    assert torch.equal(bound.sample(noise), bound.sample(noise))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_each_picture_counts_by_itself_in_float32(name: str):
    likelihood = make(name, scale="learned")
    head, images = random_head(likelihood), random_images()
    both = likelihood(head).log_prob(images)
    torch.testing.assert_close(both[1:], likelihood(head[1:]).log_prob(images[1:]))
    with torch.autocast("cpu", torch.bfloat16):
        cast = likelihood(head)
        assert torch.equal(cast.log_prob(images), both)
        assert cast.mean.dtype == torch.float32


@pytest.mark.parametrize(("name", "torch_family"), [("gaussian", Normal), ("laplace", Laplace)])
def test_fixed_scale_is_that_of_torch(name: str, torch_family: type):
    likelihood = make(name, scale=0.3)
    head, images = random_head(likelihood), random_images()
    expected = torch_family(head, 0.3).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(likelihood(head).log_prob(images), expected)
    draws = likelihood(torch.zeros(1, 1, 300, 300)).sample(
        torch.rand(1, 1, 300, 300, generator=torch.Generator().manual_seed(0))
    )
    assert draws.std().item() == pytest.approx(torch_family(0.0, 0.3).stddev.item(), rel=0.02)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_optimal_scale_maximises_the_likelihood_of_what_was_observed(name: str):
    likelihood = make(name)
    head, images = random_head(likelihood), random_images()
    likelihood.observe(likelihood(head).error(images).mean())
    best = likelihood(head).log_prob(images).sum()
    scale = likelihood.current_log_scale().exp().item()
    for factor in (0.95, 1.05):
        other = make(name, scale=scale * factor)(head).log_prob(images).sum()
        assert other < best
    torch.testing.assert_close(make(name, scale=scale)(head).log_prob(images).sum(), best)


def test_running_scale_averages_then_follows():
    likelihood = make("gaussian")
    for value in (0.01, 0.03):
        likelihood.observe(torch.tensor(value))
    assert likelihood.mean_error.item() == pytest.approx(0.02)
    for bad in (math.nan, math.inf):
        likelihood.observe(torch.tensor(bad))
    assert likelihood.mean_error.item() == pytest.approx(0.02)
    for _ in range(2000):
        likelihood.observe(torch.tensor(0.09))
    assert likelihood.current_log_scale().exp().item() == pytest.approx(0.3, rel=1e-3)
    for _ in range(4000):
        likelihood.observe(torch.tensor(0.0))
    assert likelihood.current_log_scale().item() == pytest.approx(-6.0)


def test_running_scale_is_saved_and_does_not_depend_on_the_batch():
    likelihood, images = make("laplace"), random_images()
    likelihood.observe(torch.tensor(0.2))
    again = make("laplace")
    again.load_state_dict(likelihood.state_dict())
    head = random_head(likelihood)
    assert torch.equal(likelihood(head).log_prob(images), again(head).log_prob(images))
    before = likelihood.mean_error.clone()
    likelihood(head).log_prob(images)
    assert torch.equal(before, likelihood.mean_error)


def test_observing_between_forward_and_backward_is_allowed():
    likelihood = make("gaussian")
    head = random_head(likelihood).requires_grad_()
    loss = -likelihood(head).log_prob(random_images()).sum()
    likelihood.observe(torch.tensor(0.1))
    loss.backward()
    assert torch.isfinite(head.grad).all()


def test_learned_scale_learns_the_optimal_one():
    likelihood, images = make("gaussian", scale="learned"), random_images(side=8)
    head = images + 0.1
    adam = torch.optim.Adam(likelihood.parameters(), lr=0.1)
    for _ in range(150):
        adam.zero_grad()
        (-likelihood(head).log_prob(images).mean() / 192).backward()
        adam.step()
    assert likelihood.current_log_scale().exp().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("spread", [0.5, 3.0, 100.0, 1e4])
def test_grey_mixture_sums_to_one_over_all_levels(spread: float):
    likelihood = make("logistic_mixture", 1)
    head = spread * random_head(likelihood, 1, side=3)
    levels = (torch.arange(256) / 127.5 - 1).view(-1, 1, 1, 1)
    # One pixel a picture, so that log_prob is that of the pixel.
    for pixel in head.permute(0, 2, 3, 1).reshape(-1, head.shape[1], 1, 1):
        total = likelihood(pixel.expand(256, -1, 1, 1)).log_prob(levels).exp().sum()
        assert total.item() == pytest.approx(1.0, abs=2e-4)


def test_colour_mixture_sums_to_one_over_a_patch():
    # Narrow and near a corner, all mass lies within 24 levels a channel.
    likelihood = make_likelihood("logistic_mixture", channels=3, scale=1, mixtures=2)
    head = random_head(likelihood, side=1, n=1).view(1, 2, 10, 1, 1) * 0.01
    head[:, :, 1:4] += torch.tensor([0.55, -0.45]).view(1, 2, 1, 1, 1)
    head[:, :, 4:7] -= 5.0
    head[:, :, 7:] += 0.1
    axis = torch.arange(114, 156) / 127.5 - 1
    colours = torch.cartesian_prod(axis, axis, axis).view(-1, 3, 1, 1)
    bound = likelihood(head.view(1, 20, 1, 1).expand(len(colours), -1, 1, 1))
    assert bound.log_prob(colours).exp().sum().item() == pytest.approx(1.0, abs=2e-3)


def test_colour_mixture_is_that_of_pixelcnn():
    likelihood = make("logistic_mixture", 3)
    head, images = random_head(likelihood), random_images()
    parts = head.double().view(2, 4, 10, 4, 4)
    logits, scales, k = parts[:, :, 0], parts[:, :, 4:7].exp(), parts[:, :, 7:].tanh()
    means = parts[:, :, 1:4] + torch.tensor([-0.75, -0.25, 0.25, 0.75]).view(1, 4, 1, 1, 1)
    red, green, _ = images.double().unsqueeze(1).unbind(2)
    shift = torch.stack([0 * red * k[:, :, 0], k[:, :, 0] * red], 2)
    shift = torch.cat([shift, (k[:, :, 1] * red + k[:, :, 2] * green).unsqueeze(2)], 2)
    centred = images.double().unsqueeze(1) - means - shift
    upper, lower = (((centred + h) / scales).sigmoid() for h in (1 / 255, -1 / 255))
    upper = torch.where(images.unsqueeze(1) > 0.999, 1.0, upper)
    lower = torch.where(images.unsqueeze(1) < -0.999, 0.0, lower)
    per_pixel = ((upper - lower).log().sum(2) + logits.log_softmax(1)).logsumexp(1)
    expected = per_pixel.flatten(1).sum(1).float()
    torch.testing.assert_close(likelihood(head).log_prob(images), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 50.0, -50.0, 1e4, -1e4])
@pytest.mark.parametrize("channels", [1, 3])
def test_mixture_is_finite_for_extreme_heads(value: float, channels: int):
    likelihood = make("logistic_mixture", channels)
    for sign in (1, -1):
        head = (sign * value + random_head(likelihood, channels)).requires_grad_()
        bound = likelihood(head)
        for images in (random_images(c=channels), torch.ones(2, channels, 4, 4)):
            log_prob = bound.log_prob(images)
            (gradient,) = torch.autograd.grad(log_prob.sum(), head, retain_graph=True)
            assert torch.isfinite(log_prob).all() and torch.isfinite(gradient).all()
        assert bound.mean.abs().max() <= 1
        (gradient,) = torch.autograd.grad(bound.mean.sum(), head)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_mixture_mean_and_probabilities_are_those_of_its_samples(channels: int):
    likelihood = make("logistic_mixture", channels)
    n = 60_000
    head = random_head(likelihood, channels, side=1, n=1)
    head.view(1, 4, -1, 1, 1)[:, :, 1 + channels : 1 + 2 * channels] -= 2.0  # hardly clipped
    noise = torch.rand(
        n, likelihood.num_noise(channels), 1, 1, generator=torch.Generator().manual_seed(3)
    )
    draws = likelihood(head.expand(n, -1, 1, 1)).sample(noise)
    levels = (draws + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert draws.abs().max() <= 1
    torch.testing.assert_close(
        draws.mean(0, keepdim=True), likelihood(head).mean, atol=0.02, rtol=0
    )
    if channels == 1:
        values = (torch.arange(256) / 127.5 - 1).view(-1, 1, 1, 1)
        probability = likelihood(head.expand(256, -1, 1, 1)).log_prob(values).exp()
        counts = torch.bincount(levels.flatten().round().long(), minlength=256) / n
        assert (counts - probability).abs().max() < 5 * (probability.max() / n).sqrt()


def test_mixture_of_zero_head_breaks_its_symmetry():
    likelihood = make("logistic_mixture", 1)
    head = torch.zeros(1, likelihood.num_channels(1), 2, 2, requires_grad=True)
    likelihood(head).log_prob(torch.full((1, 1, 2, 2), 0.4)).sum().backward()
    means = head.grad.view(4, 3, 4)[:, 1, 0]
    assert len(set(means.tolist())) == 4


def test_bernoulli_is_the_cross_entropy_of_binary_pictures():
    likelihood = make("bernoulli")
    head, images = random_head(likelihood), random_images().sign()
    expected = torch.distributions.Bernoulli(logits=head).log_prob((images + 1) / 2)
    bound = likelihood(head)
    torch.testing.assert_close(bound.log_prob(images), expected.flatten(1).sum(1))
    torch.testing.assert_close(bound.mean, 2 * head.sigmoid() - 1)
    assert set(bound.sample(torch.rand(2, 3, 4, 4)).unique().tolist()) == {-1.0, 1.0}
    extreme = likelihood(torch.full((1, 1, 1, 1), 1e4)).log_prob(-torch.ones(1, 1, 1, 1))
    assert extreme.item() == pytest.approx(-1e4)


def test_bits_per_dim_only_where_they_mean_something():
    likelihood = make("logistic_mixture")
    uniform = torch.tensor([-48 * math.log(256)])
    assert likelihood.bits_per_dim(uniform, 48).item() == pytest.approx(8.0)
    with pytest.raises(UserError, match=r"model\.likelihood is 'laplace'.*logistic_mixture"):
        make("laplace").bits_per_dim(uniform, 48)


def test_mistakes_are_told():
    with pytest.raises(UserError, match="did you mean 'gaussian'"):
        make("gausian")
    with pytest.raises(UserError, match="did you mean 'optimal'"):
        make("gaussian", scale="optimum")
    with pytest.raises(UserError, match=r"model\.scale must be positive"):
        make("gaussian", scale=-0.1)
