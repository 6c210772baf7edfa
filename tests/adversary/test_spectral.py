import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary import spectral
from hiresvae.adversary.discriminator import Discriminator


def make(**chosen: bool | str) -> Discriminator:
    settings = AdversarySettings(width=4, max_width=8, **chosen)  # type: ignore[arg-type]
    return Discriminator(settings, size=16, channels=3, classes=2)


def weights(module: nn.Module) -> dict[str, Tensor]:
    layers = {n: m for n, m in module.named_modules() if parametrize.is_parametrized(m, "weight")}
    return {name: layer.weight for name, layer in layers.items()}  # type: ignore[misc]


def grow(critic: nn.Module, factor: float) -> None:
    with torch.no_grad():
        for name, parameter in critic.named_parameters():
            if not name.endswith("bias"):
                parameter += 0.1 * torch.randn(parameter.shape)
                parameter *= factor


def slope(critic: Discriminator) -> float:
    """Largest change of a logit by a change of its picture; single pictures have no spread."""
    images = (torch.rand(6, 3, 16, 16) * 2 - 1).requires_grad_(True)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    rows = [critic(images[i : i + 1], labels[i : i + 1]).logits for i in range(6)]
    (gradient,) = torch.autograd.grad(torch.cat(rows).sum(), images)
    return gradient.flatten(1).norm(dim=1).max().item()


def test_every_weight_has_singular_values_of_one_at_most():
    critic = make(spectral_norm=True, condition="both", critic="multiscale")
    assert len(weights(critic)) == sum(
        isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding) for m in critic.modules()
    )
    grow(critic, 10.0)
    for _ in range(30):
        spectral.follow(critic)
    for name, weight in weights(critic).items():
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(
            1, abs=0.02
        ), name


def test_the_slope_is_bounded_however_large_the_weights():
    free, bounded = make(), make(spectral_norm=True)
    for critic in (free, bounded):
        grow(critic, 10.0)
    for _ in range(30):
        spectral.follow(bounded)
    once = slope(bounded)
    # Detail enlarges by 1 + 4 * 2 at most, a 3x3 layer by 3, a block by 1 + 3 * 3, a table by 2.
    assert once < 9 * 3 * 10**3 * 3 * 2
    assert slope(free) > 1e6
    grow(bounded, 10.0)
    for _ in range(30):
        spectral.follow(bounded)
    assert slope(bounded) < 9 * 3 * 10**3 * 3 * 2


def test_a_weight_below_one_is_left_as_it_is_and_zero_can_start():
    layer = nn.Linear(4, 4)
    nn.init.zeros_(layer.weight)
    spectral.bound(layer)
    weight = layer.parametrizations.weight
    spectral.follow(layer)
    layer(torch.ones(2, 4)).sum().backward()
    assert torch.equal(weight.original.grad, torch.full((4, 4), 2.0)), "not enlarged by 1 / 0"
    with torch.no_grad():
        weight.original.copy_(torch.diag(torch.tensor([0.5, 0.2, 0.1, 0.3])))
    spectral.follow(layer)
    torch.testing.assert_close(layer.weight, weight.original)
    with torch.no_grad():
        weight.original.mul_(8)
    for _ in range(30):
        spectral.follow(layer)
    torch.testing.assert_close(layer.weight, weight.original / 4)


def test_a_forward_changes_no_state_and_state_is_saved():
    critic = make(spectral_norm=True)
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    images = torch.rand(4, 3, 16, 16)
    first, again = critic.train()(images).logits, critic(images).logits
    assert torch.equal(first, again)
    after = critic.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert sum(name.endswith((".u", ".v")) for name in before) == 2 * len(weights(critic))
    other = make(spectral_norm=True)
    other.load_state_dict(before)
    assert torch.equal(other(images).logits, first)
