import itertools
import re

import pytest

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.balance import Balance
from hiresvae.checks import check
from hiresvae.checks_adversary import cautions
from hiresvae.errors import UserError
from hiresvae.training.objective import adversary_share
from tests.dotted import settings

ON = {"adversary__weight": 0.5}
CLASSES = {"model__conditional": True, "data__labels": "set"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"adversary__condition": "classifier"},
            "condition is 'classifier', but model.conditional is false.*nearest valid: 'none'",
        ),
        (
            CLASSES | {"adversary__class_mean_matching": 0.1},
            "class_mean_matching is 0.1, but adversary.condition is 'projection'",
        ),
        (
            CLASSES | {"adversary__classifier_matching": 0.1, "adversary__condition": "none"},
            "classifier_matching is 0.1, .* nearest valid: 0.0, or adversary.condition 'class",
        ),
        (
            {"adversary__fakes": ["coarse", "fitted"]},
            r"'coarse', but all rungs of this model \(1\) are top .* nearest valid: 'recon",
        ),
        (
            {
                "model__pyramid": "1x1 4x1 ...",
                "adversary__fakes": ["coarse"],
                "adversary__reaches": "decoder",
            },
            "'coarse', but adversary.reaches is 'decoder'; nearest valid: adversary.reaches 'enco",
        ),
        (
            {"adversary__coarse_distortion": 0.5, "adversary__fakes": ["fitted"]},
            "coarse_distortion is 0.5, .* no 'coarse'; nearest valid: a weight of 0, as all rungs",
        ),
        (
            {
                "model__pyramid": "1x1 4x1 ...",
                "adversary__coarse_distortion": 0.5,
                "adversary__fakes": ["fitted"],
            },
            r"coarse_distortion is 0.5, .* no 'coarse'; nearest valid: \['coarse', 'fitted'\], or",
        ),
        (
            {
                "model__pyramid": "1x1 4x1 ...",
                "adversary__coarse_distortion": 0.5,
                "adversary__fakes": ["coarse"],
            },
            "model.scale is 'optimal', which follows .* nearest valid: a number, such as 0.08",
        ),
        (
            {"model__pyramid": "1x1 4x1 ...", "model__top_rungs": 2, "model__fine_temperature": 0},
            "fine_temperature is 0, but no rung of this model lies below .* nearest valid: 1",
        ),
        (
            {"adversary__mean_matching": 0.1, "adversary__fakes": ["reconstructions"]},
            "mean_matching is 0.1, but adversary.fakes has no samples",
        ),
        (
            {"adversary__loss": "mean_features", "adversary__feature_matching": 0.0},
            "loss is 'mean_features', but all that the model would feel is 0.0: feature_matching, ",
        ),
        (
            {"adversary__loss": "mean_features", "adversary__balance": "gradient_ratio"},
            "balance is 'gradient_ratio', but with .* 'mean_features' .* nearest valid: 'fixed'",
        ),
        (
            {"adversary__feature_layer": 10, "data__size": 32},
            "feature_layer is 10, but the sides .* are 32, 16, 8, 4; nearest valid: 8",
        ),
        (
            {"adversary__feature_layer": 4, "adversary__critic": "patch", "data__size": 32},
            "feature_layer is 4, but the sides .* are 32, 16, 8; nearest valid: 8",
        ),
        (
            {"model__distortion_weight": 0.0, "adversary__balance": "gradient_ratio"},
            "'gradient_ratio', but model.distortion_weight is 0.0, .* nearest valid: 'fixed'",
        ),
    ],
)
def test_an_adversary_that_could_not_do_what_is_asked_is_refused(values, sentence):
    with pytest.raises(UserError, match=sentence):
        check(settings(**values))
    ok = CLASSES | {"adversary__condition": "both", "adversary__class_mean_matching": 0.1}
    check(settings(**ok, adversary__loss="mean_features"))


BLIND = {"model__distortion_weight": 0.0}
AT_ONCE = BLIND | {"adversary__start": 0.0}


