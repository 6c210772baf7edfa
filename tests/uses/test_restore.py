from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from hiresvae.autoencoding import CorruptionSettings
from hiresvae.data.tiles import starts
from hiresvae.images import to_float, to_uint8
from hiresvae.training.corruption import BLANK
from hiresvae.uses.restore import restore, tiled, window


@pytest.mark.parametrize(("height", "width"), [(16, 16), (40, 23), (7, 50), (5, 3), (97, 16)])
def test_tiles_cover_all_and_leave_no_seam(height, width):
    picture = torch.rand(3, height, width)
    assert torch.allclose(tiled(picture, 16, lambda tiles, _: tiles), picture, atol=1e-6)


def test_tiles_that_disagree_pass_into_one_another():
    seen = []

    def each_another_grey(tiles, numbers):
        seen.extend(numbers.tolist())
        return numbers[:, None, None, None] % 2 + 0 * tiles

    made = tiled(torch.zeros(1, 16, 64), 16, each_another_grey, batch=3)
    assert seen == list(range(7))
    step = made.diff(dim=2).abs().max()
    assert step < 0.2, "no step as hard as where one tile ends and the next begins"
    assert made.max() - made.min() > 0.5


def test_tiles_are_worked_off_as_memory_holds():
    picture, tried = torch.rand(3, 16, 64), []

    def narrow(tiles, numbers):
        tried.append(numbers.tolist())
        if len(tiles) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return tiles

    assert torch.allclose(tiled(picture, 16, narrow, batch=5), picture, atol=1e-6)
    assert tried == [[0, 1, 2, 3, 4], [0, 1], [2, 3], [4, 5], [6]]


def test_tiles_begin_where_they_must():
    assert starts(16, 16) == starts(3, 16) == [0]
    for length in range(17, 60):
        places = starts(length, 16)
        assert places[0] == 0
        assert places[-1] == length - 16
        assert max(b - a for a, b in pairwise(places)) <= 8
    assert window(15).max() == 1
    assert window(16).min() > 0


def test_what_is_known_stays_to_the_last_bit(painter, pictures):
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:9, 5:11] = True
    found = restore(painter, pictures[0], mask, answers=2, rounds=3)
    made = to_uint8(found.picture[None])[0]
    assert torch.equal(made[:, ~mask], pictures[0][:, ~mask])
    assert not torch.equal(made[:, mask], pictures[0][:, mask])
    assert (found.spread[~mask] == 0).all()
    assert (found.spread[mask] > 0).any(), "the answers differ where they are invented"


def test_the_hole_does_not_see_what_was_in_it(make_painter, pictures):
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[:8] = True
    other = torch.where(mask, 255 - pictures[0], pictures[0])
    one, two = (
        restore(make_painter(), p, mask, answers=1, rounds=2, steps=2).picture
        for p in (pictures[0], other)
    )
    assert torch.equal(one, two)


def test_searching_explains_the_known_pixels_better(painter, pictures):
    target = painter.sample(1, seed=5)[0]
    errors = [
        (restore(painter, target, answers=1, steps=steps).picture - to_float(target[None])[0])
        .square()
        .mean()
        for steps in (0, 40)
    ]
    assert errors[1] < errors[0]


def damaged_flat(side=40):
    """A grey picture with a patch of salt and pepper, and where that is."""
    where = torch.zeros(side, side, dtype=torch.bool)
    where[12:26, 14:30] = True
    noise = torch.randint(0, 2, (side, side), generator=torch.Generator().manual_seed(0)) * 255
    grey = torch.full((side, side), 150)
    return torch.where(where, noise, grey).to(torch.uint8).expand(3, -1, -1), where


def test_a_model_without_noise_disagrees_with_itself(make_painter):
    painter = make_painter(stochastic=False)
    picture, where = damaged_flat()
    found = restore(painter, picture, answers=4)
    assert len(found.answers) == 4
    assert found.spread[where].mean() > 1e-3, "where the picture is damaged"
    alone = restore(painter, picture, answers=1)
    assert torch.equal(found.picture, alone.picture), "its own answer is taken, and not their mean"
    assert (alone.spread == 0).all()


@pytest.mark.parametrize("kind", [None, "masking"])
def test_a_hole_filled_without_noise_has_a_spread_inside_alone(make_painter, pictures, kind):
    painter = make_painter(stochastic=False)
    if kind is not None:  # what is shown to it is blank, the same for all answers
        chosen = {"corruption": CorruptionSettings(kind=kind)}
        painter = replace(painter, settings=painter.settings.model_copy(update=chosen))
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:9, 5:11] = True
    found = restore(painter, pictures[0], mask, answers=3, rounds=2)
    assert (found.spread[mask] > 0).all() and (found.spread[~mask] == 0).all()
    known = to_float(pictures[:1])[0]
    for answer in (found.picture, *found.answers):
        assert torch.equal(answer[:, ~mask], known[:, ~mask])


def test_the_mean_of_a_model_with_noise_is_taken(make_painter, pictures):
    found = restore(make_painter(), pictures[0], answers=3)
    assert torch.allclose(found.picture, found.answers.mean(0).clamp(-1, 1))


@pytest.fixture
def denoiser(make_painter):
    """Makes a painter that was trained on corrupted pictures: (any key of the section)."""

    def make(**chosen):
        painter = make_painter()
        corruption = CorruptionSettings(**chosen)
        return replace(
            painter, settings=painter.settings.model_copy(update={"corruption": corruption})
        )

    return make


def test_a_denoiser_is_given_the_picture_as_it_is(make_painter, denoiser, pictures):
    plain, taught = (
        restore(painter, pictures[0], answers=2).picture
        for painter in (make_painter(), denoiser(kind="salt_and_pepper", share=1.0))
    )
    assert torch.equal(plain, taught), "it is noisy already"


def test_a_search_for_the_noise_is_refused_of_a_denoiser(denoiser, pictures, refused):
    with refused("steps is 5", "trained to denoise (gaussian)", "nearest valid: 0"):
        restore(denoiser(kind="gaussian"), pictures[0], steps=5)
    mask = torch.ones(16, 16, dtype=torch.bool)
    mask[:8] = False
    assert restore(denoiser(kind="gaussian"), pictures[0], mask, steps=2, rounds=1, answers=1)


def test_a_model_that_learnt_to_fill_blanks_is_shown_one(denoiser, pictures):
    painter, seen = denoiser(kind="masking", blocks=4), []
    hook = painter.model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:9, 5:11] = True
    restore(painter, pictures[0], mask, answers=1, rounds=7)
    hook.remove()
    (shown,) = seen
    assert (shown[0][:, mask] == BLANK).all(), "once, with nothing guessed"
    known = to_float(pictures[:1])[0]
    assert torch.equal(shown[0][:, ~mask], known[:, ~mask])


def test_large_and_small_pictures_keep_their_size(make_painter):
    for height, width in ((37, 20), (9, 30)):
        picture = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        found = restore(make_painter(), picture, answers=2)
        assert found.picture.shape == (3, height, width)
        assert found.spread.shape == (height, width)


def test_a_mask_of_another_size_is_a_sentence(make_painter, pictures, refused):
    with refused("mask has 8 x 16 pixels", "picture 16 x 16"):
        restore(make_painter(), pictures[0], torch.ones(16, 8, dtype=torch.bool))
    with refused("takes 3 channels"):
        restore(make_painter(), pictures[0, :1])
