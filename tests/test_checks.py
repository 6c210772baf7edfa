import pytest

from hiresvae.checks import cautions, check
from hiresvae.errors import UserError
from tests.dotted import settings

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
