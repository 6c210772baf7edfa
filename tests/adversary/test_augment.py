import pytest
import torch
from torch import Tensor

from hiresvae.adversary.augment import KINDS, MOST, NUMBERS, Change
from hiresvae.seeding import Noise, Shard

ALL = ("color", "translation", "cutout")


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def numbers(seed: int = 0) -> Tensor:
    return torch.rand(4, NUMBERS, generator=torch.Generator().manual_seed(seed))


def fixed(**chosen: float) -> Tensor:
    """Numbers that change nothing but what is chosen."""
    names = ("brightness", "saturation", "contrast", "down", "right", "y", "x")
    assert set(chosen) <= set(names)
    return torch.tensor([[chosen.get(name, 0.5) for name in names]]).expand(4, -1)


def test_without_kinds_it_is_the_identity(images: Tensor):
    assert Change(numbers(), ())(images) is images


def test_the_same_change_on_the_same_pictures_is_the_same(images: Tensor):
    change = Change(numbers(), ALL)
    assert torch.equal(change(images), change(images.clone()))
    assert not torch.allclose(change(images), Change(numbers(1), ALL)(images))


def test_leaked_augmentation_rows_are_changed_alike_wherever_they_stand(images: Tensor):
    change, chosen = Change(numbers(), ALL), torch.tensor([3, 1])
    torch.testing.assert_close(change.rows(chosen)(images[chosen]), change(images)[chosen])
    torch.testing.assert_close(change.rows(slice(1, 2))(images[1:2]), change(images)[1:2])


def test_color_in_the_middle_is_the_identity(images: Tensor):
    torch.testing.assert_close(Change(fixed(), ("color",))(images), images)


@pytest.mark.parametrize("number", [0.0, 0.25, 0.9])
def test_brightness_shifts_every_value(images: Tensor, number: float):
    changed = Change(fixed(brightness=number), ("color",))(images)
    torch.testing.assert_close(changed - images, torch.full_like(images, number - 0.5))


def test_saturation_spreads_channels_about_their_grey(images: Tensor):
    grey = images.mean(1, keepdim=True)
    gone = Change(fixed(saturation=0.0), ("color",))(images)
    torch.testing.assert_close(gone, grey.expand_as(images))
    half = Change(fixed(saturation=0.75), ("color",))(images)
    torch.testing.assert_close(half - grey, 1.5 * (images - grey))


def test_contrast_spreads_values_about_the_mean_of_each_picture(images: Tensor):
    middle = images.mean((1, 2, 3), keepdim=True)
    flat = Change(fixed(contrast=0.0), ("color",))(images)
    torch.testing.assert_close(flat - middle, 0.5 * (images - middle))


@pytest.mark.parametrize(
    ("number", "pixels"), [(0.0, -2), (0.3, -1), (0.5, 0), (0.7, 1), (0.99, 2)]
)
def test_translation_is_a_pure_shift_filled_with_zero(images: Tensor, number: float, pixels: int):
    for name, axis in (("down", 2), ("right", 3)):
        changed = Change(fixed(**{name: number}), ("translation",))(images)
        expected = images.roll(pixels, axis)
        new = slice(0, pixels) if pixels >= 0 else slice(16 + pixels, 16)
        expected[(slice(None),) * axis + (new,)] = 0
        assert torch.equal(changed, expected)


def test_every_row_is_shifted_by_its_own_numbers(images: Tensor):
    own = torch.full((4, NUMBERS), 0.5)
    own[:, 4] = torch.tensor([0.0, 0.3, 0.7, 0.99])
    changed = Change(own, ("translation",))(images)
    for row, pixels in enumerate((-2, -1, 1, 2)):
        inside = slice(max(0, pixels), 16 + min(0, pixels))
        rolled = images[row].roll(pixels, 2)
        assert torch.equal(changed[row, ..., inside], rolled[..., inside])


def test_cutout_zeroes_one_square_of_half_the_side(images: Tensor):
    changed = Change(fixed(), ("cutout",))(images)
    assert (changed[..., 4:12, 4:12] == 0).all()
    kept = changed.clone()
    kept[..., 4:12, 4:12] = images[..., 4:12, 4:12]
    assert torch.equal(kept, images)


