"""Every configuration that ships: it says what it is for and how to run it, and is accepted."""

import json
import re
from pathlib import Path

import pytest
import torch

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.discriminator import Discriminator
from hiresvae.checks import check
from hiresvae.configuration import load_settings
from hiresvae.models.vae import VAE
from hiresvae.pyramid import parse_pyramid
from hiresvae.settings import Settings

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
# The data sets of the source documents, by the configuration that shows each.
OF_THE_DOCUMENTS = {
    "mnist": "mnist", "fashion_mnist": "fashion_mnist", "fashion_map": "fashion_mnist",
    "fashion_denoise": "fashion_mnist", "cifar10": "cifar10", "textures": "textures",
    "documents_denoise": "documents:clean", "faces_vae": "lfw", "monet_vae": "monet",
}  # fmt: skip
LADDERS = {
    "mnist_ladder", "fashion_ladder", "cifar10_ladder", "textures_ladder", "monet_ladder",
    "monet_hybrid", "faces_hybrid",
}  # fmt: skip
MOST_PARAMETERS = 3_000_000
"""Of a model that two cores train within half an hour."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_passes_and_says_its_purpose_and_command(path: Path):
    settings = load_settings(path)
    check(settings)
    assert settings.name == path.stem
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert comment[0].startswith("# Purpose: ")
    assert any(f"# Command: accelerate launch scripts/train.py configs/{path.name}" in line
               for line in comment)  # fmt: skip


def test_the_published_weights_go_with_the_side_in_the_commands_that_it_prints():
    path = FOLDER / "faces_cvaegan_published.yaml"
    published = load_settings(path)
    keys = ("feature_matching", "classifier_matching", "mean_matching", "class_mean_matching")
    commands = re.findall(r"--set (data\.size=\d+)((?:[\s#]+--set \S+)+)", path.read_text())
    assert len(commands) == 2
    for size, more in commands:
        told = load_settings(path, [size, *re.findall(r"--set (\S+)", more)])
        check(told)
        for key in keys:
            expected = getattr(published.adversary, key) * (128 / told.data.size) ** 2
            assert getattr(told.adversary, key) == pytest.approx(expected), (size, key)


def test_the_published_vae_gan_weighs_as_its_header_works_out():
    """By the features that our critic has, at every side in the commands that it prints."""
    path, gamma = FOLDER / "faces_vaegan_published.yaml", 1e-5
    commands = re.findall(r"--set (data\.size=\d+)((?: --set \S+)+)", path.read_text())
    assert len(commands) == 2
    told = [load_settings(path, [size, *re.findall(r"--set (\S+)", more)])
            for size, more in commands]  # fmt: skip
    for settings in (load_settings(path), *told):
        check(settings)
        adversary, side = settings.adversary, settings.data.size
        assert adversary is not None and settings.model.distortion_weight == 0
        with torch.device("meta"):
            critic = Discriminator(adversary, size=side, channels=3)
            features = critic(torch.empty(1, 3, side, side)).features[adversary.feature_layer]
        dims = 3 * side**2
        assert adversary.feature_matching == pytest.approx(features.numel() / dims, rel=1e-3)
        assert adversary.weight == pytest.approx(2 / (gamma * dims), rel=2e-3)


def test_each_data_set_of_the_documents_has_one():
    for name, source in OF_THE_DOCUMENTS.items():
        assert load_settings(FOLDER / f"{name}.yaml").data.source == source


@pytest.mark.parametrize("name", sorted(set(OF_THE_DOCUMENTS) - {"faces_vae", "monet_vae"}))
def test_its_model_is_lean_and_makes_pictures(name: str):
    settings = load_settings(FOLDER / f"{name}.yaml")
    channels, size = 3 if name == "cifar10" else 1, settings.data.size
    model = VAE(settings.model, size=size, channels=channels, classes=10)
    assert sum(p.numel() for p in model.parameters()) < MOST_PARAMETERS
    images = torch.zeros(2, channels, size, size)
    labels = torch.zeros(2, dtype=torch.int64) if settings.model.conditional else None
    outputs = model(images, labels, noise=lambda _, *shape: torch.zeros(2, *shape))
    assert outputs.reconstruction.shape == images.shape


def test_the_map_has_two_numbers_and_denoisers_see_what_they_say():
    assert load_settings(FOLDER / "fashion_map.yaml").model.latent_dim == 2
    assert load_settings(FOLDER / "fashion_mnist.yaml").model.latent_dim == 16
    clothes = load_settings(FOLDER / "fashion_denoise.yaml").corruption
    assert clothes is not None and (clothes.kind, clothes.share) == ("salt_and_pepper", 0.5)
    pages = load_settings(FOLDER / "documents_denoise.yaml")
    assert pages.inputs == "documents:noisy" and pages.data.crop == "tiles"


def test_every_ladder_is_there_and_has_rungs_on_several_sides():
    assert {path.stem for path in CONFIGS} >= LADDERS
    for name in LADDERS:
        settings = load_settings(FOLDER / f"{name}.yaml")
        levels = parse_pyramid(settings.model.pyramid, settings.data.size)
        assert sum(level.rungs for level in levels) >= (4 if name.endswith("hybrid") else 8)
        assert sum(level.rungs > 0 for level in levels) >= 3


@pytest.mark.parametrize("name", ["monet", "faces"])
def test_a_hybrid_has_the_adversary_of_one_rung_but_for_what_that_is_shown(name):
    hybrid = load_settings(FOLDER / f"{name}_hybrid.yaml")
    partner = load_settings(FOLDER / f"{name}_cvaegan.yaml")
    assert hybrid.adversary is not None and partner.adversary is not None
    assert hybrid.adversary.fakes == ["coarse", "fitted"]
    shown = {key: getattr(partner.adversary, key) for key in ("fakes", "coarse_distortion")}
    assert hybrid.adversary.model_copy(update=shown) == partner.adversary
    assert (hybrid.data, hybrid.training) == (partner.data, partner.training)
    if name == "monet":
        ladder = load_settings(FOLDER / "monet_ladder.yaml")
        assert (ladder.data, ladder.training) == (hybrid.data, hybrid.training)
        assert ladder.adversary is None


@pytest.mark.parametrize("name", ["monet_ladder", "monet_hybrid", "faces_hybrid"])
@pytest.mark.parametrize("size", [32, 64, 512, 1024])
def test_paintings_and_faces_may_have_other_sides(name, size):
    check(load_settings(FOLDER / f"{name}.yaml", [f"data.size={size}"]))


def test_the_readme_names_settings_of_the_adversary_that_there_are():
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    section = text.partition("## The adversary\n")[2].partition("\n## ")[0]
    fields = AdversarySettings.model_fields
    annotations = " ".join(str(field.annotation) for field in fields.values())
    known = set(fields) | set(re.findall(r"'(\w+)'", annotations))
    whole = Settings(adversary=AdversarySettings())
    named = re.findall(r"`([^`]+)`", section.partition("What it tells")[0])
    assert len(named) > 40
    for word in named:
        key, _, value = word.partition(": ")
        key, value = key.removesuffix("=null").removesuffix("={}"), value or None
        if "." in key:
            top, _, inner = key.partition(".")
            assert inner in type(getattr(whole, top)).model_fields, word
        else:
            assert key in known | {"adversary"}, word
        assert value is None or value in known, word


def test_the_gallery_says_what_its_figures_are_of():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    results = FOLDER.parent / "benchmarks/results/gallery"
    assert text.count("lower four from N(0, I)") == 1, "of one grid alone"
    edits = json.loads((results / "faces_edits.json").read_text())
    people = edits["identity"]["random_people"]["pictures"]["mean"]
    smile, tones = (edits[name]["by_strength"] for name in ("smiling", "skin_tone"))
    skin = max(row["from_original"] for row in tones.values())
    assert f"| **{smile['2']['from_original']:.2f}, {skin:.2f}** |" in text
    assert f"two random people's pictures ({people:.2f}) |" in text
    told = max(row["smiles_told_otherwise"] for row in tones.values())
    assert f"at most | {100 * told:.1f}% |" in text
    area = json.loads((results / "faces_anomaly.json").read_text())["auroc"]["complexity"]["auroc"]
    assert f"| complexity alone | {area:.4f}; the other way round {1 - area:.4f} |" in text
    rates = json.loads((results / "fashion_map.json").read_text())["kl_nats_by_latent"]
    assert all(abs(rate - 4.4) < 0.1 for rate in rates) and "some 4.4 nats" in text
