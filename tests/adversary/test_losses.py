import math

import pytest
import torch
from torch import Tensor

from hiresvae.adversary.losses import (
    critic_loss,
    feature_distance,
    gradient_penalty,
    lecam,
    mean_distance,
    model_loss,
)


def leaf(*values: float) -> Tensor:
    return torch.tensor(values)[:, None].requires_grad_(True)


ALONE = torch.ones(1)
"""The share of a critic's only logit."""


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_values_by_hand():
    real, fake = leaf(2.0, 0.0), leaf(-1.0, 0.0)
    log2 = math.log(2)

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    expected = {
        ("relativistic", critic_loss): [softplus(-3), log2],
        ("relativistic", model_loss): [softplus(3), log2],
        ("non_saturating", critic_loss): [softplus(-2) + softplus(-1), 2 * log2],
        ("non_saturating", model_loss): [softplus(1), log2],
        ("minimax", critic_loss): [softplus(-2) + softplus(-1), 2 * log2],
        ("minimax", model_loss): [-softplus(-1), -log2],  # ln(1 - D)
    }
    for (name, loss), values in expected.items():
        result = loss(name, real, fake, ALONE)
        assert result.shape == (2,)
        assert result.tolist() == pytest.approx(values)


def test_sign_and_size_of_every_gradient_by_hand():
    real, fake = leaf(0.5), leaf(-1.5)
    gap = 2.0
    expected = {
        # d softplus(f - r): the critic lifts the real and sinks the fake, by the same amount.
        ("relativistic", critic_loss): (-sigmoid(-gap), sigmoid(-gap)),
        # d softplus(r - f): the model the reverse.
        ("relativistic", model_loss): (sigmoid(gap), -sigmoid(gap)),
        ("non_saturating", critic_loss): (-sigmoid(-0.5), sigmoid(-1.5)),
        ("non_saturating", model_loss): (0.0, -sigmoid(1.5)),
        # d ln(1 - D) is -D: little where the critic is certain of a fake.
        ("minimax", critic_loss): (-sigmoid(-0.5), sigmoid(-1.5)),
        ("minimax", model_loss): (0.0, -sigmoid(-1.5)),
    }
    for (name, loss), (at_real, at_fake) in expected.items():
        value = loss(name, real, fake, ALONE).sum()
        grads = torch.autograd.grad(value, (real, fake), allow_unused=True)
        found = [0.0 if grad is None else grad.item() for grad in grads]
        assert found == pytest.approx([at_real, at_fake])


def test_losses_stay_finite_for_huge_logits():
    for name in ("relativistic", "non_saturating", "minimax", "hinge", "least_squares"):
        for loss in (critic_loss, model_loss):
            assert loss(name, torch.tensor([[1e4]]), torch.tensor([[-1e4]]), ALONE).isfinite().all()


