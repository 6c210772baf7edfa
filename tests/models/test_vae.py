from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hiresvae.models.draws import FromPosterior, FromPrior, Given
from hiresvae.models.vae import VAE, widths_at
from hiresvae.seeding import Noise, Shard
from hiresvae.training.objective import bound_loss

DIMS = 3 * 16 * 16
LABELS = torch.tensor([0, 1, 2, 0])
Awake = Callable[[nn.Module], nn.Module]
NormalNoise = Callable[..., Tensor]


def test_outputs_have_the_shapes_of_the_contract(
    make: Callable[..., VAE], tiny: dict[str, Any], images: Tensor, noise: NormalNoise
):
    model = make(**tiny)
    out = model(images, noise=noise)
    rungs = len(model.latent_shapes)
    top = torch.Size(model.latent_shapes[0]).numel()
    assert out.distortion.shape == out.error.shape == (4,)
    assert out.rate.shape == (4, rungs) and (out.rate >= 0).all()
    assert out.reconstruction.shape == images.shape and out.sample is None
    assert out.top.shape == (4, top)
    torch.testing.assert_close(out.error, (out.reconstruction - images).square().mean((1, 2, 3)))


def test_every_parameter_gets_a_gradient_from_the_bound(
    make: Callable[..., VAE],
    awake: Awake,
    tiny: dict[str, Any],
    images: Tensor,
    noise: NormalNoise,
):
    model = awake(make(classes=3, **tiny, scale="learned"))
    bound_loss(model(images, LABELS, noise=noise), DIMS, 1.0, 0.0).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        assert parameter.grad.isfinite().all(), name


def test_no_parameter_is_left_out_at_the_start(
    make: Callable[..., VAE], tiny: dict[str, Any], images: Tensor, noise: NormalNoise
):
    # Gradients may be zero behind layers that start at zero, but None would stop several processes.
    for stochastic in (True, False):
        model = make(classes=3, **tiny, stochastic=stochastic)
        bound_loss(model(images, LABELS, noise=noise), DIMS, 1.0, 0.0).backward()
        missing = [name for name, p in model.named_parameters() if p.grad is None]
        assert not missing


def test_output_is_independent_of_batch_mates(
    make: Callable[..., VAE], awake: Awake, tiny: dict[str, Any], images: Tensor
):
    model = awake(make(classes=3, **tiny)).train()
    noise = Noise(0, 0, Shard(4, 0, 4)).normal
    whole = model(images, LABELS, noise=noise)
    for row in range(4):
        one = slice(row, row + 1)
        alone = model(images[one], LABELS[one], noise=Noise(0, 0, Shard(4, row, row + 1)).normal)
        for name in ("distortion", "rate", "error", "reconstruction", "top"):
            a, b = getattr(whole, name)[one], getattr(alone, name)
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_label_never_reaches_the_model_it_changes_encoder_and_decoder(
    make: Callable[..., VAE], awake: Awake, tiny: dict[str, Any], images: Tensor
):
    """`YixinChen-AI/CVAE-GAN-zoos-PyTorch-Beginner`, issue 12."""
    model = awake(make(classes=3, **tiny))
    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    top = model.latent_shapes[0][1]
    a, b = (model.features(images, labels)[top] for labels in (zeros, ones))
    assert ((a - b).abs().flatten(1).amax(1) > 1e-4).all()
    latents = [torch.randn(4, *shape) for shape in model.latent_shapes]
    a, b = (model.walk(Given(latents, FromPrior(None)), x, 4).head for x in (zeros, ones))
    assert ((a - b).abs().flatten(1).amax(1) > 1e-4).all()


def test_an_unconditional_model_takes_no_notice_of_labels(
    make: Callable[..., VAE], images: Tensor, noise: NormalNoise
):
    model = make()
    a, b = model(images, LABELS, noise=noise), model(images, noise=noise)
    assert torch.equal(a.reconstruction, b.reconstruction)


def test_a_conditional_model_insists_on_labels_and_classes(
    make: Callable[..., VAE], images: Tensor, noise: NormalNoise
):
    with pytest.raises(ValueError, match="needs labels"):
        make(classes=3)(images, noise=noise)
    with pytest.raises(ValueError, match="number of classes"):
        make(conditional=True)


def test_a_plain_vae_is_a_ladder_with_one_rung(
    make: Callable[..., VAE], images: Tensor, noise: NormalNoise
):
    models = []
    for pyramid in ("auto", "1x1 4 8 16"):
        torch.manual_seed(0)
        models.append(make(pyramid=pyramid))
    plain, ladder = models
    assert type(plain) is type(ladder) is type(make(pyramid="1x1 4x2 8x1 16")) is VAE
    a, b = plain.state_dict(), ladder.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    one, two = plain(images, noise=noise), ladder(images, noise=noise)
    assert torch.equal(one.distortion, two.distortion) and torch.equal(one.rate, two.rate)
    assert torch.equal(one.reconstruction, two.reconstruction)


