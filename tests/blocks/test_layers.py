import pytest
import torch
from torch import nn

from hiresvae.blocks.layers import SLOPE, Blur, activate, channels_last, conv, linear, unit


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("side", [4, 6, 7, 16])
def test_blur_keeps_constants_constant_borders_too(up: bool, side: int):
    side = side if up else side + side % 2
    constant = torch.tensor([0.3, -1.0, 7.0]).view(1, 3, 1, 1).expand(2, 3, side, side)
    blurred = Blur(3, side, up=up)(constant)
    after = 2 * side if up else side // 2
    expected = constant[:, :, :1, :1].expand(2, 3, after, after)
    torch.testing.assert_close(blurred, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("up", [True, False])
def test_blur_keeps_a_slope_straight_away_from_the_border(up: bool):
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 16, 16)
    steps = Blur(1, 16, up=up)(ramp).diff(dim=3)[..., 1:-1]
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5 if up else 2.0))


def test_blur_down_removes_what_the_smaller_side_cannot_show():
    checks = (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16)[None])
    small = Blur(1, 16, up=False)(checks[None, None])
    assert small[..., 1:-1, 1:-1].abs().max() < 1e-6


def test_doubling_repeats_the_edge():
    # What the correction at the border claims, checked on the picture padded by hand.
    images = noise(1, 1, 6, 6)
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    expected = Blur(1, 8, up=True)(padded)[..., 2:-2, 2:-2]
    torch.testing.assert_close(Blur(1, 6, up=True)(images), expected)


def test_blur_treats_channels_apart_and_has_nothing_to_learn_or_to_store():
    blur = Blur(3, 8, up=True)
    assert not list(blur.parameters()) and not blur.state_dict()
    one = torch.zeros(1, 3, 8, 8)
    one[:, 1] = noise(8, 8)
    out = blur(one)
    assert out[:, 1].abs().sum() > 0
    assert (out[:, [0, 2]] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_blur_keeps_the_type_of_its_input(dtype: torch.dtype):
    assert Blur(2, 4, up=True)(torch.ones(1, 2, 4, 4, dtype=dtype)).dtype == dtype


def test_a_convolution_and_the_activation_keep_the_mean_square():
    state = activate(noise(2, 64, 16, 16))
    for layer in (conv(64, 64), conv(64, 64), conv(64, 64, 1)):
        after = activate(layer(state))[..., 3:-3, 3:-3]
        ratio = after.square().mean() / state[..., 3:-3, 3:-3].square().mean()
        assert 0.75 < ratio < 1.3
        state = activate(layer(state))
    vectors = activate(noise(64, 256))
    ratio = activate(linear(256, 256)(vectors)).square().mean() / vectors.square().mean()
    assert 0.8 < ratio < 1.25


@pytest.mark.parametrize("layer", [conv(3, 5, gain=0), linear(3, 5, gain=0)])
def test_a_layer_without_gain_starts_as_nothing_but_learns(layer: nn.Module):
    inputs = torch.ones(2, 3, 4, 4) if isinstance(layer, nn.Conv2d) else torch.ones(2, 3)
    out = layer(inputs)
    assert (out == 0).all()
    out.sum().backward()
    assert (layer.weight.grad != 0).all()


def test_gain_scales_the_weights():
    whole = conv(32, 32).weight.std().item()
    assert conv(32, 32, gain=0.3).weight.std().item() / whole == pytest.approx(0.3, rel=0.05)


def test_activate_is_linear_on_either_side_of_zero():
    assert activate(torch.tensor([-2.0, 0.0, 3.0])).tolist() == pytest.approx([-2 * SLOPE, 0, 3])


def test_channels_last_changes_the_order_in_memory_and_no_number():
    module = nn.Sequential(conv(4, 4), Blur(4, 8, up=False))
    images = noise(2, 4, 8, 8)
    before, weights = module(images), module[0].weight.clone()
    assert channels_last(module) is module
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(module[0].weight, weights)
    torch.testing.assert_close(module(images), before)


def test_unit_takes_the_length_away_and_keeps_the_direction():
    state = torch.randn(3, 8, 4, 4)
    scaled = unit(state)
    torch.testing.assert_close(scaled.square().mean(1), torch.ones(3, 4, 4))
    torch.testing.assert_close(unit(7 * state), scaled)
    torch.testing.assert_close(scaled * state.square().mean(1, keepdim=True).sqrt(), state)
    assert unit(torch.zeros(1, 8)).isfinite().all()