@pytest.mark.parametrize(
    ("values", "seeing"),
    [
        (BLIND, {"terms__laplacian": 1.0}),
        (BLIND, {"terms__features": "network.pt"}),
        (BLIND, {"adversary__start": 0.0}),
        (AT_ONCE | {"adversary__warmup": 0.1}, {"adversary__warmup": 0.0}),
        (AT_ONCE | {"adversary__fakes": ["fitted"]}, {"adversary__fakes": ["reconstructions"]}),
        (AT_ONCE | {"adversary__feature_matching": 0.0}, {"adversary__feature_matching": 1.0}),
    ],
)
def test_a_model_that_nothing_tells_what_pictures_are_like_is_refused(values, seeing):
    with pytest.raises(UserError, match=r"weight is 0.0, but nothing else .* nearest valid: 1.0, "):
        check(settings(**values))
    check(settings(**values | seeing))


SHORT = {"training__images": 64, "training__batch_size": 8, "adversary__ramp": 0.0}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"training__images": 64, "training__batch_size": 32, "adversary__start": 0.6},
            "training.images 64 of 32 a step end before the model feels the adversary",
        ),
        (
            SHORT | {"adversary__start": 0.97, "adversary__warmup": 0.0},
            "before the model feels the adversary",
        ),
        (
            {"training__images": 64, "training__batch_size": 8, "adversary__start": 0.8},
            "before the model feels",
        ),
        (
            SHORT | {"adversary__start": 0.2, "adversary__penalty_every": 100},
            "before gradient penalties are due, adversary.penalty_every 100; nearest: 1",
        ),
        (
            SHORT
            | {"adversary__balance": "gradient_ratio", "adversary__weight": 0.25}
            | {"adversary__balance_every": 100, "adversary__penalty_every": 1},
            "before the adversary is weighed, adversary.balance_every 100",
        ),
        (
            {"adversary__balance": "gradient_ratio"},
            "with adversary.weight 4 pulls 4 times as hard as the bound, however far",
        ),
        (
            SHORT
            | {"adversary__start": 0.5, "adversary__warmup": 0.0}
            | {"adversary__balance": "gradient_ratio", "adversary__weight": 0.25}
            | {"adversary__balance_every": 7, "adversary__penalty_every": 1},
            "before the adversary is weighed, adversary.balance_every 7, .*; nearest: 1",
        ),
        (
            SHORT
            | {"adversary__start": 0.875, "adversary__warmup": 0.0}
            | {"adversary__balance": "gradient_ratio", "adversary__weight": 0.25}
            | {"adversary__penalty_every": 1},
            "before the adversary is weighed, .*; nearest: adversary.balance 'fixed'",
        ),
        (
            {"adversary__start": 0.3, "adversary__warmup": 0.0, "adversary__ramp": 1.0},
            "adversary.ramp 1 goes beyond the end: .* to 0.7 of what is set; nearest: 0.7",
        ),
        (
            {"adversary__augment_probability": 0.0, "adversary__augment": ["translation"]},
            "leaves all pictures as they are, whatever .*translation.* nearest: 1.0",
        ),
        ({"prior__kind": "standard"}, "the critic sees none of these: .*'standard']"),
        (
            {"adversary__weight": 0.0, "adversary__feature_matching": 0.0},
            "the critic learns, but the model feels nothing of it: .*adversary.weight 4.0",
        ),
        (
            {"adversary__weight": 0.0, "adversary__fakes": ["fitted"]},
            "the model feels nothing of it",
        ),
        (
            {"prior__kind": "running", "adversary__fakes": ["reconstructions", "standard"]},
            "the critic sees none of these: .*'fitted']",
        ),
        (
            {"adversary__augment_probability": "adaptive", "data__held_out": 0.0},
            "follows training pictures alone, as data.held_out is 0; nearest: data.held_out 0.05",
        ),
        ({"data__held_out": 0.0}, "nothing tells whether the critic learns .* no best model is"),
        (
            {"adversary__fakes": ["fitted"]},
            r"feature_matching 16 compares reconstructions .* \['fitted'\] has none; nearest: 0.0, "
            r"or adversary.fakes \['reconstructions', 'fitted'\]",
        ),
        (
            {"adversary__fakes": ["fitted"], "adversary__feature_matching": 0.0}
            | {"adversary__reaches": "decoder"},
            "reaches 'decoder' is about reconstructions",
        ),
        (
            {"adversary__classifier_trunk": "own", "adversary__condition": "none"},
            "classifier_trunk 'own', but adversary.condition is 'none'",
        ),
    ],
)
def test_what_of_an_adversary_does_nothing_is_told(values, sentence):
    chosen = settings(**{"adversary__warmup": 0.1} | values)
    check(chosen)
    (said,) = cautions(chosen)
    assert re.search(sentence, said) and said.startswith("careful: ")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"introspective__weight": 0.0}, "introspective.weight 0 teaches nothing; nearest: 1.0"),
        ({"introspective__start": 0.97, "introspective__ramp": 0.0}, "nearest: .*start 0.0$"),
        ({"introspective__start": 0.8, "introspective__ramp": 0.2}, "before the encoder is a"),
        ({"introspective__start": 0.75, "introspective__ramp": 0.0}, None),
        ({"introspective__start": 0.4, "introspective__ramp": 0.8}, "to 0.75 of what is set"),
        ({}, None),
    ],
)
def test_an_encoder_that_is_never_a_critic_is_told(values, sentence):
    length = {"training__images": 32, "training__batch_size": 8}
    if values == {"introspective__start": 0.8, "introspective__ramp": 0.2}:
        length["training__images"] = 8
    chosen = settings(**{"introspective__fakes": "standard"} | length | values)
    check(chosen)
    said = cautions(chosen)
    assert len(said) == (sentence is not None)
    assert all(re.search(sentence, words) and words.startswith("careful: ") for words in said)


