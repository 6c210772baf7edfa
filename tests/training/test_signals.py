import os
import signal
from types import SimpleNamespace

import pytest

from hiresvae.training.signals import ASKED_EVERY, Stop

ALONE = SimpleNamespace(num_processes=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with Stop(ALONE) as stop:
        assert not stop.asked(0)
        os.kill(os.getpid(), number)
        assert stop.asked(1)
        assert stop.signal == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Stop(ALONE):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_sigterm_does_not_break_off_the_save():
    with Stop(ALONE) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked(0)


def test_several_processes_agree_on_the_step():
    """The other was told: this one stops too, at a step at which both ask."""
    asked = []

    def reduce(flag, _):
        asked.append(flag.item())
        return flag + 1

    several = SimpleNamespace(num_processes=2, device="cpu", reduce=reduce)
    with Stop(several) as stop:
        answers = [stop.asked(step) for step in range(1, ASKED_EVERY + 1)]
    assert answers == [False] * (ASKED_EVERY - 1) + [True]
    assert asked == [0.0], "no more than one question in so many steps"
