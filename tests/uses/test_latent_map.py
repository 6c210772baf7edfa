import sys

import numpy as np
import pytest
import torch

from hiresvae.uses.latent_map import plane, posteriors, projected, quantiles, traversals
from hiresvae.uses.latent_plots import posterior_against_prior, scatter


@pytest.fixture(scope="module")
def found_of():
    rng = torch.Generator().manual_seed(4)
    pictures = torch.randint(0, 256, (30, 3, 16, 16), generator=rng, dtype=torch.uint8)
    return lambda painter: posteriors(painter, pictures)


def test_figures_agree_with_the_models_own(make_painter, pictures):
    painter = make_painter(pyramid="1x1 4x2 8x1 16")
    found = posteriors(painter, pictures)
    assert torch.allclose(found.means, painter.encode(pictures)[0].flatten(1).cpu(), atol=1e-5)
    assert found.kl.sum() == pytest.approx(float(found.rates[0]), rel=1e-4)
    figures = found.figures()
    assert figures["latents"] == 6
    assert figures["active_units"] == int((found.means.var(0, correction=0) > 0.01).sum())
    assert len(figures["rate_nats_by_rung"]) == len(painter.model.latent_shapes)


def test_a_latent_that_says_nothing_is_idle(make_painter, found_of):
    painter = make_painter()
    rung = painter.model.decoder.rung_list[0]
    with torch.no_grad():
        rung.read.weight[1] = 0
    try:
        assert not found_of(painter).active[1]
    finally:
        rung.read.weight[1] = 0.1


def test_equally_likely_steps():
    steps = quantiles(4)
    assert torch.allclose(steps, -steps.flip(0), atol=1e-6)
    assert float(torch.special.ndtr(steps[0])) == pytest.approx(1 / 8, abs=1e-5)


def test_the_sheet_of_two_latents_holds_their_decodings(make_painter, found_of):
    painter = make_painter(latent_dim=2)
    sheet = plane(painter, found_of(painter), 3)
    assert sheet.shape == (9, 3, 16, 16)
    low, _, high = quantiles(3).tolist()
    corner = painter.decode([torch.tensor([low, high]).view(1, 2, 1, 1)])
    assert (sheet[0].int() - corner[0].int()).abs().max() <= 1, "top left: first low, second high"


def test_sheets_and_traversals_of_every_kind(painter, found_of):
    found = found_of(painter)
    assert plane(painter, found, 2).shape == (4, 3, 16, 16)
    strips, numbers = traversals(painter, found, 4, 5)
    assert strips.shape == (4, 5, 3, 16, 16)
    assert numbers == found.kl.argsort(descending=True)[:4].tolist()
    middles = strips[:, 2].int()
    assert (middles - middles[:1]).abs().max() <= 1, "in the middle all are the same picture"


def test_projections(refused, monkeypatch):
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(20, 5, generator=rng) * torch.tensor([9, 5, 0.1, 0.1, 0.1])
    points, words = projected(z, "pca")
    assert abs(np.corrcoef(points[:, 0], z[:, 0])[0, 1]) > 0.99
    assert "100% of the variance" in words
    same, words = projected(z[:, :2], "tsne")
    assert np.allclose(same, z[:, :2])
    assert words == "latent"
    assert projected(z, "tsne")[0].shape == (20, 2)
    monkeypatch.setitem(sys.modules, "umap", None)
    with refused("hiresvae[umap]"):
        projected(z, "umap")
    with refused("too few"):
        projected(z[:3], "pca")


def test_plots_are_written(make_painter, found_of, tmp_path):
    found = found_of(make_painter())
    posterior_against_prior(found, tmp_path / "posterior.png")
    points, axes = projected(found.means, "pca")
    scatter(points, np.arange(30) % 3, ("a", "b", "c"), axes, tmp_path / "classes.png")
    scatter(points, None, (), axes, tmp_path / "plain.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "classes.png",
        "plain.png",
        "posterior.png",
    ]
