"""Every configuration that is shipped is possible, and says what it is for and how to run it."""

from pathlib import Path

import pytest

from hiresvae.checks import check
from hiresvae.configuration import load_settings
from hiresvae.pyramid import parse_pyramid

FOLDER = Path(__file__).parents[1] / "configs"
FILES = sorted(FOLDER.glob("*.yaml"))
LADDERS = {
    "mnist_ladder", "fashion_ladder", "cifar10_ladder", "textures_ladder", "monet_ladder",
    "monet_hybrid", "faces_hybrid",
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_possible_and_says_what_it_is(path):
    settings = load_settings(path)
    check(settings)
    assert settings.name == path.stem
    head = path.read_text()
    assert head.startswith("# Purpose: ")
    assert f"# Command: accelerate launch scripts/train.py configs/{path.name}" in head


def test_every_ladder_is_there_and_has_rungs_on_several_sides():
    assert {path.stem for path in FILES} >= LADDERS
    for name in LADDERS:
        settings = load_settings(FOLDER / f"{name}.yaml")
        levels = parse_pyramid(settings.model.pyramid, settings.data.size)
        assert sum(level.rungs for level in levels) >= 8
        assert sum(level.rungs > 0 for level in levels) >= 3


@pytest.mark.parametrize("name", ["monet", "faces"])
def test_a_hybrid_is_the_ladder_with_the_adversary_as_it_is(name):
    hybrid = load_settings(FOLDER / f"{name}_hybrid.yaml")
    partner = load_settings(FOLDER / f"{name}_cvaegan.yaml")
    assert hybrid.adversary == partner.adversary is not None
    assert (hybrid.data, hybrid.training) == (partner.data, partner.training)
    if name == "monet":
        ladder = load_settings(FOLDER / "monet_ladder.yaml")
        assert ladder.model.pyramid == hybrid.model.pyramid
        assert (ladder.data, ladder.training) == (hybrid.data, hybrid.training)
        assert ladder.adversary is None


@pytest.mark.parametrize("name", ["monet_ladder", "monet_hybrid", "faces_hybrid"])
@pytest.mark.parametrize("size", [32, 64, 512, 1024])
def test_paintings_and_faces_may_have_other_sides(name, size):
    check(load_settings(FOLDER / f"{name}.yaml", [f"data.size={size}"]))
