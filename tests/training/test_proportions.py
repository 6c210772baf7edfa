"""What every term weighs beside the others: the same for any number of rows and any side.

The bound is distortion plus beta times the rate, both summed over a picture, in nats, and then
divided by C * H * W together. So the ratio of these two is beta wherever one looks, and their sum
stands on the scale of all other terms, which are means over a picture's pixels or patches.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.discriminator import Judgement
from hiresvae.distributions.gaussian import DiagonalGaussian
from hiresvae.distributions.likelihoods import make_likelihood
from hiresvae.models.contract import Outputs
from hiresvae.models.draws import FromPosterior
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import ModelSettings, TermSettings
from hiresvae.training.objective import Fakes, bound_loss
from hiresvae.training.perceptual import feature_distance
from hiresvae.training.sharpening import make_sharpening

SCALE = 0.5


def pictures(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("rows", [2, 6])
@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("pyramid", ["auto", "1x1 4x1 8"])
def test_kl_summed_and_pixels_averaged_both_are_nats_of_a_picture(pyramid, size, rows):
    """`pytorch/examples`, issues 234 and 290; `AntixK/PyTorch-VAE`, issues 11, 23 and 40.

    Worked out once more by torch: a sum over pixels, a sum over latents, a mean over rows.
    """
    torch.manual_seed(0)
    chosen = ModelSettings(
        width=4, max_width=8, latent_dim=6, rung_dim=2, scale=SCALE,
        pyramid=pyramid if pyramid == "auto" or size == 8 else f"{pyramid} {size}",
    )  # fmt: skip
    vae, images = VAE(chosen, size=size, channels=3), pictures(0, rows, 3, size, size)
    with torch.no_grad():
        for weight in vae.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    noise = Noise(0, 0, Shard(rows, 0, rows)).normal
    dims, beta = 3 * size * size, 0.7
    bound = bound_loss(vae(images, noise=noise), dims, beta, 0.0)
    walk = vae.walk(FromPosterior(vae.features(images), noise), None, rows)
    nats = -Normal(walk.head, SCALE).log_prob(images).sum()
    for drawn in walk.drawn:
        q, p = drawn.posterior, drawn.prior
        assert q is not None
        prior = Normal(0.0, 1.0) if p is None else Normal(p.mean, p.std)
        nats = nats + beta * kl_divergence(Normal(q.mean, q.std), prior).sum()
    torch.testing.assert_close(bound * dims, nats / rows, rtol=1e-4, atol=1e-3)
    weights = [vae.decoder.rung_list[0].read.weight, vae.last_layer]
    found = torch.autograd.grad(bound * dims, weights, retain_graph=True)
    expected = torch.autograd.grad(nats / rows, weights)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3 * two.abs().max().item())


def pulls(trainer, rows: int, repeats: int) -> dict[str, Tensor]:
    """Every term's own gradient where all of them meet, for rows that stand there repeatedly."""
    images = trainer.batches.batch(0, rows)[0].repeat(repeats, 1, 1, 1)
    draws = Noise(0, 0, Shard(rows, 0, rows)).normal

    def noise(stream: str, *shape: int) -> Tensor:
        return torch.cat([draws(stream, *shape)] * repeats)

    total = rows * repeats
    fakes = Fakes.of_rows(["reconstructions", "fitted"], 0, total, torch.device("cpu"))
    top = noise("top", trainer.running.means.shape[1])[fakes.sampled]

    def top_noise(stream: str, *shape: int) -> Tensor:
        return noise(stream, *shape)[fakes.sampled]

    outputs = trainer.vae(images, noise=noise, top=top, top_noise=top_noise)
    where = trainer.vae.decoder.rung_list[0].read.weight

    def at(loss: Tensor, towards: Tensor | None = None) -> Tensor:
        return torch.autograd.grad(loss, where, towards, retain_graph=True)[0]

    dims = trainer.step.dims
    flat = {name: getattr(outputs, name).detach() for name in ("distortion", "rate")}
    found = {
        "rate": at(bound_loss(replace(outputs, distortion=flat["distortion"]), dims, 1.0, 0.0)),
        "distortion": at(bound_loss(replace(outputs, rate=flat["rate"]), dims, 1.0, 0.0)),
    }
    for name, distance in trainer.step.sharpening(outputs.reconstruction, images).items():
        found[name] = at(trainer.step.sharpening.loss({name: distance}))
    mixed = fakes.mix(outputs)
    verdict = trainer.step.adversary.judge(
        trainer.networks.critic, images, mixed, None, paired=fakes.paired,
        noise=Noise(0, 0, Shard(total, 0, total)), penalty=True,
    )  # fmt: skip
    for name, term in verdict.model.items():
        (push,) = torch.autograd.grad(term.mean(), verdict.fakes, retain_graph=True)
        found[name] = at(mixed, push)
    own = list(trainer.networks.critic.parameters())
    for name, term in verdict.critic.items():
        grads = torch.autograd.grad(term.mean(), own, retain_graph=True, allow_unused=True)
        found[name] = torch.cat([g.flatten() for g in grads if g is not None])
    return found


