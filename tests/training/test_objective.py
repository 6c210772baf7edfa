import dataclasses
from dataclasses import replace

import pytest
import torch

from hiresvae.adversarial import AdversarySettings
from hiresvae.models.contract import Outputs
from hiresvae.settings import ModelSettings
from hiresvae.training.objective import (
    Fakes,
    adversary_share,
    bound_figures,
    bound_loss,
    kl_weight,
)

KINDS = [
    ["reconstructions"],
    ["fitted"],
    ["reconstructions", "fitted"],
    ["reconstructions", "fitted", "standard"],
]


def outputs(distortion, rate, sample=None):
    rows = len(distortion)
    return Outputs(
        torch.tensor(distortion), torch.tensor(rate), torch.zeros(rows),
        torch.zeros(rows, 1, 2, 2), torch.zeros(rows, 3), sample,
    )  # fmt: skip


@pytest.mark.parametrize(("share", "expected"), [(0, 0.0), (0.1, 0.6), (0.5, 3.0), (1, 3.0)])
def test_beta_rises_linearly_and_stays(share, expected):
    assert kl_weight(ModelSettings(beta=3.0, kl_warmup=0.5), share) == pytest.approx(expected)


def test_without_warmup_beta_holds_from_the_start():
    assert kl_weight(ModelSettings(beta=3.0, kl_warmup=0.0), 0.0) == 3.0


def test_the_bound_is_distortion_and_weighted_rate_per_dimension():
    out = outputs([10.0, 20.0], [[1.0, 2.0], [3.0, 6.0]])
    assert bound_loss(out, 5, 0.5, 0.0).item() == pytest.approx((15 + 0.5 * (2 + 4)) / 5)


def test_the_distortion_may_weigh_less_or_nothing():
    out = outputs([10.0, 20.0], [[1.0, 2.0], [3.0, 6.0]])
    for weight in (0.0, 0.5, 1.0):
        bound = bound_loss(out, 5, 0.5, 0.0, distortion_weight=weight)
        assert bound.item() == pytest.approx((weight * 15 + 0.5 * (2 + 4)) / 5)


def test_free_nats_hold_for_each_rung_on_the_mean_of_the_batch():
    out = outputs([0.0, 0.0], [[0.0, 2.0], [2.0, 6.0]])
    assert bound_loss(out, 1, 1.0, 3.0).item() == pytest.approx(3 + 4)
    out.rate.requires_grad_(True)
    bound_loss(out, 1, 1.0, 3.0).backward()
    assert out.rate.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]], "the first rung is not pushed"


def test_free_nats_of_parts_are_decided_by_the_mean_of_them_all():
    rates = torch.tensor([[0.0, 9.0], [1.0, 2.0], [8.0, 1.0], [1.0, 6.0]])  # means 2.5 and 4.5
    bounds, gradients = [], []
    for size in (4, 2, 1):
        own = rates.clone().requires_grad_(True)
        parts = [
            bound_loss(
                replace(outputs([0.0] * size, [[0.0, 0.0]] * size), rate=part),
                1, 1.0, 3.0, mean_rate=None if size == 4 else rates.mean(0),
            )
            for part in own.split(size)
        ]  # fmt: skip
        bounds.append(torch.stack(parts).mean())
        bounds[-1].backward()
        gradients.append(own.grad)
    assert bounds[0] == 3 + 4.5 and gradients[0].tolist() == [[0.0, 0.25]] * 4
    for bound, gradient in zip(bounds[1:], gradients[1:], strict=True):
        torch.testing.assert_close(bound, bounds[0])
        assert torch.equal(gradient, gradients[0])


def test_a_balance_weighs_each_rungs_rate():
    out = outputs([0.0, 0.0], [[1.0, 2.0], [3.0, 6.0]])
    balance = torch.tensor([0.5, 1.5])
    assert bound_loss(out, 1, 2.0, 0.0, balance).item() == pytest.approx(2 * (0.5 * 2 + 1.5 * 4))
    assert bound_loss(out, 1, 1.0, 3.0, balance).item() == pytest.approx(0.5 * 3 + 1.5 * 4)


def test_a_step_tells_the_rate_of_each_rung_where_there_are_more():
    out = outputs([10.0, 20.0], [[1.0, 2.0], [3.0, 6.0]])
    told = bound_figures(out, torch.ones(()))
    assert (told["distortion_nats"], told["rate_nats"]) == (15, 6)
    assert (told["rate_nats_0"], told["rate_nats_1"]) == (2, 4)
    one = bound_figures(outputs([10.0], [[1.0]]), torch.ones(()))
    assert "rate_nats_0" not in one and one["rate_nats"] == 1


