import copy
import json
import logging

import pytest
import torch
from torch import nn

from hiresvae.adversary import adaptive
from hiresvae.adversary.discriminator import Judgement
from hiresvae.training import trainer as module
from hiresvae.training.watch import Alarm, _figures


def line(r_v, above=1.0):
    return {
        "critic_sign_held_out": 0.0, "critic_train_above_held_out": above, "critic_r_v": r_v,
    }  # fmt: skip


def test_the_warning_is_said_once_and_again_when_it_gets_worse():
    alarm = Alarm(64)
    said = [alarm.hear(line(0.6)) for _ in range(6)]
    assert [words is not None for words in said] == [False, False, True, False, False, False]
    assert said[2].startswith("careful: the critic tells training pictures from held-out ones")
    said = [alarm.hear(line(0.8)) for _ in range(6)]
    assert [words is not None for words in said] == [False, False, True, False, False, False]
    assert said[2].startswith("still worse") and "80%" in said[2]


@pytest.mark.parametrize(
    "lines",
    [
        [line(0.6), line(0.6), line(0.2)] * 4,
        [line(0.9, above=0.1)] * 9,
        [{"images": 16, "error": 0.1}] * 9,
        [{"critic_sign_held_out": 0.0}] * 9,
    ],
    ids=["not steady", "within chance", "no critic yet", "no fakes told"],
)
def test_nothing_is_said_without_reason(lines):
    alarm = Alarm(64)
    assert all(alarm.hear(one) is None for one in lines)


def test_a_training_that_begins_again_is_not_taken_to_know_pictures_by_heart():
    alarm = Alarm(64)
    assert alarm.hear(line(0.6)) is alarm.hear(line(0.6)) is None
    assert alarm.by_heart
    assert alarm.hear({"images": 16}) is None, "the critic has not begun"
    assert not alarm.by_heart
    assert alarm.hear(line(0.6)) is None, "the first of three"
    assert alarm.by_heart


def test_chance_alone_seldom_reaches_the_bound():
    rng = torch.Generator().manual_seed(0)
    for count in (6, 64):
        a, b = (torch.randn(2000, count, generator=rng) for _ in range(2))
        above = torch.sign(a[:, :, None] - b[:, None]).mean((1, 2))
        assert (above > Alarm(count).chance).float().mean() < 0.04


def test_figures_by_hand():
    train, held_out, made = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 4.0]), torch.zeros(2)
    figures = _figures("relativistic", train, held_out, made)
    assert figures["critic_r_v"] == pytest.approx((4 - 2.5) / 4)
    assert figures["critic_train_above_held_out"] == 0.5
    assert figures["critic_sign_train"] == figures["critic_sign_held_out"] == 1.0
    shifted = _figures("relativistic", train + 7, held_out + 7, made + 7)
    assert shifted["critic_sign_held_out"] == 1.0, "no absolute zero"
    assert _figures("non_saturating", train - 2, held_out - 2, made)["critic_sign_held_out"] == 0.0
    assert "critic_r_v" not in _figures("relativistic", made, held_out, train)
    assert _figures("relativistic", train * torch.nan, held_out, made) == {}


