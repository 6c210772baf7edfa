import pytest
import torch
from clocks import Clock, Here, Operations, Work
from peer import AbsentError
from plain_loop import plain_training
from rounds import in_turn

from hiresvae.adversarial import AdversarySettings
from hiresvae.settings import DataSettings, ModelSettings, Settings, TrainingSettings


class Told:
    """A contestant whose turns take as long as it is said."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, iter(seconds), log

    def ready(self):
        self.log.append(f"{self.name} ready")
        return {"batch": 2, "parameters": 1, "peak_memory_mib": 1.0, "operations": {"step": 8.0}}

    def turn(self):
        self.log.append(self.name)
        seconds = next(self.seconds)
        if seconds is None:
            raise MemoryError
        return {"step": seconds, "rest": 0.0}


def test_all_take_turns_and_a_slow_round_is_slow_for_all():
    log = []
    slowed = [1.0, 10.0, 1.0]
    rows = in_turn(
        {
            "ours": Told("ours", slowed, log),
            "other": Told("other", [2.0, 22.0, 2.2], log),
        },
        3,
        lambda: log.append("peak") or {"product": 4.0 / slowed[log.count("peak") - 1]},
    )
    assert log == ["ours ready", "other ready", *["peak", "ours", "other"] * 3]
    assert rows["other"]["rounds"] == [1.0, 11.0, 1.1]
    assert rows["other"]["ours_times_as_fast"] == pytest.approx(2.2), "median of 2, 2.2 and 2.2"
    assert rows["ours"]["seconds_an_image"] == 0.5 and rows["ours"]["images_per_second"] == 2
    assert rows["ours"]["share_of_product"] == 2.0, "of the peak in the same round"
    assert rows["ours"]["phases"] == {"step": {"seconds": 1.0, "operations_a_second": 8.0}}
    assert "ours_times_as_fast" not in rows["ours"]


def test_who_falls_out_stops_nobody():
    class Never(Told):
        def ready(self):
            raise AbsentError("not of this side")

    rows = in_turn(
        {
            "ours": Told("ours", [1.0] * 3, []),
            "never": Never("never", [], []),
            "once": Told("once", [1.0, None], []),
            "other": Told("other", [2.0] * 3, []),
        },
        3,
        lambda: {"product": 1.0},
    )
    assert list(rows) == ["ours", "never", "once", "other"]
    assert rows["never"] == {"reason": "not of this side"}
    assert rows["once"] == {"reason": "memory ran out"}
    assert rows["other"]["ours_times_as_fast"] == 2


def test_operations_of_a_phase_are_counted():
    clock = Operations()
    with clock("product"):
        torch.ones(4, 8) @ torch.ones(8, 16)
    assert clock.seconds == {"product": [2.0 * 4 * 8 * 16]}


class Layer(Work):
    """Trains a layer whose weights and moments are nearly all of its memory."""

    batch = 1

    def __init__(self):
        self.layer = torch.nn.Linear(512, 512, bias=False)
        self.parameters = 512**2
        self.optimizer = torch.optim.Adam(self.layer.parameters())

    def once(self, clock):
        with clock("step"):
            self.layer(torch.ones(1, 512)).sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


def test_memory_is_of_networks_gradients_moments_and_all():
    here = Here(lambda: Layer, "cpu", 2, 10.0)
    counted = here.ready()
    least = 4 * 4 * 512**2 / 2**20
    assert least <= counted["peak_memory_mib"] < 2 * least
    assert counted["operations"] == {"step": 2 * 2 * 512**2}
    assert here.turn().keys() == {"step"}


def test_a_turn_that_takes_long_repeats_no_more(monkeypatch):
    done = []
    for seconds in (0.0, 10.0):
        here = Here(lambda: Layer, "cpu", 3, seconds)
        here.ready()
        monkeypatch.setattr(here.work, "once", lambda clock, s=seconds: done.append(s))
        here.turn()
    assert done == [0.0, *[10.0] * 3]


def test_penalties_count_in_the_plain_loop_as_in_ours():
    settings = Settings(
        data=DataSettings(size=16),
        model=ModelSettings(width=4, max_width=8, latent_dim=4),
        adversary=AdversarySettings(width=4, max_width=8, penalty_every=4),
        training=TrainingSettings(batch_size=4),
    )
    work = plain_training(settings, "cpu")()
    operations = Operations()
    work.once(operations)
    light, heavy = operations.medians()["step"], operations.medians()["step, penalty"]
    assert heavy > 1.1 * light
    assert sum(work.phases(operations.medians()).values()) == light + (heavy - light) / 4
    always = settings.adversary.model_copy(update={"penalty_every": 1})
    clock, alike = Clock(), settings.model_copy(update={"adversary": always})
    every = plain_training(alike, "cpu")()
    every.once(clock)
    assert every.phases(clock.medians()).keys() == {"step"}
