"""How long a training took, from what it wrote of itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hiresvae.errors import UserError

# A training that stops and goes on leaves its clock running. More than so many times the seconds
# that the images took, and so many more, are a pause and not a slow snapshot.
PAUSE, PAUSE_SECONDS = 3.0, 30.0


def training_seconds(lines: Sequence[dict[str, Any]]) -> np.ndarray:
    """Returns the seconds of training ``(n,)`` until each line of ``metrics.jsonl``.

    Snapshots and checkpoints count, the time between a stop and its continuation does not: there
    the images over the speed of the process that went on are taken.

    Args:
        lines: with ``images``, ``time`` (seconds of the clock) and ``images_per_second``.

    Raises:
        UserError: a line lacks one of them.
    """
    total, out = 0.0, np.empty(len(lines))
    images, clock = 0, None
    for i, line in enumerate(lines):
        try:
            new, now, speed = line["images"], line["time"], line["images_per_second"]
        except KeyError as error:
            raise UserError(
                f"line {i + 1} of metrics.jsonl has no {error}: another version wrote it"
            ) from None
        expected = (new - images) / speed if speed > 0 else 0.0
        passed = expected if clock is None else now - clock
        # A clock that was put back tells nothing of the time that passed.
        paused = passed < 0 or passed > PAUSE * expected + PAUSE_SECONDS
        total += expected if paused else passed
        images, clock, out[i] = new, now, total
    return out
