from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary, Verdict
from hiresvae.adversary.discriminator import Discriminator, Judgement
from hiresvae.seeding import Noise, Shard

LOSSES = ("relativistic", "non_saturating", "hinge", "least_squares")
PAIRED = torch.tensor([True, False, True, False])


class Linear(nn.Module):
    """The critic ``D(x) = a . x``, of which everything is known; its features are the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.randn(3, 16, 16) / 20)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        return Judgement((images * self.slope).sum((1, 2, 3))[:, None], {16: images})


def adversary(**chosen: Any) -> Adversary:
    return Adversary(AdversarySettings(**{"augment": [], "width": 4, "max_width": 8, **chosen}))


def judge(
    opponent: Adversary,
    critic: nn.Module,
    real: Tensor,
    fakes: Tensor,
    *,
    paired: Tensor = PAIRED,
    penalty: bool = False,
) -> Verdict:
    noise = Noise(0, 0, Shard(4, 0, 4))
    return opponent.judge(critic, real, fakes, None, paired=paired, noise=noise, penalty=penalty)


@pytest.fixture
def real() -> Tensor:
    return torch.rand(4, 3, 16, 16) * 2 - 1


@pytest.fixture
def fakes() -> Tensor:
    return torch.rand(4, 3, 16, 16) * 2 - 1


@pytest.fixture
def critic() -> Discriminator:
    network = Discriminator(AdversarySettings(width=4, max_width=8), size=16, channels=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return network


@pytest.mark.parametrize("loss", LOSSES)
def test_sign_of_the_push_on_the_fakes_by_hand(loss: str, real: Tensor, fakes: Tensor):
    critic, opponent = Linear(), adversary(loss=loss, weight=0.5, feature_matching=0.0)
    verdict = judge(opponent, critic, real, fakes)
    (push,) = torch.autograd.grad(opponent.model_loss(verdict, share=0.25), verdict.fakes)
    a = critic.slope.detach()
    r, f = (real * a).sum((1, 2, 3)), (fakes * a).sum((1, 2, 3))
    # d softplus(-m) = -sigmoid(-m): against a, so a step down lifts the fake's logit.
    lift = {
        "relativistic": torch.sigmoid(r - f),
        "non_saturating": torch.sigmoid(-f),
        "hinge": torch.ones(4),
        "least_squares": 1 - f,
    }[loss]
    expected = -0.25 * 0.5 / 4 * lift[:, None, None, None] * a
    torch.testing.assert_close(push, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_sign_of_the_critics_own_gradient_by_hand(loss: str, real: Tensor, fakes: Tensor):
    critic, opponent = Linear(), adversary(loss=loss)
    opponent.critic_loss(judge(opponent, critic, real, fakes)).backward()
    a = critic.slope.detach()
    r, f = ((x * a).sum((1, 2, 3))[:, None, None, None] for x in (real, fakes))
    rows = {
        "relativistic": torch.sigmoid(f - r) * (fakes - real),
        "non_saturating": torch.sigmoid(f) * fakes - torch.sigmoid(-r) * real,
        "hinge": (f > -1) * fakes - (r < 1) * real,
        "least_squares": f * fakes + (r - 1) * real,
    }[loss]
    torch.testing.assert_close(critic.slope.grad, rows.mean(0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_sign_reversed_one_decoder_step_helps_the_fakes_on_a_frozen_critic(
    loss: str, critic: Discriminator, real: Tensor
):
    opponent = adversary(loss=loss, feature_matching=0.0)
    decoder = nn.Conv2d(3, 3, 3, padding=1)
    latents = torch.randn(4, 3, 16, 16)
    made = decoder(latents)
    verdict = judge(opponent, critic, real, made)
    before = opponent.model_loss(verdict, 1.0)
    # The critic's backward comes first on purpose: it must not add to the decoder's push.
    opponent.critic_loss(verdict).backward(retain_graph=True)
    (push,) = torch.autograd.grad(before, verdict.fakes)
    made.backward(push)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter -= 0.01 * parameter.grad / parameter.grad.norm()
    after = judge(opponent, critic, real, decoder(latents))
    assert opponent.model_loss(after, 1.0) < before
    assert opponent.critic_loss(after) > opponent.critic_loss(verdict)


@pytest.mark.parametrize("penalty", [False, True])
def test_fakes_undetached_each_side_leaves_nothing_in_the_other(
    critic: Discriminator, real: Tensor, penalty: bool
):
    decoder = nn.Conv2d(3, 3, 1)
    made = decoder(torch.randn(4, 3, 16, 16))
    opponent = adversary(augment=["color", "translation", "cutout"])
    verdict = judge(opponent, critic, real, made, penalty=penalty)
    (push,) = torch.autograd.grad(
        opponent.model_loss(verdict, 1.0), verdict.fakes, retain_graph=True
    )
    assert (push.abs().flatten(1).amax(1) > 0).all()
    assert all(parameter.grad is None for parameter in critic.parameters())
    opponent.critic_loss(verdict).backward(inputs=list(critic.parameters()))
    assert all(parameter.grad is None for parameter in decoder.parameters())
    assert verdict.fakes.grad is None and real.grad is None
    made.backward(push)
    assert all(parameter.grad.abs().max() > 0 for parameter in decoder.parameters())


def test_the_critics_gradient_is_the_same_with_and_without_the_models_before_it(
    critic: Discriminator, real: Tensor, fakes: Tensor
):
    opponent = adversary()
    grads = []
    for model_first in (False, True):
        critic.zero_grad()
        verdict = judge(opponent, critic, real, fakes, penalty=True)
        if model_first:
            loss = opponent.model_loss(verdict, 1.0)
            torch.autograd.grad(loss, verdict.fakes, retain_graph=True)
        opponent.critic_loss(verdict).backward()
        grads.append([parameter.grad.clone() for parameter in critic.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_critic_that_never_stepped_every_weight_moves(
    critic: Discriminator, real: Tensor, fakes: Tensor
):
    # The last bias cancels in a relativistic loss, so the other one shows all weights.
    opponent = adversary(loss="non_saturating")
    opponent.critic_loss(judge(opponent, critic, real, fakes)).backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_feature_matching_of_equal_pictures_is_zero_under_augmentation(
    critic: Discriminator, real: Tensor
):
    # Only because a reconstruction is changed exactly as its original.
    opponent = adversary(augment=["color", "translation", "cutout"])
    verdict = judge(opponent, critic, real, real.clone())
    assert verdict.model["feature_matching"].tolist() == [0.0] * 4
    torch.testing.assert_close(verdict.real_logits, verdict.fake_logits, rtol=1e-5, atol=1e-5)


def test_feature_matching_sign_pulls_reconstructions_only_towards_their_originals(
    real: Tensor, fakes: Tensor
):
    opponent = adversary(weight=0.0, feature_matching=2.0)
    verdict = judge(opponent, Linear(), real, fakes)
    told = verdict.model["feature_matching"]
    assert not told[~PAIRED].any(), "a sample has no original"
    off = (fakes - real).abs().flatten(1).mean(1)
    torch.testing.assert_close(told.mean(), off[PAIRED].mean())
    (push,) = torch.autograd.grad(opponent.model_loss(verdict, share=0.5), verdict.fakes)
    # L1 of the pictures themselves: mean over two rows of 768 numbers, times 0.5 * 2.
    expected = (fakes - real).sign() / 768 / 2 * PAIRED[:, None, None, None]
    torch.testing.assert_close(push, expected)


def test_without_reconstructions_among_the_fakes_nothing_is_matched(real: Tensor, fakes: Tensor):
    opponent = adversary(weight=0.5)
    verdict = judge(opponent, Linear(), real, fakes, paired=torch.zeros(4, dtype=torch.bool))
    expected = 0.5 * verdict.model["adversarial"].mean()
    torch.testing.assert_close(opponent.model_loss(verdict, 1.0), expected)


def test_penalties_of_a_linear_critic(real: Tensor, fakes: Tensor):
    critic, opponent = Linear(), adversary(gamma=0.3, penalty_every=4)
    verdict = judge(opponent, critic, real, fakes, penalty=True)
    half = 0.5 * critic.slope.detach().square().sum()
    for name in ("r1", "r2"):
        torch.testing.assert_close(verdict.critic[name].detach(), half.expand(4))
    expected = verdict.critic["critic"].mean() + 0.3 * 4 * 2 * half
    torch.testing.assert_close(opponent.critic_loss(verdict), expected)


def test_lazy_penalty_every_k_steps_equals_each_step_on_average(real: Tensor, fakes: Tensor):
    critic, totals = Linear(), []
    for every in (1, 4):
        opponent = adversary(penalty_every=every)
        critic.zero_grad()
        for step in range(8):
            due = opponent.penalises(step)
            verdict = judge(opponent, critic, real, fakes, penalty=due)
            assert ("r1" in verdict.critic) == due == (step % every == 0)
            opponent.critic_loss(verdict).backward()
        totals.append(critic.slope.grad.clone())
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-4, atol=1e-6)


def test_penalties_reach_the_critics_weights_through_all_augmentation(
    critic: Discriminator, real: Tensor, fakes: Tensor
):
    opponent = adversary(augment=["color", "translation", "cutout"])
    verdict = judge(opponent, critic, real, fakes, penalty=True)
    for name in ("r1", "r2"):
        (grad,) = torch.autograd.grad(
            verdict.critic[name].sum(), critic.trunk.stem.weight, retain_graph=True
        )
        assert grad.isfinite().all() and grad.abs().max() > 0


def test_logits_reported_are_those_of_the_critic_and_hold_no_graph(real: Tensor, fakes: Tensor):
    critic = Linear()
    verdict = judge(adversary(), critic, real, fakes)
    torch.testing.assert_close(verdict.real_logits, critic(real).logits[:, 0].detach())
    torch.testing.assert_close(verdict.fake_logits, critic(fakes).logits[:, 0].detach())
    assert not verdict.real_logits.requires_grad and not verdict.fake_logits.requires_grad