def test_without_noise_it_is_an_autoencoder(
    make: Callable[..., VAE], awake: Awake, tiny: dict[str, Any], images: Tensor
):
    model = awake(make(**tiny, stochastic=False))
    one, two = (model(images, noise=Noise(0, step, Shard(4, 0, 4)).normal) for step in (0, 1))
    assert (one.rate == 0).all()
    assert torch.equal(one.reconstruction, two.reconstruction)
    model = awake(make(**tiny))
    one, two = (model(images, noise=Noise(0, step, Shard(4, 0, 4)).normal) for step in (0, 1))
    assert (one.rate.sum(1) > 0).all()
    assert not torch.allclose(one.reconstruction, two.reconstruction)


def test_samples_come_from_the_same_forward_and_change_nothing_else(
    make: Callable[..., VAE],
    awake: Awake,
    tiny: dict[str, Any],
    images: Tensor,
    noise: NormalNoise,
):
    model = awake(make(classes=3, **tiny))
    shape = model.latent_shapes[0]
    top, top_labels = torch.randn(2, *shape).flatten(1), torch.tensor([2, 1])
    top_noise = Noise(0, 0, Shard(2, 0, 2)).normal
    alone = model(images, LABELS, noise=noise)
    both = model(images, LABELS, noise=noise, top=top, top_labels=top_labels, top_noise=top_noise)
    for name in ("distortion", "rate", "reconstruction", "top"):
        torch.testing.assert_close(getattr(both, name), getattr(alone, name), rtol=1e-4, atol=1e-4)
    draw = FromPrior(top_noise, top=[top.view(-1, *shape)])
    expected = model.likelihood(model.walk(draw, top_labels, 2).head).mean
    torch.testing.assert_close(both.sample, expected, rtol=1e-4, atol=1e-4)


def test_the_top_rungs_are_one_vector_in_units_of_their_priors(
    make: Callable[..., VAE], awake: Awake, images: Tensor, noise: NormalNoise
):
    model = awake(make(pyramid="1x1 4x2 8x1 16", top_rungs=3))
    assert model.top_dim == 6 + 3 * 16 + 3 * 16
    outputs = model(images, noise=noise)
    assert outputs.top.shape == (4, model.top_dim)
    walk = model.walk(FromPosterior(model.features(images), noise), None, 4)
    parts = model.top_parts(outputs.top)
    for drawn, relative in zip(walk.drawn, parts, strict=False):
        mean, std = (0, 1) if drawn.prior is None else (drawn.prior.mean, drawn.prior.std)
        torch.testing.assert_close(mean + std * relative, drawn.z, rtol=1e-4, atol=1e-4)
    # The same latents, drawn as samples are, give the same picture but for the rung below.
    given = model.walk(FromPrior(None, top=parts), None, 4)
    for number in range(3):
        torch.testing.assert_close(
            given.drawn[number].z, walk.drawn[number].z, rtol=1e-4, atol=1e-4
        )
    # A walk that ends early draws the same.
    early = model.decoder.top(FromPosterior(model.features(images), noise), None, 4, 3)
    torch.testing.assert_close(model.top_vector(early, 4), outputs.top, rtol=1e-4, atol=1e-4)


def test_a_coarse_fake_has_the_top_of_its_row_and_the_rest_of_a_sample(
    make: Callable[..., VAE], awake: Awake, images: Tensor, noise: NormalNoise
):
    model = awake(make(pyramid="1x1 4x2 8x1 16", top_rungs=2))
    rows, own = torch.tensor([3, 1, 2]), torch.tensor([True, False, True])
    given, lower = torch.randn(3, model.top_dim), Noise(0, 1, Shard(3, 0, 3)).normal
    out = model(
        images, noise=noise, top=given, top_noise=lower, top_rows=rows, own=own, coarse=True
    )  # fmt: skip
    plain = model(images, noise=noise)
    torch.testing.assert_close(out.reconstruction, plain.reconstruction, rtol=1e-4, atol=1e-4)
    top = torch.where(own[:, None], plain.top[rows], given)
    walk = model.walk(FromPrior(lower, top=model.top_parts(top)), None, 3)
    expected = model.likelihood(walk.head).mean
    torch.testing.assert_close(out.sample, expected, rtol=1e-4, atol=1e-4)
    nats = -model.likelihood(walk.head).log_prob(images[rows])
    torch.testing.assert_close(out.coarse, nats * own, rtol=1e-4, atol=1e-4)
    assert plain.coarse is None
    # The critic's verdict of a coarse fake reaches the encoder, that of a sample does not.
    first = next(model.encoder.parameters())
    for row, reached in enumerate(own.tolist()):
        (heard,) = torch.autograd.grad(out.sample[row].sum(), first, retain_graph=True)
        assert bool(heard.abs().max() > 0) == reached


