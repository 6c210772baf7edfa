import itertools
import re

import pytest

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.balance import Balance
from hiresvae.checks import cautions, check
from hiresvae.checks_adversary import adversary_cautions
from hiresvae.configuration import validate
from hiresvae.errors import UserError
from hiresvae.settings import Settings
from hiresvae.training.objective import adversary_share


def settings(**dotted) -> Settings:
    raw: dict = {}
    for key, value in dotted.items():
        section, name = key.split("__")
        raw.setdefault(section, {})[name] = value
    return validate(raw)


ON = {"adversary__weight": 0.5}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"data__size": 100}, "data.size 100 .* nearest valid: 96 or 112"),
        (
            {"data__without": ["bag"]},
            r"data.without is \['bag'\], but data.labels is 'none'; nearest valid: data.labels",
        ),
        (
            {"data__without": ["bag"], "data__labels": "set", "model__conditional": True},
            "label without pictures cannot be learnt; nearest valid: model.conditional false",
        ),
        (
            {"model__pyramid": "1x1 4x2 ...", "model__top_rungs": 5},
            "model.top_rungs is 5, but this model has 3 rungs; nearest valid: 3",
        ),
        (
            {"model__backbone": "classic", "model__top_rungs": 2},
            "model.top_rungs is 2, but this model has 1 rung; nearest valid: 1",
        ),
        (
            {"model__pyramid": "1x1 8x2 16x1 ...", "model__rung_dim": 8, "model__top_rungs": 4},
            "which is 3,200 numbers for one prior, 2,048 at most; nearest valid: 3",
        ),
        ({"model__pyramid": "1x1 4 8"}, "ends at 8, but data.size is 64; nearest valid: '1x1 4 8 "),
        (
            {"data__size": 50, "model__backbone": "dense"} | ON,
            "data.size 50 .* as the adversary needs; nearest valid: 48 or 56",
        ),
        (
            {"data__size": 10, "model__backbone": "classic"},
            "data.size is 10, but .* 'classic' needs an even side of 12 or more; nearest valid: 12",
        ),
        ({"data__size": 29, "model__backbone": "classic"}, "data.size is 29, .* valid: 30"),
        ({"model__backbone": "dense", "model__hidden": []}, r"model.hidden is \[\], but"),
        ({"model__backbone": "dense", "model__hidden": [9, 0]}, r"model.hidden is \[9, 0\]"),
        (
            {"model__backbone": "dense", "model__attention": [8]},
            r"model.attention is \[8\], but .* has no pyramid; nearest valid: \[\]",
        ),
        (
            {"model__backbone": "dense", "model__grain": True},
            "model.grain is True, but .* nearest valid: False",
        ),
        (
            {"model__backbone": "dense", "model__merge": "precision"},
            "model.merge is 'precision', but .* nearest valid: 'residual'",
        ),
        (
            {"model__kl_balance": True, "model__kl_warmup": 0.0},
            "kl_balance is true, but .*kl_warmup is 0.0; nearest valid: model.kl_warmup 0.1",
        ),
        (
            {"training__gradient_checkpointing": True, "model__backbone": "dense"},
            "gradient_checkpointing is true, but model.backbone 'dense' .* nearest valid: false",
        ),
        (
            {"training__gradient_checkpointing": True, "introspective__weight": 1.0},
            "gradient_checkpointing is true, but 'introspective' .* introspective null",
        ),
        (
            {"data__size": 28, "model__backbone": "classic", "model__pyramid": "1x1 7 14 28"},
            "model.pyramid is '1x1 7 14 28', but .* nearest valid: 'auto'",
        ),
        (
            {"model__attention": [16, 12]},
            "has the side 12, but the pyramid's sides are 4, 8, 16, 32, 64; nearest valid: (8|16)",
        ),
        ({"model__attention": [1]}, "nearest valid: 4"),
        (
            {"model__attention": [8], "model__max_width": 90},
            "model.max_width 90 gives 90 .* 4 heads; nearest valid: model.max_width 88",
        ),
        (
            {"model__attention": [32], "model__width": 13},
            "side 32, where model.width 13 gives 26 .* 4 heads; nearest valid: model.width 12",
        ),
        ({"model__width": 64, "model__max_width": 32}, "model.max_width is 32.*valid: 64"),
        ({"adversary__width": 64, "adversary__max_width": 32}, "adversary.max_width is 32"),
        ({"adversary__warmup": 0.95}, "adversary.warmup is 0.95 after .* below 0.95"),
        ({"model__scale": 0.0}, "model.scale is 0.0, but .* nearest valid: 'optimal'"),
        ({"model__conditional": True}, "model.conditional is true, but data.labels is 'none'"),
        ({"data__labels": "folder"}, "data.labels 'folder' is unknown: did you mean 'folders'"),
        ({"data__labels": "cluster:8"}, "did you mean 'clusters:8'"),
        ({"data__labels": "csv:labels.csv"}, "needs a file and a column: 'csv:FILE:COLUMN'"),
        ({"data__labels": "csv::"}, "needs a file and a column"),
        ({"data__labels": "clusters"}, "number of clusters is missing"),
        ({"data__labels": "clusters:ten"}, "nearest valid: 'clusters:8'"),
        ({"data__labels": "clusters:1"}, "may be 2 to 1000; nearest valid: 'clusters:2'"),
        ({"data__labels": "clusters:2000"}, "nearest valid: 'clusters:1000'"),
        (
            {"data__labels": "clusters:20", "data__limit": 9},
            r"may be 2 to 9 \(data.limit is 9\); nearest valid: 'clusters:9'",
        ),
        (
            {"adversary__start": 1.5, "training__images": 1000},
            "begin at image 1500, but training ends at image 1000; nearest valid: below 1",
        ),
        ({"introspective__start": 1.0}, "introspective.start is 1.0, .* nearest valid: below 1"),
        (
            {"introspective__weight": 1.0, "model__stochastic": False},
            "model.stochastic is false, but 'introspective' .* nearest valid",
        ),
        (
            {"adversary__augment_probability": 1.5},
            "augment_probability is 1.5, but a probability is 0 to 1; nearest valid: 1.0",
        ),
        (
            {"adversary__augment_probability": "adaptive", "adversary__augment": []},
            r"'adaptive', but adversary.augment is \[\]",
        ),
        (
            {"model__linear": True},
            "model.linear is true, but .* nearest valid: model.backbone 'dense'",
        ),
        ({"corruption__kind": "pairs"}, "'pairs', but corruption.inputs is not given"),
        (
            {"corruption__inputs": "noisy"},
            "corruption.inputs is 'noisy', but corruption.kind is 'gaussian'; .* or .* null",
        ),
        (
            {"corruption__kind": "gaussian", "corruption__share": 0.4},
            "share is 0.4, but .* 'salt_and_pepper' or 'masking', or corruption.share 0.5",
        ),
        (
            {"corruption__kind": "masking", "corruption__sigma": 0.1},
            "corruption.sigma is 0.1, but corruption.kind is 'masking'",
        ),
        (
            {"corruption__kind": "masking", "corruption__blocks": 65},
            "corruption.blocks is 65, more than data.size 64; nearest valid: 64",
        ),
        ({"training__betas": [0.0, 1.0]}, "training.betas has 1.0, .* nearest valid: 0.99"),
        ({"adversary__betas": [-0.1, 0.9]}, "adversary.betas has -0.1, .* nearest valid: 0.0"),
        (
            {"training__batch_size": 32, "training__accumulation": 3},
            "training.batch_size is 32, which 1 .* training.accumulation 3 .* valid: 30 or 33",
        ),
    ],
)
def test_impossible_combinations_are_sentences(values, sentence):
    with pytest.raises(UserError, match=sentence):
        check(settings(**values))


