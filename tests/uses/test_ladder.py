import dataclasses

import pytest
import torch

from hiresvae.priors import Density
from hiresvae.uses.codes import Codes, decode, drawn, encode
from hiresvae.uses.ladder import coarse_to_fine, mixed, resampled


def near(a, b):
    """Equal but for rounding by one level of 255."""
    return bool((a.int() - b.int()).abs().max() <= 1)


@pytest.fixture(scope="module")
def ladder(make_painter):
    return make_painter(pyramid="1x1 4x2 8x1 16")


@pytest.fixture
def codes(ladder, pictures):
    return encode(ladder, pictures[:3])


def test_each_column_adds_a_rung(ladder, codes):
    columns = coarse_to_fine(ladder, codes)
    assert columns.shape == (3, 5, 3, 16, 16)
    assert near(columns[:, -1], decode(ladder, codes)), "all rungs are the reconstruction"
    assert near(columns[:, 0], columns[:1, 0].expand(3, -1, -1, -1)), "none is the average"
    other = coarse_to_fine(ladder, Codes([*codes.latents[:2], *(z + 3 for z in codes.latents[2:])]))
    assert near(other[:, :3], columns[:, :3])
    assert not near(other[:, 3], columns[:, 3])


def test_cold_draws_are_the_priors_means_and_warm_ones_differ(ladder, codes):
    columns = coarse_to_fine(ladder, codes)
    cold = resampled(ladder, codes, 2, draws=2, temperature=0.0)
    assert cold.shape == (3, 2, 3, 16, 16)
    assert near(cold, columns[:, 2:3].expand_as(cold))
    warm = resampled(ladder, codes, 2, draws=2, seed=1)
    assert not near(warm[:, 0], warm[:, 1])
    partly = resampled(ladder, codes, 2, draws=2, seed=1, temperature=(1.0, 1.0, 1.0, 0.0))
    assert not near(partly, warm) and not near(partly, cold)


def test_rungs_that_the_prior_describes_together_are_drawn_to_suit_one_another(
    make_painter, pictures
):
    joint = make_painter(pyramid="1x1 4x2 8x1 16", top_rungs=3)
    codes = encode(joint, pictures[:3])
    numbers = joint.model.top_dim
    root = torch.eye(numbers)
    root[6:, :6] = 0.2
    known = dataclasses.replace(joint, prior=Density(
        "gaussian", torch.zeros(1), torch.zeros(1, numbers), root[None]
    ))  # fmt: skip
    cold = resampled(known, codes, 1, draws=1, temperature=0.0)[:, 0]
    rest = codes.latents[0].flatten(1).sum(1, keepdim=True) * 0.2
    expected = [rest.expand(-1, z[0].numel()).view_as(z) for z in codes.latents[1:3]]
    zeros = torch.zeros_like(codes.latents[3])
    assert near(cold, decode(known, Codes([codes.latents[0], *expected, zeros])))
    warm = resampled(known, codes, 1, draws=2, seed=1)
    assert not near(warm[:, 0], warm[:, 1])


def test_each_rung_that_the_prior_describes_has_its_own_temperature(make_painter, pictures):
    joint = make_painter(pyramid="1x1 4x2 8x1 16", top_rungs=3)
    numbers = range(4)
    for cold in range(3):
        chosen = [0.0 if rung == cold else 1.0 for rung in range(4)]
        top = joint.latents(list(numbers), temperature=chosen)
        assert [len({tuple(z.flatten().tolist()) for z in rung}) for rung in top] == [
            1 if rung == cold else 4 for rung in range(3)
        ]
    codes = encode(joint, pictures[:3])
    still = resampled(joint, codes, 1, draws=2, temperature=(1.0, 0.0, 0.0, 0.0))
    assert near(still[:, 0], still[:, 1])
    for moving in ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)):
        drawn = resampled(joint, codes, 1, draws=2, temperature=moving)
        assert not near(drawn[:, 0], drawn[:, 1])


