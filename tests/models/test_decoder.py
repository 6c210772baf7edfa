from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hiresvae.images import to_uint8
from hiresvae.metrics.spectrum import grid_peak
from hiresvae.models.contract import Drawn, Rung
from hiresvae.models.draws import FromPrior, Given
from hiresvae.models.vae import VAE


def test_rungs_are_asked_from_coarse_to_fine_by_number(make: Callable[..., VAE]):
    model = make(pyramid="1x1 4x2 8 16x1")
    asked = []

    def draw(number: int, rung: Rung, state: Tensor) -> Drawn:
        asked.append((number, rung.shape, tuple(state.shape[2:])))
        return Drawn(torch.zeros(2, *rung.shape))

    walk = model.walk(draw, None, 2)
    assert asked == [
        (0, (6, 1, 1), (1, 1)),
        (1, (3, 4, 4), (4, 4)),
        (2, (3, 4, 4), (4, 4)),
        (3, (3, 16, 16), (16, 16)),
    ]
    assert len(walk.drawn) == 4 and walk.head.shape == (2, 3, 16, 16)
    assert [rung.first for rung in model.decoder.rung_list] == [True, False, False, False]


def test_every_rung_changes_the_picture(
    make: Callable[..., VAE], awake: Callable[[nn.Module], nn.Module]
):
    model = awake(make(pyramid="1x1 4x2 8x1 16"))
    zeros: list[Tensor] = [torch.zeros(1, *shape) for shape in model.latent_shapes]
    plain = model.walk(Given(zeros, FromPrior(None)), None, 1).head
    for number in range(len(zeros)):
        latents = [z + 1 if i == number else z for i, z in enumerate(zeros)]
        head = model.walk(Given(latents, FromPrior(None)), None, 1).head
        assert (head - plain).abs().max() > 1e-3, number


def test_the_vector_reaches_every_finer_side_directly(
    make: Callable[..., VAE], awake: Callable[[nn.Module], nn.Module]
):
    model = awake(make(pyramid="1x1 4 8 16"))
    conditions = []
    for passage in model.decoder.passages:
        passage.register_forward_hook(lambda module, inputs, out: conditions.append(inputs[1]))
    model.walk(FromPrior(None, top=[torch.randn(2, 6, 1, 1)]), None, 2)
    assert len(conditions) == 3
    for condition in conditions:
        assert not torch.allclose(condition[0], condition[1])


@pytest.mark.parametrize("pyramid", ["auto", "1x1 4x1 8x1 16 32", "4x1 8x1 16 32"])
def test_grid_and_corner_artefacts_on_flat_input(make: Callable[..., VAE], pyramid: str):
    # Latents that say the same everywhere, through random weights: no 2-pixel grid in what comes.
    model = make(size=32, pyramid=pyramid, width=8, max_width=16)
    with torch.no_grad():
        for passage in model.decoder.passages:
            if hasattr(passage, "mix") and isinstance(passage.mix, nn.Linear):
                # The vector as one colour at every position: a flat picture to start from.
                flat = passage.mix.weight.unflatten(0, (-1, passage.side**2))
                flat.copy_(flat[:, :1].expand_as(flat).clone())
        latents = [torch.randn(16, d, 1, 1).expand(16, d, h, w) for d, h, w in model.latent_shapes]
        head = model.walk(Given(latents, FromPrior(None)), None, 16).head
    low, high = head.amin((1, 2, 3), keepdim=True), head.amax((1, 2, 3), keepdim=True)
    assert grid_peak(to_uint8(2 * (head - low) / (high - low) - 1)) < 3
    inside = head[..., 4:-4, 4:-4]
    torch.testing.assert_close(inside, inside[..., :1, :1].expand_as(inside), rtol=0, atol=1e-4)


@pytest.mark.parametrize("pyramid", ["auto", "1x1 4x2 8x1 16", "4x1 8x1 16"])
def test_conditional_starts_as_unconditional(make: Callable[..., VAE], pyramid: str):
    model, plain = make(classes=3, pyramid=pyramid), make(pyramid=pyramid)
    assert not plain.load_state_dict(model.state_dict(), strict=False).missing_keys
    latents = [torch.randn(4, *shape) for shape in model.latent_shapes]
    draw = Given(latents, FromPrior(None))
    head = model.walk(draw, torch.tensor([0, 1, 2, 0]), 4).head
    torch.testing.assert_close(head, plain.walk(draw, None, 4).head, rtol=0, atol=0)


def grainy(noise_seed: int) -> Callable[..., torch.Tensor]:
    def noise(stream: str, *shape: int) -> torch.Tensor:
        rng = torch.Generator().manual_seed(noise_seed + len(stream))
        return torch.randn(2, *shape, generator=rng)

    return noise


def test_grain_changes_texture_alone_and_is_repeatable(make: Callable[..., VAE]):
    model = make(grain=True)
    z = torch.randn(1, *model.latent_shapes[0]).expand(2, -1, -1, -1)
    draw = Given([z], FromPrior(None))
    still = model.walk(draw, None, 2).head
    torch.testing.assert_close(still[0], still[1])
    assert torch.equal(still, model.walk(draw, None, 2).head)
    one, two = (model.walk(draw, None, 2, grainy(seed)).head for seed in (1, 2))
    assert not torch.allclose(one[0], one[1])
    assert not torch.allclose(one, two)
    torch.testing.assert_close(one, model.walk(draw, None, 2, grainy(1)).head)


def test_without_strength_grain_is_nothing(make: Callable[..., VAE]):
    model = make(grain=True)
    z = torch.randn(2, *model.latent_shapes[0])
    draw = Given([z], FromPrior(None))
    with torch.no_grad():
        for grain in model.decoder.grains:
            grain.strength.zero_()
    torch.testing.assert_close(
        model.walk(draw, None, 2, grainy(1)).head, model.walk(draw, None, 2, grainy(2)).head
    )


def test_samples_in_a_training_forward_have_grain_of_their_own(make: Callable[..., VAE]):
    model = make(grain=True)
    images = torch.zeros(2, model.channels, model.size, model.size)
    top = torch.zeros(2, model.latent_shapes[0][0])
    one, two = (
        model(images, noise=grainy(1), top=top, top_noise=grainy(seed)).sample for seed in (3, 4)
    )
    assert not torch.allclose(one, two)
    still = model(images, noise=grainy(1), top=top).sample
    assert torch.equal(still[0], still[1])
