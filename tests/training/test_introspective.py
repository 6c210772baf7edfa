"""The encoder as critic: who is moved by what, and which way."""

import copy

import pytest
import torch

from hiresvae.adversarial import IntrospectiveSettings
from hiresvae.configuration import validate
from hiresvae.models.draws import FromPrior
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard, generator
from hiresvae.training.introspective import Introspection, encoder_names, falling
from hiresvae.training.running_prior import RunningGaussian

ROWS = 4


def build(
    pyramid="auto", *, likelihood="gaussian", conditional=False, fine_temperature=1.0, **chosen
):
    torch.manual_seed(0)
    raw = {
        "width": 4, "max_width": 8, "latent_dim": 6, "rung_dim": 2, "pyramid": pyramid,
        "likelihood": likelihood, "conditional": conditional, "mixtures": 2,
        "fine_temperature": fine_temperature,
    }  # fmt: skip
    settings = validate({"model": raw}).model
    vae = VAE(settings, size=16, channels=3, classes=3 if conditional else 0)
    dim = vae.latent_shapes[0][0]
    running = RunningGaussian(dim, 100, num_classes=3 if conditional else 1)
    return vae, Introspection(IntrospectiveSettings(**chosen), vae, running)


def numbers():
    noise = Noise(0, 0, Shard(ROWS, 0, ROWS))
    images = noise.uniform("images", 3, 16, 16) * 2 - 1
    return images, noise


def extra(vae, introspection, labels=None, beta=1.0):
    """The added loss alone, its logs, and by name the gradients it leaves."""
    images, noise = numbers()
    outputs = vae(images, labels, noise=noise.normal)
    vae.zero_grad()
    told = introspection(outputs, labels, noise, beta, 1.0)
    loss, logs = told.judged + told.felt, told.logs
    loss.backward()
    return loss, logs, {n: p.grad for n, p in vae.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("pyramid", ["auto", "1x1 4 8 16"])
def test_the_encoder_raises_the_rate_of_what_is_made_and_the_decoder_lowers_it(pyramid, side):
    vae, introspection = build(pyramid, beta_neg=20.0, beta_rec=0.0)
    before_moving = copy.deepcopy(introspection)
    images, noise = numbers()
    with torch.no_grad():
        outputs = vae(images, noise=noise.normal)
    _, _, gradients = extra(vae, introspection)
    own = encoder_names(vae)
    names = own if side == "encoder" else {n for n, _ in vae.named_parameters()} - own
    norm = torch.stack([gradients[n].norm() for n in names if n in gradients]).norm()
    assert norm > 0
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            if name in names and name in gradients:
                parameter -= 0.01 / norm * gradients[name]
        # The same latents decoded and seen again; the decoder's pictures by the judge as it was.
        judge = introspection if side == "encoder" else before_moving
        rates = [
            part.judge(maker.make(outputs, None, noise), None, noise)
            .rate.sum(1)
            .view(2, -1)
            .mean(1)
            for maker, part in ((before_moving, before_moving), (introspection, judge))
        ]
    change = rates[1] - rates[0]
    assert (change > 0).all() if side == "encoder" else (change.sum() < 0), change


def test_samples_keep_to_the_models_temperature():
    made = {}
    for fine in (0.0, 1.0):
        vae, introspection = build("1x1 4x1 8x1 16", fakes="standard", fine_temperature=fine)
        with torch.no_grad():
            for name, parameter in vae.named_parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator(0, name, 0))
            images, noise = numbers()
            outputs = vae(images, noise=noise.normal)
            pair = introspection.make(outputs, None, noise)
            top = noise.normal("introspective top", introspection.running.means.shape[1])

            def lower(stream, *shape, noise=noise):
                return noise.normal(f"introspective {stream}", *shape)

            draw = FromPrior(lower, vae.temperatures(), vae.top_parts(top))
            expected = vae.likelihood(vae.walk(draw, None, ROWS, lower).head).mean
        torch.testing.assert_close(pair[ROWS:], expected, rtol=1e-4, atol=1e-4)
        made[fine] = pair
    torch.testing.assert_close(made[0.0][:ROWS], made[1.0][:ROWS], rtol=1e-4, atol=1e-4)
    assert (made[0.0][ROWS:] - made[1.0][ROWS:]).abs().max() > 1e-3


