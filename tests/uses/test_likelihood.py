import math

import numpy as np
import pytest

from hiresvae.generator import PictureModel
from hiresvae.metrics.results import Figure
from hiresvae.uses.bounds import bounds, top_latents
from hiresvae.uses.likelihood import likelihood_figures, prior_gap

SIDE = 16


@pytest.fixture
def figures(noise_pictures):
    """Measures: (model, iwae, n pictures, further arguments) -> figures by name, and notes."""

    def measure(
        model: PictureModel, iwae: int = 0, n: int = 7, **more
    ) -> tuple[dict[str, Figure], list[str]]:
        notes: list[str] = []
        found = likelihood_figures(
            model, noise_pictures(n), {"held_out": n}, seed=0, iwae=iwae, notes=notes, **more
        )
        assert all(figure.counts["held_out"] == n for figure in found)
        return {figure.name: figure for figure in found}, notes

    return measure


def test_bits_only_where_the_likelihood_is_discrete_and_by_the_bound_that_is_named(
    make_ladder, figures
) -> None:
    found, notes = figures(make_ladder(scale=0.5), iwae=2)
    assert not [name for name in found if "bits_per_dim" in name] and "density" in notes[0]
    assert found["iwae_2"].value > found["elbo"].value
    found, notes = figures(make_ladder(likelihood="logistic_mixture", mixtures=2), iwae=2)
    assert notes == []
    for name, bound in (("bits_per_dim", "elbo"), ("bits_per_dim_iwae_2", "iwae_2")):
        expected = -found[bound].value / (3 * SIDE**2 * math.log(2))
        assert found[name].value == pytest.approx(expected)
        assert (found[name].unit, found[name].better) == ("bits", "down")
        low, high = found[name].interval
        assert low <= found[name].value <= high


def test_coin_throws_tell_bits_of_black_and_white_alone(
    make_ladder, figures, noise_pictures
) -> None:
    model = make_ladder(likelihood="bernoulli")
    found, notes = figures(model)
    assert "bits_per_dim" not in found and "these pictures are grey" in notes[0]
    assert {found[name].unit for name in ("elbo", "distortion")} == {"nats of coin throws"}
    data = model.settings.data.model_copy(update={"binarize": True})
    model.settings = model.settings.model_copy(update={"data": data})
    found, notes = figures(model)
    assert notes == [] and found["bits_per_dim"].value > 0
    x = noise_pictures()
    one, two = (bounds(model, x, seed=seed).distortion for seed in (0, 1))
    assert not np.allclose(one, two), "other coins"
    np.testing.assert_allclose(
        bounds(model, x, seed=4).elbo, model.elbo(x, seed=4).numpy(), rtol=1e-5
    )


def test_rungs_add_up_and_a_rung_that_says_nothing_is_counted_as_such(make_ladder, figures) -> None:
    model = make_ladder(scale=0.5)
    second = model.model.decoder.rung_list[1]
    second.read.weight.data.zero_()
    second.read.bias.data.zero_()
    found, _ = figures(model)
    rungs = [found[f"kl_rung_{i}"].value for i in (0, 1)]
    assert sum(rungs) == pytest.approx(found["rate"].value)
    assert rungs[0] > 0 and rungs[1] == pytest.approx(0, abs=1e-5)
    assert found["active_units_rung_1"].value == 0
    assert found["active_units_rung_1"].unit == "of 32 latents"
    model.model.decoder.rung_list[0].read.weight.data *= 100
    found, _ = figures(model)
    # The prior below follows the rung above, but its posterior adds nothing to it.
    assert found["active_units_rung_0"].value == 6 and found["active_units_rung_1"].value == 0


def test_of_a_conditional_model_the_label_is_part_of_the_sum(make_ladder, figures) -> None:
    found, _ = figures(make_ladder(scale=0.5, conditional=True))
    parts = [found[name].value for name in ("distortion", "rate", "rate_label")]
    assert parts[2] > 0 and sum(parts) == pytest.approx(-found["elbo"].value)
    assert "rate_label" not in figures(make_ladder(scale=0.5))[0]


def test_prior_gap_has_the_closed_form() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    q, _ = np.linalg.qr(x - x.mean(0))
    mean, std = np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.5, 2.0])
    top = q * np.sqrt(49) * std + mean
    expected = ((mean**2).sum() + ((std - 1) ** 2).sum()) / 3
    gap, floor = prior_gap(top, {"held_out": 50}, 0, [])
    assert gap.value == pytest.approx(expected)
    assert (gap.name, floor.name) == ("prior_gap", "floor_prior_gap")
    assert floor.value < 0.1 and floor.counts == gap.counts == {"held_out": 50}


def test_the_floor_tells_bias_from_a_gap() -> None:
    rng = np.random.default_rng(1)
    gap, floor = prior_gap(rng.normal(size=(40, 64)), {}, 0, [])
    assert gap.value > 0.3, "with fewer pictures than latents even N(0, I) seems far from itself"
    assert floor.value == pytest.approx(gap.value, rel=0.1)
    wide, floor = prior_gap(2 * rng.normal(size=(40, 64)), {}, 0, [])
    assert wide.value > 1.5 * floor.value


def test_training_latents_join_those_of_held_out_pictures(
    make_ladder, noise_pictures, figures
) -> None:
    model, train = make_ladder(scale=0.5), noise_pictures(30)
    alone, _ = figures(model)
    found, _ = figures(model, train=train)
    assert found["prior_gap"].counts == {"held_out": 7, "train": 30}
    assert found["elbo"].counts == {"held_out": 7}
    assert found["floor_prior_gap"].value < alone["floor_prior_gap"].value
    assert found["prior_gap"].value != alone["prior_gap"].value
    assert np.isfinite(top_latents(model, train)).all()


def test_one_picture_has_no_prior_gap_and_a_note(make_ladder, noise_pictures, figures) -> None:
    found, notes = figures(make_ladder(scale=0.5), n=1)
    assert "prior_gap" not in found and "elbo" in found
    assert "prior_gap was left out" in notes[-1]
    found, _ = figures(make_ladder(scale=0.5), n=1, train=noise_pictures(20))
    assert found["prior_gap"].counts == {"held_out": 1, "train": 20}