def layers(seed: int) -> dict[int, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {side: torch.randn(4, 3, side, side, generator=rng) for side in (4, 8)}


def test_feature_matching_of_equal_features_is_zero():
    assert (feature_distance(layers(0), layers(0)) == 0).all()


def test_feature_matching_weighs_layers_alike_whatever_their_size():
    features, targets = layers(0), layers(0)
    targets[4] = targets[4] + 2
    assert feature_distance(features, targets).tolist() == pytest.approx([1.0] * 4)
    targets[8] = targets[8] - 4
    assert feature_distance(features, targets).tolist() == pytest.approx([3.0] * 4)


def test_feature_matching_sign_pulls_towards_the_target_which_stays():
    features, targets = layers(0), layers(1)
    for side in features:
        features[side].requires_grad_(True)
        targets[side].requires_grad_(True)
    feature_distance(features, targets).sum().backward()
    for side in features:
        down = -features[side].grad
        assert torch.equal(down.sign(), (targets[side] - features[side]).sign())
        assert targets[side].grad is None


def test_gradient_penalty_of_a_linear_critic_is_half_its_squared_slope():
    slope = torch.randn(3, 8, 8, requires_grad=True)
    images = torch.randn(4, 3, 8, 8, requires_grad=True)
    penalty = gradient_penalty((images * slope).sum((1, 2, 3))[:, None] + 5, images, ALONE)
    torch.testing.assert_close(penalty, (0.5 * slope.square().sum()).expand(4))
    # Differentiable: d |a|^2 / 2 = a, from each of four rows.
    penalty.sum().backward()
    torch.testing.assert_close(slope.grad, 4 * slope.detach())


def test_shares_weigh_the_logits_of_a_picture():
    real, fake = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    shares = torch.tensor([0.75, 0.25])
    apart = [
        critic_loss("relativistic", real[:, i : i + 1], fake[:, i : i + 1], ALONE) for i in (0, 1)
    ]
    together = critic_loss("relativistic", real, fake, shares)
    torch.testing.assert_close(together, 0.75 * apart[0] + 0.25 * apart[1])


def test_patches_that_see_parts_are_held_as_smooth_as_pictures_of_their_own():
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    slope = torch.randn(3, 4, 8)
    upper, lower = ((images[:, :, half] * slope).sum((1, 2, 3)) for half in (slice(4), slice(4, 8)))
    patches = torch.stack([upper, lower], dim=1)
    penalty = gradient_penalty(patches, images, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(penalty, (0.5 * slope.square().sum()).expand(2))


def test_values_of_hinge_and_least_squares_by_hand():
    real, fake = leaf(2.0, 0.5), leaf(-1.5, 0.25)
    expected = {
        ("hinge", critic_loss): [0.0, 0.5 + 1.25],
        ("hinge", model_loss): [1.5, -0.25],
        ("least_squares", critic_loss): [0.5 + 1.125, 0.125 + 0.03125],
        ("least_squares", model_loss): [3.125, 0.28125],
    }
    for (name, loss), values in expected.items():
        assert loss(name, real, fake, ALONE).tolist() == pytest.approx(values)


def test_sign_and_size_of_gradients_of_hinge_and_least_squares_by_hand():
    real, fake = leaf(0.5), leaf(-0.25)
    expected = {
        ("hinge", critic_loss): (-1.0, 1.0),
        ("hinge", model_loss): (0.0, -1.0),
        ("least_squares", critic_loss): (-0.5, -0.25),
        ("least_squares", model_loss): (0.0, -1.25),
    }
    for (name, loss), (at_real, at_fake) in expected.items():
        value = loss(name, real, fake, ALONE).sum()
        grads = torch.autograd.grad(value, (real, fake), allow_unused=True)
        found = [0.0 if grad is None else grad.item() for grad in grads]
        assert found == pytest.approx([at_real, at_fake]), name
    # Past its margin a hinge is at rest.
    value = critic_loss("hinge", (real + 1).detach().requires_grad_(), fake - 1, ALONE)
    assert torch.autograd.grad(value.sum(), fake)[0].item() == 0.0


def test_the_critic_of_mean_features_learns_by_cross_entropy_and_the_model_has_no_such_loss():
    real, fake = leaf(2.0, 0.0), leaf(-1.0, 0.0)
    torch.testing.assert_close(
        critic_loss("mean_features", real, fake, ALONE),
        critic_loss("non_saturating", real, fake, ALONE),
    )
    for loss, name in ((model_loss, "mean_features"), (critic_loss, "wgan"), (model_loss, "wgan")):
        with pytest.raises(ValueError, match=name):
            loss(name, real, fake, ALONE)


def test_lecam_by_hand():
    real, fake = leaf(2.0, -3.0), leaf(-1.0, 4.0)
    penalty = lecam(real, fake, torch.tensor(1.5), torch.tensor(-0.5), ALONE)
    # Reals are drawn down to the mean fake, fakes up to the mean real, and none beyond.
    assert penalty.tolist() == pytest.approx([2.5**2 + 2.5**2, 0.0])
    at_real, at_fake = torch.autograd.grad(penalty.sum(), (real, fake))
    assert at_real[:, 0].tolist() == pytest.approx([5.0, 0.0])
    assert at_fake[:, 0].tolist() == pytest.approx([-5.0, 0.0])


def test_squared_feature_distance_by_hand():
    features, targets = layers(0), layers(0)
    targets[4] = targets[4] + 2
    targets[8] = targets[8] - 4
    expected = (0.5 * 4 + 0.5 * 16) / 2
    assert feature_distance(features, targets, "squared").tolist() == pytest.approx([expected] * 4)
    features[4].requires_grad_(True)
    feature_distance(features, targets, "squared").sum().backward()
    torch.testing.assert_close(features[4].grad, (features[4] - targets[4]).detach() / 48 / 2)


def test_mean_distance_has_the_value_and_the_gradient_of_half_the_squared_gap():
    made, real = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5)
    honest = 0.5 * (made.mean(0) - real.mean(0)).square().mean()
    (expected,) = torch.autograd.grad(honest, made)
    gap = (made.mean(0) - real.mean(0))[None]
    told = mean_distance(made, gap)
    torch.testing.assert_close(told, honest.expand(6))
    (found,) = torch.autograd.grad(told.mean(), made)
    torch.testing.assert_close(found, expected)
    stepped = (made - 0.1 * found).mean(0) - real.mean(0)
    assert stepped.norm() < gap.norm()
