import torch
from torch import Tensor

from hiresvae.models.encoder import Trunk


def trunk(sides: list[int], condition_dim: int = 0, attention: tuple[int, ...] = ()) -> Trunk:
    widths = [4, 8, 8, 8][: len(sides)]
    return Trunk(sides, widths, 3, blocks=1, attention=list(attention), condition_dim=condition_dim)


def test_features_by_side(images: Tensor):
    features = trunk([16, 8, 4, 1])(images)
    assert {side: tuple(f.shape) for side, f in features.items()} == {
        16: (4, 4, 16, 16),
        8: (4, 8, 8, 8),
        4: (4, 8, 4, 4),
        1: (4, 8, 1, 1),
    }


def test_a_condition_changes_nothing_at_the_start(images: Tensor):
    network = trunk([16, 8, 1], condition_dim=5)
    plain, steered = network(images), network(images, torch.randn(4, 5))
    assert all(torch.equal(plain[side], steered[side]) for side in plain)


def test_attention_sits_at_the_sides_that_ask_for_it(images: Tensor):
    network = trunk([16, 8, 4], attention=(8,))
    kinds = [[type(layer).__name__ for layer in stage] for stage in network.blocks]
    assert kinds == [["Residual"], ["Residual", "Attention"], ["Residual"]]
    assert network(images)[8].shape == (4, 8, 8, 8)
