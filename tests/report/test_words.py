import json
from pathlib import Path

import pytest

from hiresvae.report.words import GROUPS, MEANINGS, group, listed, meaning, number

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
# Speeds, and distances by numbers of pictures, are no evaluations.
EVALUATIONS = [
    file
    for file in sorted(RESULTS.glob("*.json"))
    if {"figures", "variants"} & json.loads(file.read_text(encoding="utf-8")).keys()
]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("gfid_fitted", 0),
        ("sharpness_ratio_samples", 0),
        ("swd_samples_16px", 0),
        ("gkid_standard", 1),
        ("diversity_within_classes_standard", 1),
        ("lpips_reconstructions", 2),
        ("rkid", 2),
        ("elbo", 3),
        ("kl_rung_0", 3),
        ("prior_gap", 3),
        ("floor_fid", 4),
        ("floor_prior_gap", 4),
    ],
)
def test_every_figure_has_its_group(name, where):
    assert group(name) == GROUPS[where]


def test_the_longest_beginning_gives_the_meaning():
    assert meaning("nearest_ratio_fitted") == MEANINGS["nearest_ratio"]
    assert meaning("nearest_fitted") == MEANINGS["nearest"]
    assert meaning("ms_ssim_reconstructions") == MEANINGS["ms_ssim"]
    assert meaning("rfid") == MEANINGS["rfid"]
    assert meaning("rfidx") == ""


def test_the_floor_of_the_latents_is_no_floor_of_pictures():
    assert "draws from N(0, I)" in meaning("floor_prior_gap")
    assert "halves" in meaning("floor_fid")


def test_what_an_evaluation_measures_has_a_meaning(compared):
    for name in compared.figures():
        assert meaning(name), name
    assert any(name.startswith("copies_") for name in compared.figures())


@pytest.mark.parametrize("file", EVALUATIONS, ids=lambda file: file.stem)
def test_what_the_readme_tells_has_a_meaning(file):
    told = json.loads(file.read_text(encoding="utf-8"))
    # One evaluation, or the variants of one table.
    for part in told.get("variants", {"": told}).values():
        assert part["figures"]
        for name in part["figures"]:
            assert meaning(name), name


def test_numbers_and_lists_in_words():
    assert number(1234.567) == "1235" and number(None) == "-"
    assert listed(["a"]) == "a" and listed(["a", "b"]) == "a and b"