def test_the_adversary_begins_and_rises():
    settings = AdversarySettings(start=0.2, ramp=0.4)
    assert adversary_share(settings, 0.19) is None
    shares = [adversary_share(settings, share) for share in (0.2, 0.4, 0.6, 1.0)]
    assert shares == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert adversary_share(AdversarySettings(start=0.2, ramp=0.0), 0.2) == 1.0


def test_while_the_critic_warms_up_the_model_feels_nothing():
    settings = AdversarySettings(start=0.25, warmup=0.25, ramp=0.5)
    assert adversary_share(settings, 0.2) is None
    shares = [adversary_share(settings, share) for share in (0.25, 0.5, 0.75, 1.0)]
    assert shares == pytest.approx([0.0, 0.0, 0.5, 1.0])
    sudden = AdversarySettings(start=0.25, warmup=0.25, ramp=0.0)
    assert [adversary_share(sudden, share) for share in (0.25, 0.4, 0.5)] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("size", [1, 2, 4, 12])
def test_rows_show_the_same_whatever_the_split(kinds, size):
    def shown(start, count):
        plan = Fakes.of_rows(kinds, start, count, torch.device("cpu"))
        assert len(plan.paired) == count
        assert len(plan.sampled) == len(plan.standard) == int((~plan.paired).sum())
        names = ["reconstructions" if paired else "fitted" for paired in plan.paired.tolist()]
        rows = plan.sampled.tolist() + plan.reconstructed.tolist()
        assert sorted(rows) == list(range(count)) and plan.paired[plan.reconstructed].all()
        for row, standard in zip(plan.sampled.tolist(), plan.standard.tolist(), strict=True):
            assert not plan.paired[row]
            names[row] = "standard" if standard else "fitted"
        return names

    whole = shown(0, 12)
    assert whole == [kinds[i % len(kinds)] for i in range(12)]
    assert [name for start in range(0, 12, size) for name in shown(start, size)] == whole


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("size", [1, 2, 4, 12])
def test_the_share_of_reconstructions_is_that_of_the_whole_batch(kinds, size):
    cpu = torch.device("cpu")
    parts = [Fakes.of_rows(kinds, start, size, cpu, 12) for start in range(0, 12, size)]
    counted = sum(int(part.paired.sum()) for part in parts)
    assert {part.paired_share for part in parts} == {counted / 12}
    assert Fakes.of_rows(kinds, 0, 12, cpu).paired_share == counted / 12


def test_what_is_coarse_has_an_original_and_is_drawn():
    kinds = ["coarse", "fitted", "reconstructions"]
    plan = Fakes.of_rows(kinds, 1, 6, torch.device("cpu"))
    assert plan.paired.tolist() == [False, True, True, False, True, True]
    assert plan.sampled.tolist() == [0, 2, 3, 5]
    assert plan.reconstructed.tolist() == [1, 4]
    assert plan.coarse is not None and plan.coarse.tolist() == [False, True, False, True]
    assert plan.paired_share == 4 / 6
    assert plan.coarse_share == 2 / 6
    assert plan.invented.tolist() == [0, 2], "of the samples"
    assert Fakes.of_rows(["fitted"], 0, 2, torch.device("cpu")).coarse is None


def test_the_distortion_of_coarse_fakes_is_a_mean_over_the_batch_of_all_processes():
    cpu, kinds, nats = torch.device("cpu"), ["coarse", "fitted"], torch.arange(1.0, 7.0)
    whole = Fakes.of_rows(kinds, 0, 6, cpu)
    assert whole.coarse is not None
    made = outputs([0.0] * 6, [[0.0]] * 6, torch.ones(6, 1, 2, 2))
    told = whole.coarse_loss(dataclasses.replace(made, coarse=nats * whole.coarse), dims=4)
    assert told == (1 + 3 + 5) / 3 / 4
    parts = []
    for start in range(0, 6, 3):  # two coarse rows here, one there
        plan = Fakes.of_rows(kinds, start, 3, cpu, total=6)
        assert plan.coarse is not None and plan.coarse_share == 1 / 2
        own = nats[start : start + 3] * plan.coarse
        parts.append(plan.coarse_loss(dataclasses.replace(made, coarse=own), dims=4))
    assert sum(parts) / 2 == told
    assert whole.coarse_loss(made, dims=4) == 0, "a part without any"


def test_samples_take_their_rows():
    plan = Fakes.of_rows(["reconstructions", "fitted"], 0, 4, torch.device("cpu"))
    mixed = plan.mix(outputs([0.0] * 4, [[0.0]] * 4, torch.ones(2, 1, 2, 2)))
    assert mixed[:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    assert plan.mix(outputs([0.0] * 4, [[0.0]] * 4)).sum() == 0
