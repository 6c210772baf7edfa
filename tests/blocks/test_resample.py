from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hiresvae.blocks.resample import Down, FromVector, ToVector, Up
from hiresvae.images import to_uint8
from hiresvae.metrics.spectrum import grid_peak

PASSAGES = [
    (Up, (6, 4, 8), (2, 6, 8, 8), (2, 4, 16, 16)),
    (Down, (6, 4, 8), (2, 6, 8, 8), (2, 4, 4, 4)),
    (ToVector, (6, 5, 4), (2, 6, 4, 4), (2, 5, 1, 1)),
    (FromVector, (6, 5, 7), (2, 6, 1, 1), (2, 5, 7, 7)),
]
each_passage = pytest.mark.parametrize(
    ("kind", "arguments", "before", "after"), PASSAGES, ids=[kind.__name__ for kind, *_ in PASSAGES]
)


def waves(side: int, rows: int = 16) -> Tensor:
    """Smooth pictures ``(rows, 1, side, side)``: at most one wave and a half each."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randn(rows, 1, 4, 4, generator=rng)
    return nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)


def shown(images: Tensor) -> Tensor:
    """As uint8, stretched over the whole range: a grid cannot hide below one grey level."""
    return to_uint8(images / images.detach().abs().amax((1, 2, 3), keepdim=True))


@each_passage
def test_shapes(kind: Callable[..., nn.Module], arguments: tuple, before: tuple, after: tuple):
    assert kind(*arguments)(torch.randn(before)).shape == after


@each_passage
def test_a_condition_changes_nothing_at_the_start_and_something_later(
    kind: Callable[..., nn.Module], arguments: tuple, before: tuple, after: tuple
):
    passage, state = kind(*arguments, condition_dim=3), torch.randn(before)
    plain = passage(state)
    assert torch.equal(passage(state, torch.randn(2, 3)), plain)
    nn.init.normal_(passage.modulate.project.weight)
    assert not torch.allclose(passage(state, torch.ones(2, 3)), plain)
    assert torch.equal(passage(state, torch.zeros(2, 3)), plain)


@each_passage
def test_without_condition_channels_there_is_nothing_to_steer(
    kind: Callable[..., nn.Module], arguments: tuple, before: tuple, after: tuple
):
    passage = kind(*arguments)
    assert passage.modulate is None
    state = torch.randn(before)
    assert torch.equal(passage(state, torch.randn(2, 3)), passage(state))


@each_passage
def test_every_row_is_worked_on_alone(
    kind: Callable[..., nn.Module], arguments: tuple, before: tuple, after: tuple
):
    passage, state = kind(*arguments), torch.randn(before)
    torch.testing.assert_close(passage(state)[:1], passage(state[:1]))


def test_grid_on_flat_input_up_keeps_constants_constant():
    stack = nn.Sequential(Up(5, 4, 4), Up(4, 3, 8), Up(3, 1, 16))
    out = stack(torch.randn(8, 5, 1, 1).expand(8, 5, 4, 4))
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out), rtol=1e-5, atol=1e-5)
    assert grid_peak(shown(out)) == pytest.approx(1, abs=1e-3)


def test_grid_on_smooth_input_up_adds_no_peak_where_transposed_convolution_does():
    smooth = waves(16)
    up = nn.Sequential(Up(1, 4, 16), Up(4, 1, 32))
    assert grid_peak(shown(up(smooth))) < 3
    learned = nn.Sequential(
        nn.ConvTranspose2d(1, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1),
    )
    assert grid_peak(shown(learned(smooth))) > 30


def test_down_then_up_keeps_what_is_smooth():
    smooth = waves(32)
    down, up = Down(1, 1, 32), Up(1, 1, 16)
    for passage in (down, up):
        nn.init.ones_(passage.mix.weight)
    back = up(down(smooth))
    assert (back - smooth)[..., 2:-2, 2:-2].abs().max() < 0.1 * smooth.abs().max()