@pytest.mark.parametrize("fine", [0.0, 0.5])
def test_fine_rungs_of_samples_keep_nearer_to_their_priors_middle(
    make: Callable[..., VAE], awake: Awake, images: Tensor, noise: NormalNoise, fine: float
):
    model = awake(make(pyramid="1x1 4x2 8x1 16", top_rungs=2, fine_temperature=fine))
    assert model.temperatures() == [1, 1, fine, fine]
    assert model.temperatures([0.9, 0.8, 0.6]) == [0.9, 0.8, 0.6 * fine, 0.6 * fine]
    top, lower = torch.randn(3, model.top_dim), Noise(0, 1, Shard(3, 0, 3)).normal
    out = model(images, noise=noise, top=top, top_noise=lower)
    draw = FromPrior(lower, [1, 1, fine, fine], model.top_parts(top))
    expected = model.likelihood(model.walk(draw, None, 3).head).mean
    torch.testing.assert_close(out.sample, expected, rtol=1e-4, atol=1e-4)
    plain = model(images, noise=noise)
    torch.testing.assert_close(out.rate, plain.rate, rtol=1e-4, atol=1e-4)


def test_the_rate_is_that_of_the_walk(
    make: Callable[..., VAE], awake: Awake, images: Tensor, noise: NormalNoise
):
    model = awake(make(pyramid="1x1 4x2 8x1 16"))
    walk = model.walk(FromPosterior(model.features(images), noise), None, 4)
    rate = model(images, noise=noise).rate
    for number, drawn in enumerate(walk.drawn):
        # KL once more, by torch, against the prior of the walk.
        q, p = drawn.posterior, drawn.prior
        other = (
            torch.distributions.Normal(0.0, 1.0)
            if p is None
            else torch.distributions.Normal(p.mean, p.std)
        )
        kl = torch.distributions.kl_divergence(torch.distributions.Normal(q.mean, q.std), other)
        torch.testing.assert_close(rate[:, number], kl.flatten(1).sum(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "logistic_mixture", "bernoulli"])
def test_every_likelihood_trains(
    make: Callable[..., VAE], images: Tensor, noise: NormalNoise, likelihood: str
):
    model = make(likelihood=likelihood)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        loss = bound_loss(model(images, noise=noise), DIMS, 1.0, 0.0)
        optimizer.zero_grad()
        loss.backward()
        assert model.last_layer.grad.abs().max() > 0
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]


def test_the_last_layer_is_what_the_likelihood_reads(
    make: Callable[..., VAE], tiny: dict[str, Any]
):
    model = make(**tiny)
    with torch.no_grad():
        model.last_layer.zero_()
    head = model.walk(FromPrior(Noise(0, 0, Shard(2, 0, 2)).normal), None, 2).head
    # What is left is the bias: one colour a channel, whatever was drawn.
    assert torch.equal(head, head[:1, :, :1, :1].expand_as(head))


@pytest.mark.parametrize("channels", [1, 3])
def test_no_normalisation_layer_and_no_random_layer_anywhere(
    make: Callable[..., VAE], tiny: dict[str, Any], channels: int
):
    names = {type(module).__name__ for module in make(channels=channels, **tiny).modules()}
    assert not [name for name in names if "Norm" in name or "Dropout" in name]


def test_widths_double_as_sides_halve_up_to_the_cap_and_the_vector_has_the_most():
    assert widths_at([1, 4, 8, 16], 16, 4, 12) == [12, 12, 8, 4]


@pytest.mark.parametrize(("backbone", "order"), [
    ("classic", torch.contiguous_format), ("pyramid", torch.channels_last),
])  # fmt: skip
def test_what_a_backbone_works_out_is_in_the_order_that_is_fast_for_it(
    make: Callable[..., VAE], images: Tensor, noise: NormalNoise, backbone: str, order: Any
):
    """The classic one was trained and sampled channels-last, which is slower there."""
    model = make(backbone=backbone)
    before = model(images, noise=noise).reconstruction
    assert model.in_fast_order() is model
    seen = []
    for layer in (m for m in model.modules() if getattr(m, "weight", images[0]).ndim == 4):
        layer.register_forward_hook(lambda module, given, made: seen.append((made, module.weight)))
    after = model(images.contiguous(memory_format=torch.channels_last), noise=noise).reconstruction
    # Of one channel, or of a kernel of one place, either order is the other.
    wide = [pair for pair in seen if pair[0].shape[1] > 3 and pair[1].shape[-1] > 1]
    assert len(wide) > 3
    assert all(x.is_contiguous(memory_format=order) for pair in wide for x in pair)
    torch.testing.assert_close(after, before)
