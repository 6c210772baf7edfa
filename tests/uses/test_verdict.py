import math

import pytest

from hiresvae.uses.verdict import best, direction, nearest, winner, witnesses


def figure(low, high, better="down", unit="dB", features=None):
    interval = None if low is None else [low, high]
    return {"better": better, "unit": unit, "features": features, "interval": interval}


@pytest.mark.parametrize(
    ("better", "ranges", "expected"),
    [
        ("down", [(1, 2), (3, 4)], 0),
        ("up", [(1, 2), (3, 4)], 1),
        ("down", [(1, 3), (2, 4)], None),
        ("down", [(1, 2), (2, 3)], None),
        ("down", [(5, 6), (1, 2), (3, 4)], 1),
        ("down", [(5, 6), (1, 2), (2, 4)], None),
        # Twice as sharp as real pictures is as far off as half as sharp.
        ("one", [(0.4, 0.5), (0.01, 0.02)], 0),
        ("one", [(0.8, 0.9), (1.5, 2.0)], 0),
        ("one", [(0.4, 0.5), (1.9, 2.6)], None),
        ("one", [(0.9, 1.1), (1.2, 1.3)], 0),
        ("one", [(0.5, 1.1), (1.2, 1.3)], None),
        ("one", [(-0.1, 1.1), (0.9, 1.1)], None),
        ("neither", [(1, 2), (3, 4)], None),
    ],
)
def test_one_is_better_only_beyond_the_intervals(better, ranges, expected):
    assert best([figure(*one, better) for one in ranges]) == expected


def test_what_was_not_measured_in_the_same_way_is_not_compared():
    good, bad = figure(1, 2), figure(3, 4)
    inception = {"name": "inception", "sha256": "0"}
    assert best([good, bad]) == 0
    assert best([good, None]) is None
    assert best([good]) is None
    assert best([good, figure(None, None)]) is None
    assert best([{**good, "interval": [1, None]}, bad]) is None
    assert best([good, figure(3, 4, unit="ratio")]) is None
    assert best([good, figure(3, 4, features=inception)]) is None
    assert best([good, figure(3, 4, better="up")]) is None


def test_swapping_two_models_swaps_the_verdict():
    ranges = [(0.1, 0.3), (0.35, 0.4), (0.9, 1.2), (1.3, 9.0), (2.0, 2.5)]
    for better in ("up", "down", "one"):
        for a in ranges:
            for b in ranges:
                there = best([figure(*a, better), figure(*b, better)])
                back = best([figure(*b, better), figure(*a, better)])
                assert (there is None) == (back is None)
                assert there is None or there + back == 1


def model(sharpness, *, swd=None, kid=None, psnr=(1, 2)):
    """Figures of one model: an interval of its sharpness ratio, values of its distances."""
    figures = {"sharpness_ratio_samples": figure(*sharpness, "one", "ratio")}
    figures["psnr_reconstructions"] = figure(*psnr, "up")
    distances = {"swd_samples": swd, "gkid_fitted": kid}
    for name, value in distances.items():
        if value is not None:
            figures[name] = {**figure(None, None), "value": value}
    return figures


SHARP, DULL = (0.9, 1.1), (0.4, 0.5)


@pytest.mark.parametrize(
    ("sharp", "dull", "expected"),
    [
        # Tricks, too, bring the patches of a blurred picture nearer to real ones.
        ({"swd": 10}, {"swd": 20}, None),
        # Sharper by a trick: the patches are farther from real ones.
        ({"swd": 30}, {"swd": 20}, None),
        ({"swd": 10, "kid": 0.1}, {"swd": 20, "kid": 0.05}, None),
        ({"swd": 10, "kid": 0.01}, {"swd": 20, "kid": 0.05}, 0),
        ({"kid": 0.01}, {"kid": 0.05}, 0),
        # Nobody to witness it, or not of both.
        ({}, {}, None),
        ({"swd": 10}, {}, None),
        ({"swd": 10, "kid": 0.01}, {"swd": 20}, None),
        ({"swd": 10, "kid": 0.01}, {"kid": 0.05}, 0),
        ({"swd": 30, "kid": 0.01}, {"swd": 20, "kid": 0.05}, None),
    ],
)
def test_sharper_is_better_only_with_a_witness(sharp, dull, expected):
    name, pair = "sharpness_ratio_samples", [model(SHARP, **sharp), model(DULL, **dull)]
    assert best([one[name] for one in pair]) == 0
    assert winner(name, pair) == expected
    swapped = winner(name, pair[::-1])
    assert swapped == (None if expected is None else 1)


def test_what_no_trick_wins_needs_no_witness():
    pair = [model(SHARP, psnr=(1, 2)), model(DULL, psnr=(3, 4), swd=1)]
    assert winner("psnr_reconstructions", pair) == 1
    assert winner("absent", pair) is None


def test_a_witness_is_of_the_same_pictures():
    assert witnesses("diversity_within_classes_fitted") == witnesses("diversity_pixels_samples")
    assert witnesses("nearest_standard") == ["swd_standard", "gkid_standard", "gkernel_standard"]
    assert "gkid_samples" in witnesses("sharpness_ratio_samples"), "the name of a folder's figures"
    assert witnesses("sharpness_ratio_pictures")[:2] == ["swd_pictures", "gkid_pictures"]
    swd = {**figure(None, None), "value": 1.0}
    assert nearest([{**swd, "value": 2.0}, swd]) == 1
    assert nearest([swd, {**swd, "unit": "levels"}]) is None
    assert nearest([swd, {**swd, "value": None}]) is None
    assert nearest([{**swd, "better": "neither"}] * 2) is None


def test_the_direction_is_told_in_words():
    assert direction(figure(1, 2, "up")) == "higher is better"
    assert direction(figure(1, 2, "one")) == "nearest to 1 is best"
    assert "neither" in direction(figure(1, math.inf, "what"))
