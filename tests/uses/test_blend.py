import pytest
import torch

from hiresvae.uses.blend import joined

HOLE = torch.zeros(12, 15, dtype=torch.bool)
HOLE[3:9, 4:11] = True


def made(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_what_differs_by_a_colour_alone_joins_without_a_trace():
    whole = made(3, 12, 15)
    shifted = whole + torch.tensor([0.3, -0.2, 0.0])[:, None, None]
    torch.testing.assert_close(joined(shifted, whole, HOLE), whole, atol=1e-4, rtol=0)


def test_a_slope_is_taken_along_since_it_is_harmonic():
    whole = made(1, 12, 15)
    slope = torch.linspace(-1, 1, 15).expand(12, 15)[None]
    torch.testing.assert_close(joined(whole + slope, whole, HOLE), whole, atol=1e-4, rtol=0)


def test_what_is_known_stays_and_detail_of_the_inside_comes():
    around, inside = torch.zeros(1, 12, 15), made(1, 12, 15)
    result = joined(inside, around, HOLE)
    assert torch.equal(result[:, ~HOLE], around[:, ~HOLE])
    centre = (slice(None), slice(5, 7), slice(6, 9))

    def curvature(x):
        return x[:, 1:-1, 1:-1] * 4 - x[:, :-2, 1:-1] - x[:, 2:, 1:-1] - x[:, 1:-1, :-2] - (
            x[:, 1:-1, 2:]
        )  # fmt: skip

    assert torch.allclose(curvature(result)[centre], curvature(inside)[centre], atol=1e-3)


@pytest.mark.parametrize("share", [0, 1])
def test_no_hole_and_nothing_but_hole(share):
    around, inside = torch.zeros(3, 12, 15), made(3, 12, 15)
    result = joined(inside, around, torch.full((12, 15), bool(share)))
    assert torch.allclose(result, inside if share else around, atol=1e-6)


def test_a_hole_at_the_border_joins_the_side_that_is_known():
    hole = torch.zeros(12, 15, dtype=torch.bool)
    hole[:4] = True
    result = joined(torch.full((1, 12, 15), 0.5), torch.zeros(1, 12, 15), hole)
    assert result.abs().max() < 1e-3


def test_a_large_hole_is_solved_from_coarse_to_fine():
    side = torch.linspace(-1, 1, 150)
    whole, harmonic = made(2, 150, 150), (side[:, None] * side)[None]
    hole = torch.zeros(150, 150, dtype=torch.bool)
    hole[11:132, 9:140] = True  # odd, and much more than what is solved at once
    result = joined(whole + harmonic, whole, hole)
    assert torch.equal(result[:, ~hole], whole[:, ~hole])
    torch.testing.assert_close(result, whole, atol=2e-3, rtol=0)