@pytest.mark.parametrize(
    "values",
    [
        {},
        SHORT | {"adversary__penalty_every": 4},
        SHORT | {"adversary__start": 0.8, "adversary__warmup": 0.0, "adversary__penalty_every": 7},
        {"adversary__balance": "gradient_ratio", "adversary__weight": 0.25},
        {"prior__kind": "standard", "adversary__fakes": ["reconstructions"]},
        {"prior__kind": "standard", "adversary__fakes": ["reconstructions", "standard"]},
    ],
)
def test_an_adversary_that_does_what_is_asked_is_passed_in_silence(values):
    chosen = settings(**ON | values)
    check(chosen)
    assert cautions(chosen) == []
    assert cautions(settings(prior__kind="standard")) == [], "there is none"


def test_what_the_cautions_say_of_short_trainings_is_what_happens():
    """Against the training's own rules, step by step."""
    for images, start, warmup, ramp, every in itertools.product(
        (8, 24, 64, 72), (0.0, 0.2, 0.5, 0.9), (0.0, 0.05), (0.0, 0.1), (1, 3, 7)
    ):
        adversary = AdversarySettings(
            start=start, warmup=warmup, ramp=ramp, penalty_every=every, weight=0.25,
            balance="gradient_ratio", balance_every=every,
        )  # fmt: skip
        chosen = settings(training__images=images, training__batch_size=8)
        chosen = chosen.model_copy(update={"adversary": adversary})
        shares = [adversary_share(adversary, number * 8 / images) for number in range(images // 8)]
        felt = [number for number, share in enumerate(shares) if share]
        judged = [number for number, share in enumerate(shares) if share is not None]
        opponent = Adversary(adversary)
        expected = [
            words
            for words, happens in (
                ("the model feels", any(felt) or felt),
                ("penalties are due", any(opponent.penalises(n) for n in judged) or not felt),
                ("is weighed", any(Balance(adversary).due(n) for n in felt[:-1]) or not felt),
                ("beyond the end", start + warmup + ramp <= 1 or not felt),
            )
            if not happens
        ]
        said = cautions(chosen)
        assert len(said) == len(expected), (images, start, warmup, ramp, every, said, expected)
        assert all(words in told for words, told in zip(expected, said, strict=True))
        if not felt:
            keys = re.findall("start|warmup|ramp", said[0].split("nearest: ")[1])
            better = adversary.model_copy(update=dict.fromkeys(keys, 0.0))
            told = cautions(chosen.model_copy(update={"adversary": better}))
            assert not any("the model feels the adversary" in words for words in told), said
