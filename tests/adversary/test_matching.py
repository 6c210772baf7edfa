"""Classes, means and the published CVAE-GAN: what the adversary does beside its loss."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary, Verdict
from hiresvae.adversary.averages import Averages
from hiresvae.adversary.discriminator import Discriminator
from hiresvae.seeding import Noise, Shard

LABELS = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
PAIRED = torch.tensor([True, False] * 4)
PUBLISHED = {
    "loss": "mean_features",
    "condition": "classifier",
    "classifier": 0.0,
    "feature_layer": "last",
    "feature_distance": "squared",
    "classifier_matching": 0.5,
    "mean_matching": 0.25,
    "class_mean_matching": 0.125,
}


def make(**chosen: Any) -> tuple[Adversary, Discriminator]:
    settings = AdversarySettings(**{"augment": [], "width": 4, "max_width": 8, **chosen})
    critic = Discriminator(settings, size=16, channels=3, classes=2)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return Adversary(settings, Averages(settings, critic)), critic


def judge(
    opponent: Adversary,
    critic: Discriminator,
    real: Tensor,
    fakes: Tensor,
    labels: Tensor = LABELS,
    paired: Tensor = PAIRED,
) -> Verdict:
    noise = Noise(0, 0, Shard(len(real), 0, len(real)))
    return opponent.judge(critic, real, fakes, labels, paired=paired, noise=noise, penalty=False)


def push(opponent: Adversary, verdict: Verdict) -> Tensor:
    (gradient,) = torch.autograd.grad(
        opponent.model_loss(verdict, 1.0), verdict.fakes, retain_graph=True
    )
    return gradient


def pictures(labels: Tensor, seed: int) -> Tensor:
    """Dark pictures of class 0, bright ones of class 1."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(labels), 3, 16, 16, generator=rng) - 0.5
    return noise + (labels.float() - 0.5)[:, None, None, None]


@pytest.fixture
def real() -> Tensor:
    return pictures(LABELS, 0)


@pytest.fixture
def fakes() -> Tensor:
    return pictures(LABELS, 1)


@pytest.mark.parametrize("trunk", ["shared", "own"])
def test_the_classifier_learns_nothing_of_fakes(real: Tensor, fakes: Tensor, trunk: str):
    opponent, critic = make(condition="classifier", classifier_trunk=trunk)
    own = [p for n, p in critic.named_parameters() if n.startswith("class_")]
    grads = []
    for made in (fakes, -fakes):
        critic.zero_grad()
        opponent.critic_loss(judge(opponent, critic, real, made)).backward()
        grads.append([p.grad.clone() for p in own])  # type: ignore[union-attr]
    assert all(grad.abs().max() > 0 for grad in grads[0])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)


def test_cross_entropy_and_accuracy_by_hand_and_the_models_push_to_the_class(
    real: Tensor, fakes: Tensor
):
    opponent, critic = make(condition="both", weight=0.0, feature_matching=0.0, classifier=0.5)
    verdict = judge(opponent, critic, real, fakes)
    for name, term, images in (
        ("real", verdict.critic["real_class_nats"], real),
        ("fake", verdict.model["fake_class_nats"], fakes),
    ):
        logits = critic(images, LABELS).class_logits
        shares = logits.exp() / logits.exp().sum(1, keepdim=True)
        torch.testing.assert_close(term, -shares[torch.arange(8), LABELS].log())
        right = (logits.argmax(1) == LABELS).float()
        assert torch.equal(verdict.shown[f"{name}_class_accuracy"], right)
    pushed = push(opponent, verdict)
    stepped = fakes - 0.1 * pushed / pushed.flatten(1).norm(dim=1)[:, None, None, None]
    after = judge(opponent, critic, real, stepped).model["fake_class_nats"]
    assert (after < verdict.model["fake_class_nats"]).all()
    total = opponent.critic_loss(verdict)
    torch.testing.assert_close(
        total, verdict.critic["critic"].mean() + verdict.critic["real_class_nats"].mean()
    )


@pytest.mark.parametrize("condition", ["projection", "classifier"])
def test_label_never_reaches_the_critic_it_comes_to_notice_a_wrong_one(condition: str):
    opponent, critic = make(condition=condition, loss="non_saturating")
    optimizer = torch.optim.Adam(critic.parameters(), 4e-3)
    for step in range(25):
        # Fakes look real, but are of the other class than they say.
        real, wrong = pictures(LABELS, step), pictures(1 - LABELS, 100 + step)
        optimizer.zero_grad()
        opponent.critic_loss(judge(opponent, critic, real, wrong)).backward()
        optimizer.step()
    fresh = pictures(LABELS, 999)
    right, wrong_label = critic(fresh, LABELS), critic(fresh, 1 - LABELS)
    if condition == "projection":
        assert (right.logits > wrong_label.logits).all()
    else:
        assert right.class_logits is not None
        assert torch.equal(right.class_logits.argmax(1), LABELS)
        verdict = judge(opponent, critic, fresh, fresh, labels=1 - LABELS)
        assert (verdict.model["fake_class_nats"] > 0.7).all(), "a fake of the wrong class pays"
        assert not verdict.shown["fake_class_accuracy"].any()


