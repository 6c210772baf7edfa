"""A batch in parts, or over two processes, is one batch: gradients, logs and all that runs along.

Plain steps down the gradient, so that what differs is seen at its own size; Adam would make a full
step of any rounding where there is no gradient.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

KINDS = "adversary.fakes=[reconstructions,fitted,standard]"
BEGUN = ("adversary.start=0", "adversary.ramp=0", "training.lr=0.02", "adversary.lr=0.02",
         "training.lr_warmup=0", "model.kl_warmup=0")  # fmt: skip
LADDER = ("adversary=null", "training.lr=0.02", "training.lr_warmup=0",
          "model.pyramid=1x1 4x2 8x1 ...")  # fmt: skip
LABELS = ("model.conditional=true", "data.labels=set")
CASES: dict[str, tuple[str, ...]] = {
    # Rows of a process: 3 of 6, of which one process has two reconstructions more often. By seed 0
    # units lie at 0, where some processors round those of parts to the other side of the kink.
    "three kinds": (
        "seed=3", *BEGUN, *LABELS, KINDS, "training.batch_size=6", "adversary.critic=patch",
        "adversary.loss=mean_features", "adversary.condition=classifier",
        "adversary.feature_matching=16", "adversary.classifier_matching=4",
        "adversary.mean_matching=8", "adversary.class_mean_matching=8",
        "adversary.average_images=8",
    ),
    "decoder alone": (
        *BEGUN, "adversary.reaches=decoder", "model.distortion_weight=0", "model.grain=true",
        "model.pyramid=1x1 4 8 16", "adversary.loss=minimax", "adversary.critic=patch",
        "training.batch_size=6", KINDS,
    ),
    "coarse": (
        *BEGUN, "model.pyramid=1x1 4x1 8x1 ...", "model.fine_temperature=0.5",
        "adversary.fakes=[coarse, fitted, reconstructions]", "model.scale=0.3",
        "adversary.coarse_distortion=0.7",
        "training.batch_size=6", "adversary.critic=patch", "adversary.feature_matching=16",
    ),
    "one row each": (*BEGUN, "training.batch_size=2", "adversary.critic=patch"),
    # A critic of the whole picture compares rows in fours, which is what a part of 8 has.
    "classes": (
        *BEGUN, *LABELS, "adversary.condition=both", "adversary.lecam=0.5",
        "adversary.spectral_norm=true", "adversary.average_images=8", "adversary.loss=hinge",
    ),
    "introspective": (
        *LADDER, "introspective.start=0", "introspective.ramp=0", "introspective.fakes=fitted",
        "model.kl_warmup=0",
    ),
    "ladder": (
        *LADDER, "model.kl_balance=true", "model.kl_warmup=1", "model.spectral=0.1",
        "model.merge=precision",
    ),
    "free nats": (*LADDER, "model.free_nats=0.9", "model.kl_warmup=0"),
    "terms": (
        *LADDER, "terms.laplacian=1", "terms.focal_frequency=1", "code.l1=0.1",
        "corruption.kind=masking", "data.crop=random", "data.mirror=true",
    ),
}  # fmt: skip
STEPS = 3


def worked_off(trainer: Any) -> dict[str, torch.Tensor]:
    """Does some steps; returns the last gradients, logs, and all that moved, by name."""
    found: dict[str, torch.Tensor] = {}
    trainer._set_rates(1.0)
    networks = {"model": trainer.networks.model, "critic": trainer.networks.critic}
    seen = trainer.step._gradient_norm

    def noted(owner: str) -> torch.Tensor:
        for name, p in networks[owner].named_parameters():
            if p.grad is not None:
                found[f"gradient of {owner}.{name.removeprefix('module.')}"] = p.grad.clone()
        return seen(owner)

    trainer.step._gradient_norm = noted
    meters: dict[str, list[torch.Tensor]] = {}
    size = trainer.settings.training.batch_size
    for number in range(STEPS):
        for name, value in trainer.step(number, measure=True).items():
            meters.setdefault(name, []).append(value)
        trainer.images += size
    line = trainer._tick(meters, 1.0, STEPS - 1)
    told = {name: value for name, value in line.items() if name != "time"}
    found |= {f"told {name}": torch.tensor(float(value)) for name, value in told.items()}
    for name, network in networks.items():
        if network is not None:
            own = trainer.accelerator.unwrap_model(network)
            found |= {f"{name}.{k}": v.clone() for k, v in own.state_dict().items()}
    for name, module in trainer._beside.items():
        found |= {f"beside {name}.{k}": v.clone() for k, v in module.state_dict().items()}
    return found


def descending(module: Any, lr: float, *_: Any) -> torch.optim.Optimizer:
    """In the place of `make_optimizer`."""
    return torch.optim.SGD(module.parameters(), lr=lr)


@pytest.fixture
def worked(make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    """Works a case off in one process: (case, *overrides) -> what `worked_off` returns."""
    monkeypatch.setattr("hiresvae.training.trainer.make_optimizer", descending)

    def work(case: str, *overrides: str) -> dict[str, torch.Tensor]:
        return worked_off(make_trainer(*CASES[case], *overrides))

    return work


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        size = value.float().nan_to_num().abs().max().item()
        torch.testing.assert_close(
            other[name], value, rtol=2e-3, atol=2e-4 * size + 1e-7, equal_nan=True,
            msg=lambda m, n=name: f"{n}: {m}",
        )  # fmt: skip


PARTS = {"three kinds": (2, 3, 6), "coarse": (2, 6), "one row each": (2,)}


@pytest.mark.parametrize(
    ("case", "parts"), [(case, parts) for case in CASES for parts in PARTS.get(case, (2,))]
)
def test_parts_of_a_batch_end_where_the_whole_does(worked, case, parts):
    same(worked(case), worked(case, f"training.accumulation={parts}"))


@pytest.fixture(scope="module")
def of_two(tiny, both_processes, tmp_path_factory) -> dict[str, Any]:
    """All cases worked off by the same two processes, one after the other."""
    out = tmp_path_factory.mktemp("two")
    both_processes(__file__, str(tiny), str(out), json.dumps(CASES))
    first, second = (torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    return {case: (first[case], second[case]) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_end_where_one_does(worked, of_two, case):
    first, second = of_two[case]
    same(worked(case), first)
    for name, value in second.items():  # the first tells what it alone looks at as well
        assert torch.equal(value.nan_to_num(-1.0), first[name].nan_to_num(-1.0)), name


def test_the_cases_reach_what_they_are_of(worked):
    """A rung is free and another not; a kind of fakes has more rows than another."""
    told = worked("free nats")
    rates = [float(value) for name, value in told.items() if name.startswith("told rate_nats_")]
    assert min(rates) < 0.9 < max(rates)
    assert told["told rate_nats"] == pytest.approx(sum(rates), rel=1e-4)


def as_one_of_two(tiny: str, out: str, cases: str) -> None:
    """What each of two processes does."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    from hiresvae.configuration import load_settings
    from hiresvae.data import open_data
    from hiresvae.run import RunFolder
    from hiresvae.training import trainer as module

    torch.set_num_threads(1)
    module.make_optimizer = descending
    found, rank = {}, 0
    for case, overrides in json.loads(cases).items():
        settings = load_settings(Path(tiny), list(overrides))
        AcceleratorState._reset_state()
        accelerator = Accelerator()
        rank = accelerator.process_index
        run = RunFolder(Path(out) / f"{case} {rank}")
        run.create()
        with accelerator.main_process_first():
            data = open_data(settings.data, inputs=settings.inputs, progress=False)
        found[case] = worked_off(module.Trainer(settings, data, run, accelerator))
    torch.save(found, Path(out) / f"{rank}.pt")


if __name__ == "__main__":
    as_one_of_two(*sys.argv[1:])
