import gc
from pathlib import Path

import pytest
import torch

from hiresvae.configuration import load_settings
from hiresvae.training import footprint as module
from hiresvae.training.footprint import Footprint, SmallStep, footprint
from hiresvae.training.peak import PeakMemory

CONFIGS = Path(__file__).parents[2] / "configs"
AT_WORK = ["adversary.start=0", "adversary.ramp=0"]
KINDS = {
    "with an adversary": [*AT_WORK, "adversary.balance=gradient_ratio"],
    "a ladder": ["adversary=null", "model.pyramid=1x1 4x2 8x1 ...", "model.kl_balance=true"],
    "checkpointed": [
        *AT_WORK, "model.pyramid=1x1 4x2 8x1 ...", "training.gradient_checkpointing=true",
        "model.likelihood=logistic_mixture",
    ],
    "conditional, half": [
        *AT_WORK, "model.conditional=true", "data.labels=set", "training.precision=bf16",
        "adversary.condition=both",
    ],
}  # fmt: skip


def test_bytes_are_counted_while_they_live():
    with PeakMemory() as memory:
        a = torch.zeros(1000)
        b = a + 1
        view = b[:10]
        assert (memory.live, memory.peak) == (8000, 8000)
        del a
        c = torch.zeros(500)
        assert (memory.live, memory.peak) == (6000, 8000)
        del b, c
        assert memory.live == 4000, "a view keeps what it shows"
        del view
        assert memory.live == 0 and memory.peak == 8000


def test_what_backward_needs_is_counted():
    weight = torch.ones(1000, requires_grad=True)
    with PeakMemory() as memory:
        loss = (weight * 2).exp().sum()
        kept = memory.live
        loss.backward()
    assert kept == 4000 + 4, "exp keeps its result, the product by a number nothing"
    assert memory.live == 4000 + 4, "the gradient and the loss"
    assert memory.peak >= kept + 4000
    assert weight.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_two_small_steps_tell_the_memory_of_a_large_one(tiny, make_trainer, kind):
    chosen = [*KINDS[kind], "training.batch_size=32"]
    settings = load_settings(tiny, chosen)
    classes = 8 if settings.model.conditional else 0
    estimate = footprint(settings, 3, classes)
    gc.collect()
    with PeakMemory() as memory:
        trainer = make_trainer(*chosen)
        trainer._set_rates(1.0)
        for _ in range(2):
            trainer.step(0, measure=True)
    assert estimate.memory(32) == pytest.approx(memory.peak, rel=0.2)
    assert estimate.seconds > 0


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        ("mnist_ladder", []),
        ("monet_ladder", ["data.size=32", "model.max_width=384"]),
        ("monet_hybrid", ["data.size=32", "training.gradient_checkpointing=true"]),
    ],
)
def test_gradients_of_heavy_networks_hide_no_picture(config, changes):
    """Of small pictures few are nothing beside them, and would seem to cost nothing."""
    settings = load_settings(CONFIGS / f"{config}.yaml", changes)
    channels = 1 if config == "mnist_ladder" else 3
    estimate = footprint(settings, channels, 0)
    gc.collect()
    with PeakMemory() as memory:
        do = SmallStep(settings, channels, 0, 32)
        for _ in range(2):
            do(penalty=True, measure=True)
    assert estimate.memory(32) == pytest.approx(memory.peak, rel=0.15)


@pytest.mark.parametrize("count", [4, 96])
def test_covariances_of_many_classes_hide_no_picture(tiny, count):
    """They are worked out anew when the rows of a step are gone, and need more than a few do."""
    chosen = ["model.conditional=true", "data.labels=set", "model.latent_dim=64"]
    settings = load_settings(tiny, [*AT_WORK, *chosen])
    estimate = footprint(settings, 3, 150)
    gc.collect()
    with PeakMemory() as memory:
        do = SmallStep(settings, 3, 150, count)
        for _ in range(2):
            do(penalty=True, measure=True)
    assert estimate.memory(count) == pytest.approx(memory.peak, rel=0.1)
    assert (estimate.memory(count) == estimate.after) is (count == 4)
    assert estimate.each > 1e5


@pytest.mark.parametrize("kind", KINDS)
def test_of_large_pictures_one_small_step_tells_as_much_as_two(tiny, kind):
    settings = load_settings(tiny, [*KINDS[kind], "data.size=64"])
    classes = 8 if settings.model.conditional else 0
    one, two = (footprint(settings, 3, classes, counts=counts) for counts in ((2,), (2, 4)))
    assert one.memory(16) == pytest.approx(two.memory(16), rel=0.1)


@pytest.mark.parametrize(("size", "counts"), [(256, [2, 4]), (512, [2])])
def test_of_large_pictures_only_two_are_tried(tiny, monkeypatch, size, counts):
    tried = []

    class Little(SmallStep):
        def __init__(self, settings, channels, classes, count):
            tried.append(count)
            small = settings.data.model_copy(update={"size": 16})
            super().__init__(settings.model_copy(update={"data": small}), channels, classes, count)

    monkeypatch.setattr(module, "SmallStep", Little)
    module.footprint(load_settings(tiny, [f"data.size={size}"]), 3, 0)
    assert tried == counts


def test_memory_is_what_is_fixed_and_what_each_picture_adds():
    assert Footprint(100.0, 10.0, 1.0).memory(3) == 130.0
    assert Footprint(100.0, 10.0, 1.0, after=140.0).memory(3) == 140.0
