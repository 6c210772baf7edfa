"""Clocks that jump, memory that ends, numbers that break."""

import json
import time
import warnings

import pytest
import torch

from hiresvae.training import sharpening
from hiresvae.uses.curves import read_training

pytestmark = pytest.mark.slow

LITTLE = """
# A training that may not have more than 600 MB above what Python has already: room for modules
# that are imported late, and none for a batch.
import resource, sys
import torch
torch.set_num_threads(1)
import hiresvae.training.trainer
from hiresvae.cli import main
pages = int(open("/proc/self/statm").read().split()[0])
allowed = pages * resource.getpagesize() + 600_000_000
resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
main(sys.argv[1:])
"""


def test_memory_that_really_ends_names_the_settings_to_lower(python, tiny, tmp_path):
    chosen = ["training.batch_size=4096", "training.images=8192", "model.width=64",
              "model.max_width=64"]  # fmt: skip
    words = ["train", str(tiny), "--out", str(tmp_path / "run"), *(f"--set={x}" for x in chosen)]
    done = python("-c", LITTLE, *words)
    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith("hiresvae: memory ran out") and "Traceback" not in done.stderr
    assert "training.batch_size 2048 (instead of 4096)" in said
    assert "data.size 14 (instead of 16)" in said


@pytest.mark.parametrize("jump", [-1e9, 1e9], ids=["back", "forward"])
def test_a_clock_that_jumps_changes_no_bit(train, trained, weights, tmp_path, monkeypatch, jump):
    real, asked = time.time, []

    def jumping():
        asked.append(0)
        return real() + jump * (len(asked) % 3)

    monkeypatch.setattr(time, "time", jumping)
    run = train(tmp_path / "run")
    monkeypatch.undo()
    assert len(asked) > 8 and weights(run) == weights(trained)
    told = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(line["images_per_second"] > 0 for line in told)
    seconds = read_training(str(run)).curves["error"].seconds
    assert (seconds[1:] > seconds[:-1]).all() and seconds[-1] < 1e6


class Poisoned:
    """Something that is called, of whose first result nothing is a number."""

    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def __call__(self, *given, **chosen):
        extra, terms = self.real(*given, **chosen)
        return extra * torch.nan, terms


def numbers(trainer):
    found = []
    adversary = trainer.step.adversary
    means = adversary.averages if adversary is not None else None
    for network in (trainer.networks.model, trainer.networks.critic, means):
        if network is not None:
            found += [value.clone() for value in network.state_dict().values()]
    return found


def skips(trainer, poison):
    """Does a good step, one that ``poison`` has spoilt, and a good one again."""
    trainer._set_rates(1.0)
    trainer.step(0)
    before = numbers(trainer)
    undo = poison(trainer.step)
    trainer.step(2)
    undo()
    assert trainer.step.guard.skipped == 1
    assert all(torch.equal(a, b) for a, b in zip(before, numbers(trainer), strict=True))
    trainer.step(3)
    assert trainer.step.guard.in_a_row == 0
    assert any(not torch.equal(a, b) for a, b in zip(before, numbers(trainer), strict=True))


@pytest.mark.parametrize(
    ("chosen", "part"),
    [
        (["adversary=null", "code.l1=0.1"], "penalties"),
        (["adversary=null", "code.sparsity=0.1"], "penalties"),
        (["adversary=null", "code.contraction=0.1"], "penalties"),
        (["adversary=null", "introspective.start=0", "introspective.ramp=0"], "introspection"),
    ],
    ids=["l1", "sparsity", "contraction", "introspective"],
)
def test_a_nan_in_a_term_of_the_code_leaves_no_trace(make_trainer, chosen, part):
    def poison(step):
        real = getattr(step, part)
        assert real is not None
        setattr(step, part, Poisoned(real))
        return lambda: setattr(step, part, real)

    skips(make_trainer(*chosen), poison)


class Means(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


@pytest.mark.parametrize("term", ["laplacian", "focal_frequency", "lpips", "features"])
def test_a_nan_in_a_term_of_sharpness_leaves_no_trace(make_trainer, tmp_path, monkeypatch, term):
    # Of LPIPS what is poisoned stands in for its network, whose file may not be here.
    monkeypatch.setattr(
        sharpening, "Lpips", lambda *_: lambda x, y: (x - y).square().mean((1, 2, 3))
    )
    value = "0.1"
    if term == "features":
        value = str(tmp_path / "means.pt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            torch.jit.script(Means()).save(value)

    def poison(step):
        distances = step.sharpening.distances
        real = distances[term]
        distances[term] = lambda *pictures: real(*pictures) * torch.nan
        return lambda: distances.update({term: real})

    skips(make_trainer("adversary=null", f"terms.{term}={value}"), poison)


@pytest.mark.parametrize(
    ("chosen", "term"),
    [
        (["adversary.lecam=0.1"], "lecam"),
        (["adversary.loss=mean_features", "adversary.mean_matching=1"], "mean_matching"),
        (
            ["adversary.loss=mean_features", "adversary.class_mean_matching=1",
             "adversary.condition=both",
             "model.conditional=true", "data.labels=set"],
            "class_mean_matching",
        ),
    ],
)  # fmt: skip
def test_a_nan_in_a_mean_that_is_matched_leaves_no_trace(make_trainer, chosen, term):
    trainer = make_trainer("adversary.start=0", "adversary.ramp=0", *chosen)
    met = []

    real = trainer.step.adversary

    class Judge(type(real)):
        def judge(self, *given, **options):
            verdict = real.judge(*given, **options)
            for side in (verdict.model, verdict.critic):
                if term in side:
                    met.append(term)
                    side[term] = side[term] * torch.nan
            return verdict

    def poison(step):
        step.adversary = Judge(real.settings, real.averages)
        return lambda: setattr(step, "adversary", real)

    skips(trainer, poison)
    assert met, "the term was there to be spoilt"
