import pytest
import torch
from torch import Tensor

from hiresvae.adversary.geometry import mirrored, turned, warped


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 8, 8) * 2 - 1


def test_rows_are_mirrored_by_their_own_number(images: Tensor):
    changed = mirrored(images, torch.tensor([0.1, 0.9, 0.49, 0.5]))
    assert torch.equal(changed[[0, 2]], images[[0, 2]].flip(-1))
    assert torch.equal(changed[[1, 3]], images[[1, 3]])


def test_rows_are_turned_by_quarters(images: Tensor):
    changed = turned(images, torch.tensor([0.1, 0.3, 0.6, 0.9]))
    for row in range(4):
        assert torch.equal(changed[row], images[row].rot90(row, (1, 2)))


def test_in_the_middle_the_warp_is_the_identity(images: Tensor):
    still = warped(images, torch.full((4,), 0.5), torch.zeros(4))
    torch.testing.assert_close(still, images)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_by_the_warp_is_a_quarter_turn(images: Tensor, quarters: int):
    changed = warped(images, torch.full((4,), 0.5), torch.full((4,), quarters / 4))
    turns = [images.rot90(k, (2, 3)) for k in (quarters, -quarters)]
    assert min((changed - turn).abs().max() for turn in turns) < 1e-4


def test_zoom_enlarges_and_shrinks_about_the_middle():
    dot = torch.zeros(2, 1, 17, 17)
    dot[:, :, 6:11, 6:11] = 1.0
    sizes = warped(dot, torch.tensor([0.0, 1.0]), torch.zeros(2)).sum((1, 2, 3))
    torch.testing.assert_close(sizes, torch.tensor([25 / 2**0.7, 25 * 2**0.7]), rtol=0.05, atol=0.0)


def test_a_constant_picture_has_no_border_after_the_warp():
    flat = torch.full((4, 1, 8, 8), 0.3)
    torch.testing.assert_close(warped(flat, torch.rand(4), torch.rand(4)), flat)


def test_the_warp_can_be_differentiated_twice():
    image = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    zoom, angle = torch.tensor([0.3]).double(), torch.tensor([0.1]).double()

    def squared(x: Tensor) -> Tensor:
        return warped(x, zoom, angle).square().sum()

    assert torch.autograd.gradcheck(squared, image, fast_mode=True)
    assert torch.autograd.gradgradcheck(squared, image, fast_mode=True)
