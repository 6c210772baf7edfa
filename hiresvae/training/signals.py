"""Ctrl-C and SIGTERM: finish the step, save, leave; all processes at the same step."""

import signal
from types import FrameType

import torch
from accelerate import Accelerator

from hiresvae.training.late import Late

ASKED_EVERY = 8
"""Steps between asking the other processes whether one of them was told to stop."""


class Stop:
    """Remembers that a signal came; a second Ctrl-C ends at once.

    Use as a context; signal handlers are put back at its end.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.signal: int | None = None
        self._late = Late()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stop":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def asked(self, step: int) -> bool:
        """Returns whether to stop after this step; the same on every process."""
        if self.accelerator.num_processes == 1:
            return self.signal is not None
        if step % ASKED_EVERY:
            return False
        told = torch.full((1,), float(self.signal is not None), device=self.accelerator.device)
        # Of GPUs all hear the answer to the question before, and so agree without a wait.
        heard = self._late.exchange(self.accelerator.reduce(told, "sum"))
        return heard is not None and heard[0] > 0
