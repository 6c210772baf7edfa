"""What is computed for GPUs, beside what a small step really does."""

import gpus
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hiresvae.checks import check
from hiresvae.settings import Settings
from hiresvae.training.footprint import SmallStep, footprint

SMALL = {
    "data": {"size": 32, "labels": "clusters:3"},
    "model": {"width": 8, "max_width": 16, "latent_dim": 8, "conditional": True, "grain": True},
    "adversary": {"width": 8, "max_width": 16, "penalty_every": 4},
}


def settings(**sections):
    chosen = Settings.model_validate(SMALL | sections)
    check(chosen)
    return chosen


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PUBLISHED = {
    "reaches": "decoder", "loss": "mean_features", "condition": "classifier", "classifier": 0.0,
    "classifier_trunk": "own", "feature_layer": "last", "feature_distance": "squared",
    "classifier_matching": 0.1, "mean_matching": 0.1, "gamma": 0.0,
}  # fmt: skip
KINDS = {
    "one rung": {},
    "ladder": {"model": SMALL["model"] | {"pyramid": "1x1 4x2 8x1 ..."}},
    "verdict for the decoder alone": {"adversary": SMALL["adversary"] | {"reaches": "decoder"}},
    "as published": {"adversary": SMALL["adversary"] | PUBLISHED},
}


@pytest.mark.parametrize("kind", KINDS)
def test_operations_are_those_of_a_real_step(kind):
    chosen = settings(**KINDS[kind])
    found = gpus.cost(chosen)
    do, counted = SmallStep(chosen, 3, 3, 4), {}
    for penalty in (False, True):
        with FlopCounterMode(display=False) as counter:
            do(penalty=penalty)
        counted[penalty] = counter.get_total_flops() / 4
    expected = counted[False] + (counted[True] - counted[False]) / 4
    assert found.operations == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_that_of_a_real_step(kind):
    chosen = settings(**KINDS[kind])
    found, real = gpus.cost(chosen), footprint(chosen, 3, 3)
    assert found.memory(16) == pytest.approx(real.memory(16), rel=0.25)


def test_a_plain_vae_has_no_critic_and_costs_less():
    plain, full = gpus.cost(settings(adversary=None)), gpus.cost(settings())
    assert plain.parameters[0] == full.parameters[0] and plain.parameters[1] == 0
    assert 0 < plain.operations < full.operations and 0 < plain.each < full.each


def test_seconds_are_of_work_and_of_talk():
    cost = gpus.Cost((3_000_000, 1_000_000), 1e9, 0.0, 0.0)
    assert cost.seconds(10, 1, rate=1e12, link=1e9) == pytest.approx(0.01), "one has nobody to tell"
    assert cost.seconds(10, 2, rate=1e12, link=1e9) == pytest.approx(0.01 + 0.016)
    assert cost.seconds(10, 8, rate=1e12, link=1e9) == pytest.approx(0.01 + 0.028)


def test_the_table_has_a_line_for_each_side(tmp_path, capsys):
    import yaml

    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(SMALL))
    gpus.main([str(config), "--sides", "16", "32", "--gpus", "1", "8"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["16", "32"]
    assert "(1.0)" in lines[2] and "small" in lines[0]
