import pytest
import torch

from hiresvae.uses.detail import give_back, give_back_between


def noise(*shape: int, seed: int = 0, low: int = 0, high: int = 256) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, shape, generator=rng, dtype=torch.uint8)


def test_an_edit_of_nothing_is_the_picture_itself():
    originals, unedited = noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=1)
    assert torch.equal(give_back(unedited, unedited, originals), originals)


def test_nothing_given_back_is_what_the_model_made():
    originals, unedited = noise(2, 3, 16, 16), noise(2, 3, 16, 16, seed=1)
    edited = noise(2, 3, 16, 16, seed=2)
    assert torch.equal(give_back(edited, unedited, originals, 0), edited)


def test_strengths_are_apart():
    own, unedited = noise(2, 1, 3, 16, 16), noise(2, 1, 3, 16, 16, seed=1)
    edited = noise(2, 4, 3, 16, 16, seed=2)
    made = give_back(edited, unedited, own)
    assert made.shape == edited.shape
    for number, alone in enumerate(edited.unbind(1)):
        again = give_back(alone, unedited[:, 0], own[:, 0])
        assert (made[:, number].int() - again.int()).abs().max() <= 1


def test_a_share_lies_between():
    originals, unedited = noise(1, 3, 16, 16), noise(1, 3, 16, 16, seed=1)
    made = give_back(unedited, unedited, originals, 0.5)
    middle = (originals.float() + unedited.float()) / 2
    assert (made.float() - middle).abs().max() <= 0.5


def test_a_model_that_forgets_nothing_has_nothing_to_give_back():
    originals, edited = noise(2, 1, 16, 16), noise(2, 1, 16, 16, seed=1)
    assert torch.equal(give_back(edited, originals, originals), edited)


def test_light_leaves_all_detail():
    """A change as wide as the picture goes with any detail."""
    originals = noise(1, 3, 32, 32, low=60, high=160)
    unedited = torch.full_like(originals, 110)
    edited = torch.full_like(originals, 150)
    made = give_back(edited, unedited, originals).int()
    assert (made - (originals.int() + 40)).abs().max() <= 1


def test_where_a_new_thing_is_drawn_the_old_does_not_shine_through():
    """Left an edge is drawn over fine dots: these go; right there is nothing new: they stay."""
    dots = noise(1, 1, 64, 64, low=120, high=137)
    unedited = torch.full_like(dots, 128)
    edited = unedited.clone()
    edited[..., 24:40, 4:8], edited[..., 24:40, 8:12] = 255, 0
    made = give_back(edited, unedited, dots).float()
    left = (made - edited.float())[..., 28:36, 5:11].abs().mean()
    right = (made - edited.float())[..., 48:].abs().mean()
    was = (dots.float() - 128)[..., 48:].abs().mean()
    assert left < 0.05 * was and right == pytest.approx(float(was), rel=0.02)


def test_what_is_taken_away_goes_with_its_detail():
    """A model that had half the contrast of a pair of spectacles takes them off."""
    originals = torch.full((1, 3, 64, 64), 120, dtype=torch.uint8)
    unedited = originals.clone()
    for frame in (slice(20, 30), slice(34, 44)):
        for rows, columns in ((24, frame), (32, frame)):
            originals[..., rows, columns], unedited[..., rows, columns] = 220, 170
    edited = torch.full_like(originals, 120)
    made = give_back(edited, unedited, originals)
    assert made.max() <= 120 + 15


def test_a_large_picture_is_as_a_small_one():
    small, large = (
        give_back(*(
            noise(1, 3, 16, 16, seed=k).repeat_interleave(times, 2).repeat_interleave(times, 3)
            for k in range(3)
        ))
        for times in (4, 16)
    )  # fmt: skip
    again = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert (large.float() - again.float()).abs().mean() < 3


def test_a_way_begins_and_ends_with_the_pictures_themselves():
    ends, own = noise(2, 3, 16, 16, seed=1), noise(2, 3, 16, 16)
    middle = ends.float().mean(0, keepdim=True).byte()
    way = torch.cat([ends[:1], middle, ends[1:]])
    made = give_back_between(way, ends, own)
    assert torch.equal(made[0], own[0]) and torch.equal(made[2], own[1])
    assert torch.equal(give_back_between(way, ends, own, 0), way)
    # Half of either, and less where the way is far from both.
    both = (own.float() - ends.float()).mean(0)
    assert (made[1].float() - middle[0]).abs().mean() < both.abs().mean()


def test_what_both_ends_forgot_cancels_on_the_way():
    """Bright paint and dark shadow, as much each: half the way neither is left."""
    way = torch.full((3, 3, 16, 16), 250, dtype=torch.uint8)
    ends = torch.full((2, 3, 16, 16), 200, dtype=torch.uint8)
    own = torch.stack([ends[0] + 55, ends[1] - 55])
    assert (give_back_between(way, ends, own)[1].int() - 250).abs().max() <= 1


def test_one_end_stands_for_both_of_a_way_to_itself():
    way, end, own = noise(3, 3, 8, 8, seed=2), noise(1, 3, 8, 8, seed=1), noise(1, 3, 8, 8)
    both = give_back_between(way, end.repeat(2, 1, 1, 1), own.repeat(2, 1, 1, 1))
    assert torch.equal(give_back_between(way, end, own), both)


def test_no_pictures_get_nothing():
    none, ends = noise(0, 3, 8, 8), noise(2, 3, 8, 8)
    assert give_back(none, none, none).shape == none.shape
    assert give_back_between(none, ends, ends).shape == none.shape


def test_pictures_of_another_shape_are_refused(refused):
    edited, own = noise(3, 3, 1, 8, 8), noise(3, 1, 8, 8)
    for given in ((edited, own, own), (edited, own[:, None], own), (edited, *[own[:2, None]] * 2)):
        with refused("does not go with edited pictures of shape (3, 3, 1, 8, 8)"):
            give_back(*given)
    with refused("does not go with"):
        give_back_between(own, own, own)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_beyond_all_is_refused(share, refused):
    with refused("must be from 0 to 1"):
        give_back(*[noise(1, 3, 4, 4)] * 3, share)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_the_smallest_pictures(side):
    originals, edited = noise(1, 1, side, side), noise(1, 1, side, side, seed=1)
    assert give_back(edited, edited, originals).shape == edited.shape
