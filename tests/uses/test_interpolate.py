import math

import pytest
import torch

from hiresvae.uses.codes import Codes, decode, drawn, encode
from hiresvae.uses.interpolate import between, interpolate, lerp, slerp


def test_an_arc_keeps_length_and_goes_evenly():
    a, b = torch.tensor([2.0, 0, 0]), torch.tensor([0, 2.0, 0])
    path = slerp(a, b, torch.linspace(0, 1, 4))
    assert torch.allclose(path.norm(dim=1), torch.full((4,), 2.0))
    angles = torch.atan2(path[:, 1], path[:, 0]) * 180 / math.pi
    assert torch.allclose(angles, torch.tensor([0.0, 30, 60, 90]), atol=1e-4)


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, 0.0])
def test_parallel_opposite_and_zero_vectors_are_joined_straight(factor):
    a = torch.tensor([1.0, 2.0])
    shares = torch.linspace(0, 1, 5)
    assert torch.allclose(slerp(a, factor * a, shares), lerp(a, factor * a, shares))


@pytest.mark.parametrize("way", ["linear", "spherical"])
def test_the_ends_are_the_pictures_own_and_legs_meet(painter, pictures, way):
    keys = encode(painter, pictures[:3])
    legs = interpolate(painter, keys, 4, way=way)
    assert legs.shape == (2, 4, 3, 16, 16)
    own = decode(painter, keys).int()
    for leg, (a, b) in zip(legs.int(), ((0, 1), (1, 2)), strict=True):
        assert (leg[0] - own[a]).abs().max() <= 1
        assert (leg[-1] - own[b]).abs().max() <= 1
        assert (leg[1] - own[a]).abs().max() > 0, "it moves"


@pytest.mark.parametrize("way", ["linear", "spherical"])
def test_grain_keeps_its_strength_on_the_way(make_painter, way):
    painter = make_painter(grain=True)
    keys = Codes.joined([drawn(painter, 1), drawn(painter, 2)])
    (leg,) = between(painter, keys, 5, way=way)
    for name, noise in leg.grain.items():
        assert torch.equal(noise[[0, -1]], keys.grain[name])
    largest = max(leg.grain.values(), key=torch.numel)
    assert largest.std((1, 2, 3)).min() > 0.85
    (still,) = between(painter, keys, 5, way=way, rung=0)
    for name, noise in still.grain.items():
        assert torch.allclose(noise, keys.grain[name][:1].expand_as(noise), atol=1e-6)


def test_a_straight_line_is_straight(painter, pictures):
    keys = encode(painter, pictures[:2])
    (leg,) = between(painter, keys, 3, way="linear")
    for z, ends in zip(leg.latents, keys.latents, strict=True):
        assert torch.allclose(z[1], ends.mean(0), atol=1e-6)
    if keys.labels is not None:
        assert torch.allclose(leg.labels.sum(1), torch.ones(3))


def test_one_rung_moves_alone(make_painter, pictures):
    ladder = make_painter(pyramid="1x1 4x2 8x1 16")
    keys = encode(ladder, pictures[:2])
    (leg,) = between(ladder, keys, 3, rung=1)
    for number, (z, ends) in enumerate(zip(leg.latents, keys.latents, strict=True)):
        last = ends[1] if number == 1 else ends[0]
        assert torch.equal(z[0], ends[0])
        assert torch.equal(z[-1], last)
