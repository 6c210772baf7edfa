import re
from pathlib import Path

import pytest
import torch

from hiresvae.commands.dry_run import count, describe
from hiresvae.configuration import load_settings
from hiresvae.errors import UserError

LESSON = Path(__file__).parents[2] / "configs" / "classic_mnist.yaml"


@pytest.fixture
def said(tiny):
    return lambda *overrides: describe(load_settings(tiny, list(overrides)))


def number(words, name):
    return float(re.search(rf"^{name} +([\d,.]+)", words, re.M)[1].replace(",", ""))


def test_it_tells_parameters_and_estimates_and_makes_no_folder(train, tmp_path, capsys):
    out = train(tmp_path / "run", dry_run=True)
    words = capsys.readouterr().out
    assert out == tmp_path / "run"
    assert not out.exists()
    assert "source: embedded:paintings" in words, "the settings as they were understood"
    assert number(words, "memory") >= 0
    assert number(words, "speed") > 0
    assert "128 images, adversary from image 32 on" in words


def test_it_tells_what_will_do_nothing(train, tmp_path, capsys):
    train(tmp_path / "run", "adversary.penalty_every=100", dry_run=True)
    assert "careful: training.images 128 of 8 a step end before gradient penalties are due" in (
        capsys.readouterr().out
    )


def test_it_is_estimated_as_it_is_trained(train, tmp_path, monkeypatch):
    """A training counts numbers too small to be normal as 0, and so must its estimate."""
    flushed = []

    def seen(settings):
        flushed.append((torch.tensor(2.0**-130) * 1.0).item() == 0)
        return describe(settings)

    monkeypatch.setattr("hiresvae.commands.dry_run.describe", seen)
    train(tmp_path / "run", dry_run=True)
    assert flushed == [True]


@pytest.mark.parametrize(
    "kind", ["{kind: pairs, inputs: embedded:faces}", "{kind: masking, share: 0.2}"]
)
def test_a_model_that_sees_corrupted_pictures_is_estimated(said, kind):
    words = said(f"corruption={kind}", "adversary=null")
    assert number(words, "speed") > 0


def test_parameters_are_those_of_the_training(said, make_trainer):
    trainer, words = make_trainer(), said()
    assert number(words, "encoder") == count(trainer.vae.encoder)
    assert number(words, "decoder") == count(trainer.vae.decoder)
    assert number(words, "critic") == count(trainer.networks.critic)


@pytest.mark.parametrize(
    ("source", "labels", "classes"),
    [
        ("fashion_mnist", "set", 10),
        ("lfw", "set", 2),
        ("lfw+fashion_mnist", "set", 12),
        ("monet", "clusters:5", 5),
    ],
)
def test_a_conditional_model_has_the_classes_of_the_set(said, source, labels, classes):
    def size(source, labels):
        given = (f"data.source={source}", f"data.labels={labels}", "data.channels=3")
        words = said("model.conditional=true", "adversary.condition=projection", *given)
        return number(words, "critic")

    assert size(source, labels) == size("monet", f"clusters:{classes}")
    assert size(source, labels) != size("monet", f"clusters:{classes + 1}")


@pytest.mark.parametrize(
    ("source", "channels", "title"),
    [
        ("mnist", 1, "parameters"),
        ("monet", 3, "parameters"),
        ("embedded:faces+mnist", 3, "parameters"),
        ("my_pictures", 3, "parameters, if a picture has colour"),
    ],
)
def test_the_channels_are_those_of_the_set(said, source, channels, title, tmp_path, monkeypatch):
    (tmp_path / "my_pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    words = said(f"data.source={source}").splitlines()
    assert title in words
    expected = said(f"data.source={source}", f"data.channels={channels}")
    assert number("\n".join(words), "encoder") == number(expected, "encoder")


def test_the_classic_lesson_has_the_parameters_of_grey_digits():
    words = describe(load_settings(LESSON))
    assert "parameters" in words.splitlines()
    colour = describe(load_settings(LESSON, ["data.channels=3"]))
    assert number(words, "encoder") < number(colour, "encoder")


def test_without_an_adversary_there_is_no_critic(said):
    words = said("adversary=null")
    assert "critic" not in words
    assert "no adversary" in words


def test_memory_grows_with_the_batch_and_shrinks_with_its_parts(said):
    small = number(said(), "memory")
    large = number(said("training.batch_size=1024"), "memory")
    parts = number(said("training.batch_size=1024", "training.accumulation=4"), "memory")
    assert large > 50 * max(1, small)
    assert parts == pytest.approx(large / 4, rel=0.2)


def test_a_conditional_model_is_told_as_well(said):
    words = said("model.conditional=true", "data.labels=clusters:5")
    assert number(words, "critic") > number(said(), "critic")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("monnet", "'monet'"),
        ("embedded:painting", "'paintings'"),
        ("mnist + embedded:face", "'faces'"),
        ("nowhere/pictures", "no folder, archive or known set"),
        ("mnist+", r"has a '\+' with nothing beside it"),
    ],
)
def test_a_source_that_is_not_there_is_refused(said, source, hint):
    with pytest.raises(UserError, match=hint):
        said(f"data.source={source}")


def test_inputs_that_are_not_there_are_refused(said):
    with pytest.raises(UserError, match=r"^corruption\.inputs 'nowhere' is no folder"):
        said("corruption={kind: pairs, inputs: nowhere}", "adversary=null")