def test_a_draw_depends_on_seed_picture_and_number_only(ladder, codes):
    whole = resampled(ladder, codes, 1, draws=3, seed=5)
    assert near(resampled(ladder, codes[:2], 1, draws=2, seed=5), whole[:2, :2])
    assert not near(resampled(ladder, codes, 1, draws=3, seed=6), whole)


def test_rows_give_what_is_coarse_and_columns_what_is_fine(ladder, codes):
    pairs = mixed(ladder, codes, 2)
    assert pairs.shape == (3, 3, 3, 16, 16)
    own = decode(ladder, codes)
    assert all(near(pairs[i, i], own[i]) for i in range(3))
    one, two = codes[:1], codes[1:2]
    expected = decode(ladder, Codes([*one.latents[:2], *two.latents[2:]]))
    assert near(pairs[0, 1], expected[0])
    assert not near(pairs[0, 1], own[0]) and not near(pairs[0, 1], own[1])


def test_the_label_is_coarse(make_painter, pictures):
    ladder = make_painter(classes=2, pyramid="1x1 4x2 8x1 16")
    codes = encode(ladder, pictures[:2], torch.tensor([0, 1]))
    pairs = mixed(ladder, codes, 1)
    expected = decode(
        ladder, Codes([codes.latents[0][:1], *(z[1:] for z in codes.latents[1:])], codes.labels[:1])
    )
    assert near(pairs[0, 1], expected[0])
    assert coarse_to_fine(ladder, codes).shape == (2, 5, 3, 16, 16)


def test_grain_is_fine_stays_with_its_picture_and_is_drawn_with_the_rest(make_painter):
    ladder = make_painter(pyramid="1x1 4x2 8x1 16", grain=True)
    codes = Codes.joined([drawn(ladder, 1), drawn(ladder, 2)])
    own = decode(ladder, codes)
    assert near(own[0], ladder.sample(1, seed=1)[0])
    pairs = mixed(ladder, codes, 2)
    assert near(pairs[0, 0], own[0]) and near(pairs[1, 1], own[1])
    still = [*codes.latents[:2], *(torch.zeros_like(z) for z in codes.latents[2:])]
    expected = decode(ladder, Codes(still, grain=codes.grain))
    assert near(coarse_to_fine(ladder, codes)[:, 2], expected)
    assert not near(decode(ladder, Codes(still)), expected), "the grain is seen"
    anew = resampled(ladder, codes, 2, draws=2, temperature=0.0)
    assert not near(anew[:, 0], expected) and not near(anew[:, 0], anew[:, 1]), "and drawn anew"


def test_fine_rungs_that_samples_leave_alone_are_left_alone_in_draws(make_painter, pictures):
    words = {"pyramid": "1x1 4x2 8x1 16", "top_rungs": 2}
    kept = make_painter(**words, fine_temperature=0.0)
    codes = encode(kept, pictures[:2])
    alike = resampled(kept, codes, 2, draws=2)
    assert near(alike[:, 0], coarse_to_fine(kept, codes)[:, 2]) and near(alike[:, 0], alike[:, 1])
    assert not near(resampled(make_painter(**words), codes, 2, draws=2), alike)


@pytest.mark.parametrize(("keep", "near_by"), [(0, "1"), (4, "3"), (9, "3")])
def test_to_keep_nothing_or_everything_is_refused(ladder, codes, refused, keep, near_by):
    for call in (resampled, mixed):
        with refused(f"keep {keep} of 4 rungs", f"nearest valid: {near_by}"):
            call(ladder, codes, keep)
    with refused("5 numbers", "nearest valid: 4"):
        resampled(ladder, codes, 2, temperature=(1.0,) * 5)


def test_one_rung_is_no_ladder(make_painter, pictures, refused):
    plain = make_painter()
    with refused("1 rung", "model.pyramid"):
        mixed(plain, encode(plain, pictures[:2]), 1)