@pytest.mark.parametrize(
    ("batch", "processes", "near"), [(2, 4, "4"), (30, 4, "28 or 32"), (1, 2, "2")]
)
def test_a_batch_that_the_processes_do_not_divide(batch, processes, near):
    with pytest.raises(UserError, match=f"nearest valid: {near}$"):
        check(settings(training__batch_size=batch), processes=processes)


@pytest.mark.parametrize(
    "values",
    [
        {},
        ON,
        {"data__size": 28, "model__backbone": "classic"},
        {"data__size": 50, "model__backbone": "dense"},
        {"data__held_out": 0.0, "prior__kind": "auto"},
        {"data__crop": "random", "data__source": "embedded:faces"},
        {"model__stochastic": False, "model__likelihood": "logistic_mixture"},
        {"model__likelihood": "bernoulli"} | ON,
        {"data__labels": r"csv:C:\my labels.csv:style", "model__conditional": True},
        {"data__labels": "clusters:1000", "model__conditional": True} | ON,
        {"model__pyramid": "1x1 4x2 8x2 16 32 64", "model__attention": [8, 16]},
        {"adversary__start": 0.99},
        {"introspective__weight": 1.0} | ON,
        {"corruption__kind": "masking", "corruption__blocks": 64} | ON,
        {"corruption__kind": "pairs", "corruption__inputs": "noisy", "data__crop": "tiles"},
        {"model__backbone": "dense", "model__linear": True, "model__latent_dim": 65_536},
        {"code__l1": 0.1, "code__sparsity": 3.0, "code__contraction": 0.1},
        {"model__pyramid": "1x1 4x2 8x2 ...", "model__merge": "precision"},
        {"model__kl_balance": True, "model__free_nats": 0.5, "model__spectral": 0.1},
        {"training__gradient_checkpointing": True} | ON,
    ],
)
def test_what_goes_together_passes(values):
    check(settings(**values))
    check(settings(**values), processes=4)


