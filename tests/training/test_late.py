"""What the host hears of a device: at once of a processor, one question late of a GPU."""

from types import SimpleNamespace

import pytest
import torch

from hiresvae.settings import Settings, TrainingSettings
from hiresvae.training import late as module
from hiresvae.training.guard import CHECK_EVERY, Guard
from hiresvae.training.late import Late
from hiresvae.training.signals import ASKED_EVERY, Stop


def test_what_a_processor_has_is_told_at_once():
    late = Late()
    assert late.exchange(torch.tensor([3, 4])) == [3, 4]
    assert late.exchange(torch.tensor([0.5])) == [0.5]


class Far:
    """A tensor of a GPU that is not here; to read it at once is an error."""

    device = torch.device("cuda", 0)

    def __init__(self, *values):
        self.values = values


class Here:
    """Its copy, which may be read once its event was waited for."""

    def __init__(self, values):
        self.values, self.arrived = values, False

    def synchronize(self):
        self.arrived = True

    def tolist(self):
        assert self.arrived
        return list(self.values)


@pytest.fixture
def far(monkeypatch):
    def sent(values):
        copy = Here(values.values)
        return copy, copy

    monkeypatch.setattr(module, "_sent", sent)
    return Far


def test_what_a_gpu_has_is_told_one_question_late(far):
    late = Late()
    assert late.exchange(far(1)) is None
    assert late.exchange(far(2)) == [1]
    assert late.exchange(far(3)) == [2]


def test_a_training_on_gpus_stops_on_all_of_them_a_question_later(far):
    told = iter([0, 1, 1])
    several = SimpleNamespace(
        num_processes=2, device="cpu", reduce=lambda flag, kind: far(next(told))
    )
    with Stop(several) as stop:
        assert [stop.asked(ASKED_EVERY * n) for n in range(3)] == [False, False, True]


def test_trouble_on_a_gpu_is_heard_of_a_look_later_and_not_again_once_it_went_back(
    far, monkeypatch
):
    guard = Guard(Settings(training=TrainingSettings(patience=2)))
    looks = [CHECK_EVERY * n - 1 for n in range(1, 5)]
    counts = lambda values: far(*(int(value) for value in values))  # noqa: E731
    monkeypatch.setattr("hiresvae.training.guard.torch.stack", counts)
    for _ in range(2):
        guard.in_a_row += 1
    assert guard.trouble(looks[0]) is None
    assert "2 steps in a row" in guard.trouble(looks[1])
    before = {name: value.clone() for name, value in guard.state_dict().items()}
    guard.went_back(before, 0)
    assert guard.trouble(looks[2]) is None, "what was on its way is of no interest"
    assert guard.trouble(looks[3]) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_between_ticks_nobody_waits_for_the_gpu():
    guard = Guard(Settings()).cuda()
    several = SimpleNamespace(
        num_processes=2, device=torch.device("cuda"), reduce=lambda flag, kind: flag.clone()
    )
    torch.cuda.set_sync_debug_mode("error")
    try:
        with Stop(several) as stop:
            for number in range(4 * CHECK_EVERY):
                assert guard.trouble(number) is None
                assert not stop.asked(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")