def test_it_looks_without_a_trace(make_trainer):
    trainer = make_trainer("adversary.start=0", "adversary.augment_probability=0.5")
    trainer._set_rates(1.0)
    trainer.step(0)
    networks = (trainer.vae, trainer.networks.critic, trainer.step.running, trainer.step.augment)
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    random, optimizer = torch.get_rng_state(), trainer.networks.critic_optimizer.state_dict()
    moments = copy.deepcopy(optimizer)
    figures = trainer.watch(0)
    assert {"critic_sign_train", "critic_sign_held_out", "critic_real_logit_held_out"} <= set(
        figures
    )
    assert figures == trainer.watch(0), "the same each time"
    for network, old in zip(networks, before, strict=True):
        assert network.training
        for name, value in network.state_dict().items():
            assert torch.equal(value, old[name]), name
        assert all(p.grad is None or not p.grad.any() for p in network.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    for number, state in trainer.networks.critic_optimizer.state_dict()["state"].items():
        for name, value in state.items():
            assert torch.equal(value, moments["state"][number][name])


def test_a_training_with_and_without_it_ends_at_the_same_bits(
    train, trained, weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(module.Watch, "__call__", lambda *_: {})
    assert weights(train(tmp_path / "run")) == weights(trained)


def test_nothing_is_shown_before_the_critic_begins_or_without_held_out_pictures(make_trainer):
    assert make_trainer("adversary.start=0.9").watch(3) == {}
    assert make_trainer("adversary=null").watch(3) == {}
    assert make_trainer("adversary.start=0", "data.held_out=0.0").watch(3) == {}


def test_it_shows_the_critic_black_and_white_as_a_step_does(make_trainer):
    trainer = make_trainer(
        "adversary.start=0", "data.binarize=true", "model.likelihood=bernoulli", "data.channels=1",
        "model.grain=false", "adversary.augment=[]",
    )  # fmt: skip
    (train, seen, _), (held_out, _, _) = (
        trainer.watch._pictures(part, 3) for part in ("train", "held_out")
    )
    assert set(train.unique().tolist()) == set(held_out.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(train, seen) and not torch.equal(train, held_out)
    assert torch.equal(train, trainer.watch._pictures("train", 3)[0]), "the same each time"


class Flat(nn.Module):
    """A critic whose logits differ by less than bfloat16 numbers of their size do."""

    def forward(self, images, labels):
        logits = 8.0 + 1e-3 * images.flatten(1)[:, :1]
        return Judgement(logits.float(), {})


def test_logits_are_weighed_in_full_where_the_rest_is_in_half_precision(make_trainer):
    trainer = make_trainer("adversary.start=0", "training.precision=bf16")
    trainer.networks.critic = Flat()
    told = trainer.watch(0)
    logit = torch.tensor(told["critic_real_logit_train"])
    assert 7.99 < logit < 8.01 and logit != logit.bfloat16(), "not a number of bfloat16"


class Knows(nn.Module):
    """A critic that knows the training pictures by heart, and nothing else."""

    def __init__(self, known):
        super().__init__()
        self.register_buffer("known", known.flatten(1))

    def forward(self, images, labels=None):
        nearest = torch.cdist(images.flatten(1), self.known).amin(1)
        return Judgement(-nearest[:, None], {})


def test_a_critic_that_knows_the_training_set_is_found_out(make_trainer):
    from hiresvae.images import to_float

    trainer = make_trainer("adversary.start=0", "adversary.augment=[]")
    rows = trainer.batches.data.train
    trainer.networks.critic = Knows(to_float(trainer.batches.pictures(rows)))
    said = []
    for number in range(3):
        figures = trainer.watch(number)
        assert figures["critic_train_above_held_out"] == 1.0
        said.append(trainer.watch.alarm.hear(figures))
    assert figures["critic_r_v"] > 0.5
    assert said[:2] == [None, None] and "by heart" in said[2]


@pytest.mark.parametrize(("r_v", "rises"), [(0.6, True), (0.4, False)])
def test_augmentation_rises_where_held_out_pictures_are_taken_for_made_ones(
    train, tmp_path, monkeypatch, r_v, rises
):
    monkeypatch.setattr(adaptive, "TARGET", 1.5)  # no critic is so certain of its pairs
    monkeypatch.setattr(module.Watch, "__call__", lambda *_: line(r_v))
    changes = ("augment_probability=adaptive", "augment_images=100", "start=0", "ramp=0")
    run = train(
        tmp_path / "run",
        "training.images=96",
        "training.tick=8",
        *(f"adversary.{change}" for change in changes),
    )
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["augment_probability"] > 0) is rises


def test_the_warning_stands_in_the_log_once_also_after_going_on(train, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Watch, "__call__", lambda *_: line(0.6))
    run = train(tmp_path / "run", "training.images=64")
    train(run, "training.images=128")
    log = (run / "train.log").read_text()
    assert log.count("the critic tells training pictures from held-out ones") == 1
    assert "continuing from 64 images" in log
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(one["critic_r_v"] == 0.6 for one in lines)
    assert logging.getLogger("hiresvae").handlers == []
