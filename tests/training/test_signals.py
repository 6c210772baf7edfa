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


TOLD = """
# After a whole training forks one for each moment at which it is told SIGTERM; reads what is left.
import contextlib, os, pathlib, signal, sys
import torch
torch.set_num_threads(1)
from accelerate import Accelerator
from hiresvae.adversary.adversary import Adversary
from hiresvae.cli import main
from hiresvae.configuration import load_settings
from hiresvae.data import open_data
from hiresvae.run import RunFolder
from hiresvae.training import checkpoint
from hiresvae.training.best import Best
from hiresvae.training.snapshots import Snapshots
from hiresvae.training.trainer import Trainer

config, folder, chosen = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]

def told(owner, name, path="", late=False, when=lambda options: True):
    real = getattr(owner, name)
    def wrapped(*arguments, **options):
        if not late and path in str(arguments[0]) and when(options):
            os.kill(os.getpid(), signal.SIGTERM)
        done = real(*arguments, **options)
        if late:
            os.kill(os.getpid(), signal.SIGTERM)
        return done
    setattr(owner, name, wrapped)

moments = {
    "warm-up": lambda: told(Adversary, "judge"),
    "warm-up, read again": lambda: told(checkpoint, "load"),
    "snapshot": lambda: told(Snapshots, "take"),
    "evaluation": lambda: told(Best, "consider"),
    "saving": lambda: told(Accelerator, "save_state", late=True),
    "renaming": lambda: told(pathlib.Path, "rename", "000000016.part"),
    "last snapshot": lambda: told(Snapshots, "fitted", when=lambda given: not given["quick"]),
    "last snapshot, at peace": lambda: None,
    "renaming, at peace": lambda: None,
}

def train(run):
    main(["train", config, "--out", str(run), *(f"--set={word}" for word in chosen)])

def fork(arrange, run):
    child = os.fork()
    if not child:
        code = 1
        try:
            arrange()
            train(run)
        except SystemExit as end:
            code = end.code
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

with contextlib.suppress(SystemExit):
    train(folder / "whole")  # all is imported once
settings = load_settings(config, chosen)
data = open_data(settings.data, inputs=settings.inputs, progress=False)
trainer = Trainer(settings, data, RunFolder(folder / "whole"), Accelerator())
for name, arrange in moments.items():
    run = folder / name.split(",")[0]
    code = fork(arrange, run)
    trainer.run = RunFolder(run)
    trainer.resume()
    print(f"{name}: {code} {trainer.images}", flush=True)
"""

ENDS = """
warm-up: 143 8
warm-up, read again: 143 8
snapshot: 143 24
evaluation: 143 24
saving: 143 24
renaming: 143 24
last snapshot: 143 32
last snapshot, at peace: 0 32
renaming, at peace: 0 32
"""


def test_sigterm_lost_or_read_at_step_ends_alone_every_moment_leaves_a_state_to_go_on_from(
    python, tiny, weights, tmp_path
):
    """`accelerate`, issues 1918 and 3400; `spd`, issue 677: missed six times of six."""
    chosen = [
        "training.images=32", "training.checkpoint=16", "training.snapshot=16",
        "adversary.start=0", "adversary.warmup=0.5", "adversary.ramp=0.25", "prior.kind=gaussian",
    ]  # fmt: skip
    done = python("-c", TOLD, str(tiny), str(tmp_path), *chosen)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line in ENDS.splitlines()]
    assert told == ENDS.split("\n")[1:-1], done.stdout + done.stderr
    for name in ("last snapshot", "renaming"):
        assert weights(tmp_path / name) == weights(tmp_path / "whole"), name