def test_cutout_may_reach_over_the_border(images: Tensor):
    changed = Change(fixed(y=0.0, x=0.999), ("cutout",))(images)
    assert (changed[..., :4, 12:] == 0).all()
    assert int((changed[0, 0] == 0).sum()) == 16


@pytest.mark.parametrize("kind", ALL)
def test_kinds_not_asked_for_are_not_applied(images: Tensor, kind: str):
    mixed = numbers()
    only = Change(mixed, (kind,))(images)
    used = {"color": slice(0, 3), "translation": slice(3, 5), "cutout": slice(5, 7)}[kind]
    other = numbers(1)
    other[:, used] = mixed[:, used]
    assert torch.equal(Change(other, (kind,))(images), only)
    assert not torch.equal(only, images)


def test_it_can_be_differentiated_twice():
    numbers_, kinds = numbers()[:1].double(), ALL
    small = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def squared(images: Tensor) -> Tensor:
        return Change(numbers_, kinds)(images).square().sum()

    assert torch.autograd.gradcheck(squared, small, fast_mode=True)
    assert torch.autograd.gradgradcheck(squared, small, fast_mode=True)


def test_the_gradient_passes_through_to_what_is_still_seen(images: Tensor):
    images.requires_grad_(True)
    Change(fixed(), ("cutout",))(images).sum().backward()
    seen = torch.ones(4, 3, 16, 16)
    seen[..., 4:12, 4:12] = 0
    assert torch.equal(images.grad, seen)


def noise(step: int = 0, rows: int = 4000) -> Noise:
    return Noise(0, step, Shard(rows, 0, rows))


def test_always_draws_what_it_always_drew():
    change = Change.drawn(noise(rows=4), ALL)
    assert torch.equal(change.numbers, noise(rows=4).uniform("augment", NUMBERS))
    assert change.applied is None and change.geometry is None


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_every_kind_is_drawn_by_itself_in_every_row(probability: float):
    applied = Change.drawn(noise(), KINDS, probability).applied
    share = applied.float().mean(0)
    expected = torch.tensor([min(probability, MOST)] * 3 + [probability] * 3)
    torch.testing.assert_close(share, expected, rtol=0, atol=0.03)
    if probability == 0.3:
        both = (applied[:, 3] & applied[:, 4]).float().mean()
        assert both == pytest.approx(0.09, abs=0.02)


def test_leaked_augmentation_geometry_never_reaches_all_rows():
    applied = Change.drawn(noise(), KINDS, 1.0).applied
    assert applied[:, 3:].all(), "the other kinds are always applied, as they were"
    torch.testing.assert_close(
        applied[:, :3].float().mean(0), torch.full((3,), MOST), rtol=0, atol=0.03
    )


def test_rows_that_are_not_drawn_stay_as_they_are(images: Tensor):
    change = Change.drawn(noise(rows=4), KINDS, 0.3)
    never = Change.drawn(noise(rows=4), KINDS, 0.0)
    assert torch.equal(never(images), images)
    for row in range(4):
        some = bool(change.applied[row].any())
        assert some or torch.equal(change(images)[row], images[row])
    torch.testing.assert_close(change.rows(slice(1, 3))(images[1:3]), change(images)[1:3])


def test_a_probability_on_the_device_is_the_number_itself():
    one, other = (Change.drawn(noise(), KINDS, p).applied for p in (0.3, torch.tensor(0.3)))
    assert torch.equal(one, other)


def test_two_halves_of_a_batch_are_changed_as_the_whole():
    whole = Change.drawn(noise(rows=8), KINDS, 0.5)
    half = Change.drawn(Noise(0, 0, Shard(8, 4, 8)), KINDS, 0.5)
    assert torch.equal(half.applied, whole.applied[4:])
    assert torch.equal(half.geometry, whole.geometry[4:])


def test_all_kinds_at_once_can_be_differentiated_twice():
    change = Change.drawn(noise(rows=2), KINDS, 0.7)
    change = Change(
        change.numbers.double(), KINDS, change.geometry.double(), torch.ones_like(change.applied)
    )
    small = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def squared(images: Tensor) -> Tensor:
        return change(images).square().sum()

    assert torch.autograd.gradcheck(squared, small, fast_mode=True)
    assert torch.autograd.gradgradcheck(squared, small, fast_mode=True)
