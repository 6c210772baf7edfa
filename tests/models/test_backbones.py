from collections.abc import Callable

import pytest
import torch
from torch import nn

from hiresvae.models.backbones import (
    BOOST,
    CLASSIC_HIDDEN,
    REACH,
    BoostedConvolution,
    BoostedLinear,
    ClassicEncoder,
    Deconvolution,
    DenseEncoder,
    classic_decoder,
    classic_width,
    dense_decoder,
)
from hiresvae.models.draws import FromPrior, Given
from hiresvae.models.vae import VAE


def test_classic_encoder_gives_5184_numbers_at_28_px():
    encoder = ClassicEncoder(1, 28, 0)
    (vector,) = encoder(torch.zeros(2, 1, 28, 28)).values()
    assert vector.shape == (2, classic_width(28), 1, 1) == (2, 5184, 1, 1)


@pytest.mark.parametrize("size", [12, 16, 28])
def test_classic_decoder_ends_on_the_size_that_the_encoder_began_with(size: int):
    decoder = classic_decoder(3, size, 5, 0, bounded=True)
    assert decoder.rung.shape == (5, 1, 1)
    assert decoder(FromPrior(None), None, 2).head.shape == (2, 3, size, size)
    (vector,) = ClassicEncoder(3, size, 0)(torch.zeros(1, 3, size, size)).values()
    assert vector.shape[1] == decoder.rung.read.in_channels == classic_width(size)


def test_classic_layers_are_three_without_padding():
    layers = ClassicEncoder(3, 28, 0).layers
    assert len(layers) == 3
    assert all(layer.padding == (0, 0) for layer in layers)


def test_classic_decoder_starts_quiet_but_not_dead():
    torch.manual_seed(0)
    decoder = classic_decoder(1, 28, 8, 0, bounded=True)
    vectors = torch.randn(16, CLASSIC_HIDDEN)
    state = decoder.rest(vectors)
    assert 0.1 < state.square().mean().sqrt().item() < 1
    # What differs between vectors still does: most of the signal is not the same for all of them.
    assert state.var(0).mean() > 0.5 * state.square().mean()


def test_the_classic_encoder_is_silent_where_a_picture_is_black():
    torch.manual_seed(0)
    encoder = ClassicEncoder(1, 28, 0)
    (vector,) = encoder(-torch.ones(1, 1, 28, 28)).values()
    first = encoder.layers[0](-torch.ones(1, 1, 28, 28) + 1)
    assert torch.equal(first, encoder.layers[0].bias[:, None, None].expand_as(first[0])[None])
    assert vector.isfinite().all()


@pytest.mark.parametrize(
    ("boosted", "plain", "shape"),
    [
        (BoostedLinear(6, 4), nn.Linear(6, 4), (3, 6)),
        (BoostedConvolution(2, 4, 3, 2), nn.Conv2d(2, 4, 3, 2), (3, 2, 9, 9)),
    ],
    ids=["linear", "convolution"],
)
def test_a_boosted_layer_is_the_same_layer_at_a_greater_rate(
    boosted: nn.Module, plain: nn.Module, shape: tuple[int, ...]
):
    given = torch.randn(shape)
    for layer, times in ((boosted, 1.0), (plain, BOOST)):
        with torch.no_grad():
            layer.weight.copy_(
                times * torch.linspace(-1, 1, layer.weight.numel()).view_as(plain.weight)
            )
            layer.bias.fill_(0.5)
    torch.testing.assert_close(boosted(given), plain(given))
    before = BOOST * boosted.weight.detach().clone(), plain.weight.detach().clone()
    for layer in (boosted, plain):
        optimizer = torch.optim.Adam([layer.weight], lr=0.01)
        layer(given).square().sum().backward()
        optimizer.step()
    moved = BOOST * boosted.weight - before[0], plain.weight - before[1]
    torch.testing.assert_close(moved[0], BOOST * moved[1], rtol=1e-2, atol=1e-4)


def test_a_bounded_mean_reaches_plain_black_and_still_has_a_gradient():
    decoder = classic_decoder(1, 28, 8, 0, bounded=True)
    with torch.no_grad():
        decoder.head.weight.zero_()
        decoder.head.bias.fill_(-1.6)
    head = decoder(FromPrior(None), None, 2).head
    assert -REACH < head.min().item() <= -1 + 0.02
    (slope,) = torch.autograd.grad(head.mean(), decoder.head.bias)
    assert slope.item() > 0.1


def test_logits_are_not_bounded():
    decoder = classic_decoder(1, 28, 8, 0, bounded=False)
    with torch.no_grad():
        decoder.head.bias.fill_(5.0)
    assert decoder(FromPrior(None), None, 2).head.mean().item() > 4


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (6, 3)])
def test_a_deconvolution_is_torchs_transposed_convolution(kernel: int, stride: int):
    torch.manual_seed(0)
    ours = Deconvolution(5, 2, kernel, stride)
    theirs = nn.ConvTranspose2d(5, 2, kernel, stride, bias=False)
    taps = kernel // stride
    with torch.no_grad():
        # Tap (a, b) of phase (i, j) is seen from the coarse places, hence backwards.
        for i in range(stride):
            for j in range(stride):
                phase = theirs.weight[:, :, i::stride, j::stride].flip(2, 3).transpose(0, 1)
                ours.weight.view(2, stride, stride, 5, taps, taps)[:, i, j] = phase / BOOST
    images = torch.randn(3, 5, 7, 4)
    torch.testing.assert_close(ours(images), theirs(images))


def test_dense_layers_have_the_sizes_of_the_settings_and_are_mirrored(make: Callable[..., VAE]):
    model = make(backbone="dense", hidden=[420, 210, 105], channels=1)

    def sizes(module: nn.Module) -> list[tuple[int, int]]:
        layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        return [(layer.in_features, layer.out_features) for layer in layers]

    assert sizes(model.encoder) == [(256, 420), (420, 210), (210, 105)]
    assert sizes(model.decoder) == [(105, 210), (210, 420), (420, 256)]
    assert model.latent_shapes == [(6, 1, 1)]


def test_dense_shapes():
    (vector,) = DenseEncoder(3, 8, [20, 10], 0)(torch.zeros(2, 3, 8, 8)).values()
    assert vector.shape == (2, 10, 1, 1)
    assert dense_decoder(3, 8, [20, 10], 4, 0)(FromPrior(None), None, 2).head.shape == (2, 3, 8, 8)


@pytest.mark.parametrize("backbone", ["dense", "classic"])
def test_the_walk_reports_what_was_drawn(make: Callable[..., VAE], backbone: str):
    model = make(backbone=backbone, hidden=[20, 10])
    z = torch.randn(2, 6, 1, 1)
    walk = model.walk(Given([z], FromPrior(None)), None, 2)
    assert len(walk.drawn) == 1 and walk.drawn[0].z is z
    assert not torch.allclose(walk.head[0], walk.head[1])


def test_a_boosted_layer_is_to_the_last_bit_one_of_larger_weights():
    layer, x = BoostedLinear(12, 20), torch.randn(5, 12, requires_grad=True)
    y = torch.nn.functional.linear(x, BOOST * layer.weight, layer.bias)
    assert torch.equal(layer(x), y)
    wanted, found = (
        torch.autograd.grad(out.square().sum(), [x, layer.weight, layer.bias])
        for out in (y, layer(x))
    )
    assert all(map(torch.equal, wanted, found))