def test_the_model_of_mean_features_never_sees_the_critics_verdict(real: Tensor, fakes: Tensor):
    # Of patches: a critic of the whole compares neighbours, so a row feels what is asked of others.
    opponent, critic = make(**PUBLISHED, weight=100.0, critic="patch")
    verdict = judge(opponent, critic, real, fakes)
    assert "adversarial" not in verdict.model
    before = push(opponent, verdict)
    assert before[::2].abs().amax((1, 2, 3)).gt(0).all(), "reconstructions are pulled"
    assert not before[1::2].any(), "of samples nothing is known in the first step"
    with torch.no_grad():
        critic.patches["4"].verdict.weight.neg_()
    torch.testing.assert_close(push(opponent, judge(opponent, critic, real, fakes)), before)


def test_all_terms_of_the_published_loss_by_hand(real: Tensor, fakes: Tensor):
    opponent, critic = make(**PUBLISHED)
    opponent.observe(judge(opponent, critic, real, fakes).observed, 8)
    verdict = judge(opponent, critic, real, fakes)
    of_real, of_fake = critic(real, LABELS), critic(fakes, LABELS)

    def half(a: Tensor, b: Tensor) -> Tensor:
        return 0.5 * (a - b).square().mean(-1)

    samples = ~PAIRED
    by_class = [
        half(
            of_fake.class_embedding[samples & (LABELS == c)].mean(0),
            of_real.class_embedding[LABELS == c].mean(0),
        )
        for c in (0, 1)
    ]
    # Of one kind's rows, of which there are half, each counts twice in a mean over all.
    expected = {
        "feature_matching": half(of_fake.embedding, of_real.embedding) * 2 * PAIRED,
        "classifier_matching": half(of_fake.class_embedding, of_real.class_embedding) * 2 * PAIRED,
        "mean_matching": half(of_fake.embedding[samples].mean(0), of_real.embedding.mean(0))
        * (2 * samples),
        "class_mean_matching": torch.stack([by_class[int(c)] for c in LABELS]) * 2 * samples,
    }
    assert verdict.model.keys() == expected.keys()
    for name, rows in expected.items():
        torch.testing.assert_close(verdict.model[name], rows, rtol=1e-4, atol=1e-6, msg=name)
    total = sum(getattr(opponent.settings, name) * rows.mean() for name, rows in expected.items())
    torch.testing.assert_close(opponent.model_loss(verdict, 0.5), 0.5 * total)


@pytest.mark.parametrize("term", ["mean_matching", "class_mean_matching"])
def test_matched_means_come_nearer_and_the_reals_are_constants(
    term: str, real: Tensor, fakes: Tensor
):
    chosen = {**PUBLISHED, "feature_matching": 0.0, "classifier_matching": 0.0}
    chosen |= {"mean_matching": 0.0, "class_mean_matching": 0.0, term: 1.0, "critic": "patch"}
    opponent, critic = make(**chosen)
    opponent.observe(judge(opponent, critic, real, -fakes).observed, 8)
    verdict = judge(opponent, critic, real, -fakes)
    pushed = push(opponent, verdict)
    assert not pushed[::2].any(), "reconstructions have their own originals"
    assert pushed[1::2].abs().amax((1, 2, 3)).gt(0).all()
    assert all(p.grad is None for p in critic.parameters()) and real.grad is None
    before = verdict.model[term].mean()
    step = 0.05 * before.detach() / pushed.square().sum()  # 5% less, were it linear
    opponent.averages.kept[0].totals.zero_()
    opponent.observe(judge(opponent, critic, real, -fakes - step * pushed).observed, 8)
    after = judge(opponent, critic, real, -fakes).model[term].mean()
    assert 0.9 * before < after < 0.99 * before


