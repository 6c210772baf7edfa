from dataclasses import replace

import pytest
import torch

from hiresvae.generator import load
from hiresvae.priors import Density
from hiresvae.uses.axes import ends, principal, spread
from hiresvae.uses.codes import decode, drawn


@pytest.fixture(scope="module")
def painter(trained):
    return load(trained, device="cpu")


def test_the_spread_of_a_mixture_is_that_of_its_samples():
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(3, 2, 2, generator=generator).tril()
    means = 2 * torch.randn(3, 2, generator=generator)
    mixture = Density("mixture", torch.tensor([0.5, 0.3, 0.2]).log(), means, roots)
    count = 40_000
    noise, choice = (
        torch.randn(count, 2, generator=generator),
        torch.rand(count, generator=generator),
    )
    there = mixture.sample(noise, choice)
    torch.testing.assert_close(spread(mixture).float(), torch.cov(there.T), rtol=0.05, atol=0.05)


def test_the_spread_of_classes_is_within_them():
    apart = torch.tensor([[-9.0, 0.0], [9.0, 0.0]])
    density = Density("classes", torch.tensor([0.5, 0.5]).log(), apart, torch.eye(2)[None])
    torch.testing.assert_close(spread(density), torch.eye(2).double())


def test_axes_are_strongest_first_and_one_deviation_long(painter):
    axes = principal(painter, 5)
    assert axes.steps.shape == (5, 8) and bool((axes.shares.diff() <= 0).all())
    assert 0 < float(axes.shares.sum()) <= 1.0001
    # In units of the prior they are at right angles and of length 1.
    white = torch.linalg.solve(spread(painter.prior), axes.steps.double().T)
    torch.testing.assert_close(
        axes.steps.double() @ white, torch.eye(5).double(), rtol=1e-3, atol=1e-3
    )
    again = principal(painter, 5)
    assert torch.equal(axes.steps, again.steps)


def test_the_first_axis_changes_the_middle_more_than_the_last(painter):
    narrowing = torch.diag(torch.linspace(0.5, 0.05, 8))[None]
    prior = Density("gaussian", torch.zeros(1), torch.zeros(1, 8), narrowing)
    painter = replace(painter, prior=prior)
    axes = principal(painter, 8)
    shown = ends(painter, axes, reach=1.0).float()
    middle = decode(painter, axes.middle).float()
    change = (shown - middle[:, None]).square().mean((1, 2, 3, 4))
    assert shown.shape == (8, 2, 3, 16, 16) and change[0] > change[-1]


def test_nothing_moves_by_nothing(painter):
    axes, codes = principal(painter, 3), drawn(painter, 4)
    still = axes.apply(codes, torch.zeros(3))
    assert torch.equal(still.latents[0], codes.latents[0])
    moved = axes.apply(codes, torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(moved.vector() - codes.vector(), 2 * axes.steps[1:2])


def test_a_ladder_moves_on_top_and_labels_are_the_most_frequent(laddered, labelled):
    ladder = load(laddered, device="cpu")
    axes, codes = principal(ladder, 2), drawn(ladder, 1)
    moved = axes.apply(codes, torch.tensor([1.0, 0.0]))
    pairs = list(zip(moved.latents, codes.latents, strict=True))
    top = ladder.model.settings.top_rungs
    assert top == 2 and not any(torch.equal(a, b) for a, b in pairs[:top])
    assert all(torch.equal(a, b) for a, b in pairs[top:])
    told = load(labelled, device="cpu")
    weights = principal(told, 2).middle.labels
    assert int(weights.argmax()) == max(range(len(told.shares)), key=told.shares.__getitem__)
