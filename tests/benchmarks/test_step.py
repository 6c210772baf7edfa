import pytest
import torch

from benchmarks import step
from benchmarks.clocks import Operations
from hiresvae.adversarial import AdversarySettings
from hiresvae.models.vae import VAE
from hiresvae.settings import DataSettings, ModelSettings, Settings, TrainingSettings
from hiresvae.training import footprint


def small(**training):
    return Settings(
        data=DataSettings(size=16),
        model=ModelSettings(width=4, max_width=8, latent_dim=4),
        adversary=AdversarySettings(width=4, max_width=8),
        training=TrainingSettings(batch_size=4, **training),
    )


def test_the_phases_add_up_to_the_training_s_own_step(monkeypatch):
    made, make = [], footprint.make_optimizer

    def noted(*given):
        made.append(given)
        return make(*given)

    monkeypatch.setattr(footprint, "make_optimizer", noted)
    clock = step.Clock()
    rows = step.measure(small(), clock, repeats=3)
    assert len(made) == 2, "the moments of both networks are made once, not at each step"
    whole, heavy = clock.seconds["whole step"][2], clock.seconds["whole step, penalty"][2]
    told = rows.pop("logging, its share of a step")
    assert sum(rows.values()) == pytest.approx(whole + (heavy - whole) / 8)
    assert 0 <= told < heavy, "what a tick costs is shared by its steps"
    assert {"data", "encoder forward", "model backward", "critic optimiser"} <= rows.keys()
    assert all(len(clock.seconds[name]) == 3 for name in ("data", "model backward", "whole step"))


def test_all_of_it_runs_in_the_settings_precision(monkeypatch):
    seen, features = set(), VAE.features

    def noted(self, *given):
        seen.add(torch.is_autocast_enabled("cpu"))
        return features(self, *given)

    monkeypatch.setattr(VAE, "features", noted)
    for precision, half in (("no", False), ("bf16", True)):
        step.measure(small(precision=precision), repeats=1)
        assert seen == {half}
        seen.clear()


def test_a_model_without_a_critic_has_no_rows_of_one():
    alone = small().model_copy(update={"adversary": None})
    assert not any("critic" in name or "penalty" in name for name in step.measure(alone, repeats=1))


def test_a_verdict_for_the_decoder_alone_shows_its_second_decode():
    settings = small()
    decoder = settings.adversary.model_copy(update={"reaches": "decoder"})
    rows = step.measure(
        settings.model_copy(update={"adversary": decoder}), Operations(), repeats=1, tick=False
    )
    assert rows[step.AGAIN] > 0
    rest = rows["guard, running means, all else"]
    assert abs(rest) < 0.02 * sum(rows.values()), "the phases hold all operations of the step"
    assert step.AGAIN not in step.measure(settings, repeats=1)
