import math
from dataclasses import replace

import pytest
import torch

from hiresvae.images import to_float, to_uint8
from hiresvae.models.draws import FromPrior, Given
from hiresvae.seeding import picture_noise
from hiresvae.uses.anomaly import Scores, complexity, heat, overlay, scores, threshold, typical


def test_the_bound_is_tighter_than_the_models_own(make_painter, pictures):
    painter = make_painter(scale=0.5)
    many = scores(painter, pictures, draws=32)
    dims = 3 * 16 * 16
    bound = torch.stack([-painter.elbo(pictures, seed=s) for s in range(32)]).mean(0)
    in_bits = (bound.double() + dims * math.log(127.5)) / math.log(2)
    assert (many.bits <= in_bits + 1e-3).all(), "an importance weighted bound is never looser"
    alone = [scores(painter, pictures, draws=1, seed=s).bits for s in range(32)]
    assert torch.allclose(torch.stack(alone).mean(0), in_bits, rtol=0.02)
    assert torch.allclose(many.score, many.bits - complexity(pictures))


def test_figures_of_every_kind_of_model(painter, pictures):
    got = scores(painter, pictures, draws=2)
    assert got.rates.shape == (5, len(painter.model.latent_shapes))
    assert got.squares.shape == (5, 16, 16)
    assert got.bits.isfinite().all()
    again = scores(painter, pictures[3:], draws=2).squares
    assert torch.allclose(again, got.squares[3:], atol=1e-5)


def test_errors_by_rung_keep_the_top_and_take_the_prior_below(make_painter, pictures):
    painter = make_painter(pyramid="1x1 4x2 8x1 16")
    rungs = len(painter.model.latent_shapes)
    got = scores(painter, pictures, draws=1)
    assert got.errors.shape == (5, rungs)
    torch.testing.assert_close(got.errors[:, -1], got.error)
    latents = painter.encode(pictures)
    for kept in range(1, rungs):
        given = Given([z.clone() for z in latents[:kept]], FromPrior(None))
        walk = painter.model.walk(given, None, len(pictures))
        again = painter.model.likelihood(walk.head).mean
        error = (again - to_float(pictures)).square().mean((1, 2, 3))
        torch.testing.assert_close(got.errors[:, kept - 1], error)
    assert len({round(float(e), 5) for e in got.errors[0]}) == rungs, "each rung says something"


def test_a_model_of_black_and_white_is_asked_about_such(make_painter, pictures):
    painter = make_painter(likelihood="bernoulli")
    data = painter.settings.data.model_copy(update={"binarize": True})
    painter.settings = painter.settings.model_copy(update={"data": data})
    noise = picture_noise(0, list(range(len(pictures))), painter.device)
    seen = to_uint8(painter.observed(pictures, noise))
    assert set(seen.flatten().tolist()) == {0, 255}
    got = scores(painter, pictures, draws=2)
    torch.testing.assert_close(got.complexity, complexity(seen))
    torch.testing.assert_close(got.bits, scores(painter, seen, draws=2).bits)


def test_an_autoencoder_has_an_error_and_no_bits(make_painter, pictures):
    got = scores(make_painter(stochastic=False), pictures)
    assert got.bits is None and got.score is None and got.rates is None and got.errors is None
    assert got.error.isfinite().all() and got.complexity.isfinite().all()


def test_a_label_costs_what_it_says(make_painter, pictures):
    painter = make_painter(classes=2)
    bits = scores(painter, pictures, draws=2).bits
    told = replace(painter, shares=(1.0, 1.0))
    assert torch.allclose(bits - scores(told, pictures, draws=2).bits, torch.ones(5).double())


def test_plain_pictures_are_less_complex(pictures):
    flat = torch.full((1, 3, 16, 16), 90, dtype=torch.uint8)
    ramp = torch.arange(16, dtype=torch.uint8).expand(1, 3, 16, 16)
    bits = [float(complexity(p)) for p in (flat, ramp, pictures[:1])]
    assert bits[0] < bits[1] < bits[2]
    assert bits[2] == pytest.approx(3 * 16 * 16 * 8, rel=0.25), "noise cannot be compressed"


def test_the_threshold_is_a_quantile_of_usual_ones(refused):
    assert threshold(torch.arange(101.0), 0.95) == pytest.approx(95)
    with refused("between 0 and 1"):
        threshold(torch.arange(3.0), 95)


def test_heat_is_where_the_stain_is():
    usual = torch.rand(50, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.02
    stained = usual[:1].clone()
    stained[:, 3:6, 10:13] += 0.5
    hot = heat(stained, usual)[0]
    assert divmod(int(hot.argmax()), 16) == (4, 11)
    assert hot[10:, :8].max() < 2
    shown = overlay(torch.full((3, 16, 16), 128, dtype=torch.uint8), hot)
    assert shown[:, 12, 2].unique().numel() == 1, "grey where all is usual"
    assert shown[:, 4, 11].unique().numel() > 1


def test_typical_is_far_on_either_side_and_of_others():
    rng = torch.Generator().manual_seed(0)
    mixed = torch.randn(60, 4, generator=rng).double() @ torch.randn(4, 4, generator=rng).double()

    def of(rows):
        rates = (rows[:, 3:].exp() - 1).clamp_min(0)
        error = rows[:, 1].exp()
        return Scores(
            rows[:, 2], rows[:, 0], None, error, rates, None, torch.zeros(len(rows), 2, 2)
        )

    mixed[:, 3] = mixed[:, 3].abs()
    usual = of(mixed)
    far, others = typical(
        of(torch.cat([mixed.mean(0)[None], mixed.mean(0) + 40 * torch.eye(4)])), usual
    )
    assert far[0] < 1e-6 and (far[1:] > others.max()).all()
    low = mixed.mean(0) - torch.tensor([40.0, 0, 0, 0])
    assert typical(of(low[None]), usual)[0] > others.max(), "too plain is as unlike as too rich"
    for i in (0, 17):
        rest = of(torch.cat([mixed[:i], mixed[i + 1 :]]))
        torch.testing.assert_close(typical(of(mixed[i : i + 1]), rest)[0], others[i : i + 1])


def test_typical_needs_enough_usual_pictures(painter, pictures, refused):
    got = scores(painter, pictures, draws=1)
    with refused("usual pictures, and there are 5; nearest valid: score"):
        typical(got, got)