def test_doubling_the_batch_changes_the_ratio_of_no_two_terms(make_trainer):
    """`keras-team/keras`, issue 3383: a sum over rows beside a mean over rows."""
    trainer = make_trainer(
        "adversary.augment=[]", "terms.laplacian=1", "terms.focal_frequency=1", "model.scale=0.5"
    )
    with torch.no_grad():
        for weight in (*trainer.vae.parameters(), *trainer.networks.critic.parameters()):
            weight += 0.05 * torch.randn(
                weight.shape, generator=torch.Generator().manual_seed(weight.numel())
            )
    once, twice = (pulls(trainer, 4, repeats) for repeats in (1, 2))
    assert once.keys() == {
        "rate", "distortion", "laplacian", "focal_frequency", "adversarial", "feature_matching",
        "critic", "r1", "r2",
    }  # fmt: skip
    for name, gradient in once.items():
        size = gradient.abs().max().item()
        assert size > 0, name
        torch.testing.assert_close(
            twice[name], gradient, rtol=1e-3, atol=1e-3 * size, msg=lambda m, n=name: f"{n}: {m}"
        )


class Round(nn.Module):
    """A critic of patches to whom a picture has no border: a tiled one is the same four times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.see = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
        self.say = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        seen = torch.tanh(self.see(images))
        return Judgement(self.say(seen).flatten(1), {images.shape[-1]: seen})


class Colours(nn.Module):
    """Features of an own network: it tells means of colours."""

    def forward(self, images: Tensor) -> Tensor:
        return images.square().mean((2, 3))


def slopes(tiles: int, loss: str) -> dict[str, float]:
    """How each term changes as what is made gets brighter, of pictures tiled so many times."""

    def tiled(values: Tensor) -> Tensor:
        return values.repeat(1, 1, tiles, tiles)

    real, made = tiled(pictures(0, 4, 3, 8, 8)), tiled(pictures(1, 4, 3, 8, 8))
    gain = torch.ones((), requires_grad=True)
    fakes = gain * made
    head = make_likelihood("gaussian", channels=3, scale=SCALE, mixtures=1)(fakes)
    # A rung whose side grows with the picture's, as in a ladder.
    latents = tiled(pictures(2, 4, 2, 4, 4))
    rate = DiagonalGaussian(gain * latents, 0.3 * latents).kl(None).flatten(1).sum(1)
    outputs = Outputs(-head.log_prob(real), rate[:, None], head.error(real), fakes, latents)
    opponent = Adversary(AdversarySettings(loss=loss, augment=[]))
    critic = Round()
    verdict = opponent.judge(
        critic, real, fakes, None, paired=torch.ones(4, dtype=torch.bool),
        noise=Noise(0, 0, Shard(4, 0, 4)), penalty=True,
    )  # fmt: skip
    sharpening = make_sharpening(TermSettings(laplacian=1.0, focal_frequency=1.0), "cpu", 8)
    assert sharpening is not None
    dims = fakes[0].numel()
    one = torch.zeros(4)
    terms = {
        "distortion": bound_loss(replace(outputs, rate=one[:, None]), dims, 1.0, 0.0),
        "rate": bound_loss(replace(outputs, distortion=one), dims, 1.0, 0.0),
        "features": feature_distance(Colours(), "l2", fakes, real).mean(),
        **{name: d.mean() for name, d in sharpening(fakes, real).items()},
    }
    found = {
        name: torch.autograd.grad(t, gain, retain_graph=True)[0].item() for name, t in terms.items()
    }
    for name, term in verdict.model.items():
        (push,) = torch.autograd.grad(term.mean(), verdict.fakes, retain_graph=True)
        found[name] = (push * made).sum().item()
    for name, term in verdict.critic.items():
        (own,) = torch.autograd.grad(term.mean(), critic.see.weight, retain_graph=True)
        found[name] = own.norm().item()
    return found


@pytest.mark.parametrize("loss", ["relativistic", "non_saturating", "hinge", "least_squares"])
def test_doubling_the_side_changes_the_ratio_of_no_two_terms(loss):
    """`huggingface/diffusers`, example autoencoderkl: LPIPS spread over all pixels, then summed."""
    small, large = slopes(1, loss), slopes(2, loss)
    assert small.keys() == {
        "distortion", "rate", "features", "laplacian", "focal_frequency", "adversarial",
        "feature_matching", "critic", "r1", "r2",
    }  # fmt: skip
    for name, slope in small.items():
        assert abs(slope) > 1e-6, name
        # Pyramids see the border; all else is the same to the last digits. A sum would be 4 times.
        assert large[name] == pytest.approx(slope, rel=0.25 if name == "laplacian" else 1e-3), name