def test_a_class_is_matched_to_its_own_and_not_to_another(real: Tensor, fakes: Tensor):
    chosen = {**PUBLISHED, "feature_matching": 0.0, "classifier_matching": 0.0}
    opponent, critic = make(**(chosen | {"mean_matching": 0.0}))
    # Made pictures of class 1 are right, those of class 0 are the bright ones too.
    swapped = torch.where((LABELS == 0)[:, None, None, None], -real, real)
    opponent.observe(judge(opponent, critic, real, swapped, paired=PAIRED & False).observed, 8)
    gap = opponent.averages.classes.gap()
    assert gap[0].abs().max() > 1e-3 and gap[1].abs().max() < 1e-6
    pushed = push(opponent, judge(opponent, critic, real, fakes, paired=PAIRED & False))
    assert pushed[LABELS == 0].abs().amax((1, 2, 3)).gt(1e-9).all()
    assert pushed[LABELS == 1].abs().max() < 1e-3 * pushed[LABELS == 0].abs().max()


def test_two_shards_of_a_batch_feel_and_tell_what_the_whole_does(real: Tensor, fakes: Tensor):
    opponent, critic = make(**PUBLISHED, lecam=0.1, weight=0.5, feature_matching=1.0)
    opponent.observe(judge(opponent, critic, real, fakes).observed, 8)
    whole = judge(opponent, critic, real, fakes)
    halves = [
        judge(opponent, critic, real[r], fakes[r], LABELS[r], PAIRED[r])
        for r in (slice(0, 4), slice(4, 8))  # groups of four: the critic's own comparison
    ]
    for name, term in whole.model.items():
        torch.testing.assert_close(term, torch.cat([h.model[name] for h in halves]), msg=name)
    pushes = [push(opponent, half) / 2 for half in halves]
    torch.testing.assert_close(push(opponent, whole), torch.cat(pushes), rtol=1e-4, atol=5e-8)
    for one, *two in zip(whole.observed, *(h.observed for h in halves), strict=True):
        torch.testing.assert_close(one, two[0] + two[1])


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_parts_that_miss_a_kind_together_push_as_the_whole_does(
    real: Tensor, fakes: Tensor, rows: int
):
    """Of three kinds: a part of one row is of one of them."""
    # Of patches: a critic of the whole compares rows in fours.
    opponent, critic = make(**PUBLISHED, lecam=0.1, critic="patch")
    real, fakes, labels = (x.repeat(3, *(1,) * (x.ndim - 1))[:12] for x in (real, fakes, LABELS))
    paired = torch.arange(12) % 3 == 0
    opponent.observe(judge(opponent, critic, real, fakes, labels, paired).observed, 12)

    def parts(size: int) -> tuple[list[Tensor], list[Tensor], dict[str, Tensor]]:
        critic.zero_grad()
        pushes, told = [], []
        for start in range(0, 12, size):
            own = slice(start, start + size)
            verdict = opponent.judge(
                critic, real[own], fakes[own], labels[own], paired=paired[own],
                noise=Noise(0, 0, Shard(12, start, start + size)), penalty=True,
                paired_share=4 / 12,
            )  # fmt: skip
            pushes.append(push(opponent, verdict) * size / 12)
            (opponent.critic_loss(verdict) * size / 12).backward(inputs=list(critic.parameters()))
            told.append(verdict.means())
        means = {name: torch.stack([t[name] for t in told]).mean() for name in told[0]}
        assert all(t.keys() == told[0].keys() for t in told)
        return [torch.cat(pushes)], [p.grad.clone() for p in critic.parameters()], means

    whole, split = parts(12), parts(rows)
    for one, two in zip(whole[0] + whole[1], split[0] + split[1], strict=True):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6 * one.abs().max().item())
    matched = {"feature_matching", "classifier_matching", "mean_matching", "class_mean_matching"}
    assert all(whole[2][name] > 0 for name in matched)
    for name, value in whole[2].items():
        torch.testing.assert_close(split[2][name], value, msg=name)


def test_lecam_knows_nothing_at_first_and_then_the_last_means(real: Tensor, fakes: Tensor):
    opponent, critic = make(lecam=0.5)
    first = judge(opponent, critic, real, fakes)
    assert not first.critic["lecam"].any()
    opponent.observe(first.observed, 8)
    r, f = first.real_logits, first.fake_logits
    expected = (r - f.mean()).relu().square() + (r.mean() - f).relu().square()
    verdict = judge(opponent, critic, real, fakes)
    torch.testing.assert_close(verdict.critic["lecam"], expected)
    torch.testing.assert_close(
        opponent.critic_loss(verdict), verdict.critic["critic"].mean() + 0.5 * expected.mean()
    )


def test_without_any_row_to_match_there_is_no_push(real: Tensor, fakes: Tensor):
    opponent, critic = make(loss="mean_features")
    verdict = judge(opponent, critic, real, fakes, paired=PAIRED & False)
    assert not push(opponent, verdict).any()