def test_a_label_needs_a_passage_to_enter_by():
    one_side = {"data__size": 8, "data__labels": "folders", "model__pyramid": "8x1"}
    check(settings(**one_side))
    with pytest.raises(UserError, match=r"'8x1' has one side.*nearest valid: 'auto'"):
        check(settings(**one_side, model__conditional=True))


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
    ],
)
def test_what_of_an_adversary_does_nothing_is_told(values, sentence):
    chosen = settings(**{"adversary__warmup": 0.1} | values)
    check(chosen)
    (said,) = adversary_cautions(chosen)
    assert re.search(sentence, said) and said.startswith("careful: ")


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
    assert adversary_cautions(chosen) == []
    assert adversary_cautions(settings(prior__kind="standard")) == [], "there is none"


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
                ("is weighed", any(Balance(adversary).due(n) for n in felt) or not felt),
            )
            if not happens
        ]
        said = adversary_cautions(chosen)
        assert len(said) == len(expected), (images, start, warmup, ramp, every, said, expected)
        assert all(words in told for words, told in zip(expected, said, strict=True))
        if not felt:
            keys = re.findall("start|warmup|ramp", said[0].split("nearest: ")[1])
            better = adversary.model_copy(update=dict.fromkeys(keys, 0.0))
            told = adversary_cautions(chosen.model_copy(update={"adversary": better}))
            assert not any("the model feels the adversary" in words for words in told), said


@pytest.mark.parametrize(
    ("critic", "batch", "parts", "processes", "near"),
    [
        ("whole", 8, 4, 1, 16), ("multiscale", 12, 1, 2, 8), ("whole", 2, 1, 1, 4),
        ("whole", 8, 2, 1, None), ("whole", 16, 1, 4, None), ("patch", 8, 4, 2, None),
    ],
)  # fmt: skip
def test_a_critic_of_the_whole_whose_groups_a_split_breaks_is_told_of(
    critic, batch, parts, processes, near
):
    chosen = settings(
        training__batch_size=batch, training__accumulation=parts, adversary__critic=critic
    )
    check(chosen, processes=processes)
    said = cautions(chosen, processes)
    assert len(said) == (near is not None)
    assert cautions(settings(training__batch_size=6), processes) == [], "there is no critic"
    if near is not None:
        rows = batch // (parts * processes)
        assert f"works off {rows} of {batch} pictures" in said[0]
        assert f"nearest: training.batch_size {near}, or adversary.critic 'patch'" in said[0]
        better = settings(
            training__batch_size=near, training__accumulation=parts, adversary__critic=critic
        )
        assert cautions(better, processes) == []