@pytest.mark.parametrize("pyramid", ["auto", "1x1 4 8 16"])
def test_each_side_leaves_nothing_in_the_other(pyramid, monkeypatch):
    """Without the decoder's part (beta 0) only the encoder moves; without the encoder's, the rest.

    Neither real pictures' encoding nor the decoder's priors may be reached by a detour.
    """
    vae, introspection = build(pyramid)
    own = encoder_names(vae)
    assert any(name.startswith("encoder.") for name in own)
    assert any(".read." in name for name in own), "posteriors are the encoder's"
    _, _, gradients = extra(vae, introspection, beta=0.0)
    assert any(g.any() for n, g in gradients.items() if n in own)
    assert not any(g.any() for n, g in gradients.items() if n not in own)
    monkeypatch.setattr("hiresvae.training.introspective.falling", lambda exponent: 0 * exponent)
    _, _, gradients = extra(vae, introspection, beta=1.0)
    assert any(g.any() for n, g in gradients.items() if n not in own)
    assert not any(g.any() for n, g in gradients.items() if n in own)


def test_both_sides_equal_the_published_losses_written_out():
    """With the published scale: errors summed over [0, 1], exp(-2 s (...)) a quarter each."""
    vae, introspection = build(beta_neg=256.0, beta_rec=1.0)
    vae.likelihood.mean_error.fill_(2.0)
    images, noise = numbers()
    outputs = vae(images, noise=noise.normal)
    logs = introspection(outputs, None, noise, 0.7, 1.0).logs
    with torch.no_grad():
        made = introspection.make(outputs, None, noise)
        again = introspection.judge(made, None, noise)
    dims = 3 * 16 * 16
    expected = []
    for rows in (slice(0, ROWS), slice(ROWS, None)):
        zero_to_one = (made[rows] / 2 - again.reconstruction[rows] / 2).square().sum((1, 2, 3))
        rate = again.rate[rows].sum(1)
        expected.append(0.25 * (-2 / dims * (zero_to_one + 256 * rate)).exp().mean())
    torch.testing.assert_close(logs["introspective_encoder"], sum(expected))
    rates = logs["rate_nats_of_reconstructions"] + logs["rate_nats_of_samples"]
    torch.testing.assert_close(logs["introspective_decoder"], 0.7 / 2 * rates / dims)


@pytest.mark.parametrize("fakes", ["standard", "fitted"])
def test_reconstructions_come_first_and_samples_after_them(fakes):
    vae, introspection = build(fakes=fakes)
    images, noise = numbers()
    outputs = vae(images, noise=noise.normal)
    with torch.no_grad():
        made = introspection.make(outputs, None, noise)
        introspection.running.means.fill_(3.0)
        other = introspection.make(outputs, None, noise)
    torch.testing.assert_close(made[:ROWS], outputs.reconstruction.detach())
    assert torch.equal(other, made) == (fakes == "standard")


def test_labels_reach_what_is_made_and_how_it_is_seen():
    vae, introspection = build("1x1 4 8 16", conditional=True)
    with torch.no_grad():  # steering starts at nothing
        for name, parameter in vae.named_parameters():
            if "modulate" in name or "table" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0])
    _, first, gradients = extra(vae, introspection, labels)
    _, second, _ = extra(vae, introspection, labels.roll(1))
    assert first["rate_nats_of_samples"] != second["rate_nats_of_samples"]
    assert all(g.isfinite().all() for g in gradients.values())
    assert "table.weight" not in encoder_names(vae), "the decoder reads the table too"


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "logistic_mixture", "bernoulli"])
def test_no_exponent_is_positive_and_no_gradient_infinite(likelihood):
    vae, introspection = build(likelihood=likelihood, beta_neg=1000.0)
    if likelihood in ("gaussian", "laplace"):
        vae.likelihood.mean_error.fill_(1e-6)  # a density far above 1
    with torch.no_grad():
        for parameter in vae.encoder.parameters():
            parameter.mul_(3)
    loss, logs, gradients = extra(vae, introspection)
    assert 0 <= logs["introspective_encoder"] <= 1
    assert loss.isfinite() and all(g.isfinite().all() for g in gradients.values())


def test_relative_measures_from_the_rows_own_picture():
    vae, introspection = build(relative=True)
    images, noise = numbers()
    outputs = vae(images, noise=noise.normal)
    with torch.no_grad():
        made = introspection.judge(introspection.make(outputs, None, noise), None, noise)
        lack = introspection.evidence_lack(made, outputs)
        of_made, of_real = introspection._lack(made), introspection._lack(outputs)
    torch.testing.assert_close(lack, of_made - torch.cat([of_real, of_real]))
    assert of_real.std() > 0, "each row has its own"


def test_falling_is_the_exponential_below_0_and_a_line_above():
    x = torch.tensor([-200.0, -1.0, 1.0, 1e6], requires_grad=True)
    falling(x).sum().backward()
    torch.testing.assert_close(falling(x).detach(), torch.tensor([0.0, 0.36787944, 2.0, 1000001.0]))
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 0.36787944, 1.0, 1.0]))
