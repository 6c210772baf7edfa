"""Contestants measured in turn, round after round, so that a slow minute falls on all alike."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from peer import AbsentError

from hiresvae.errors import is_out_of_memory


class Contestant(Protocol):
    """What is measured; either answer may be a ``reason`` why it cannot be."""

    def ready(self) -> dict[str, Any]:
        """Returns what is counted, see `clocks.Here`."""
        ...

    def turn(self) -> dict[str, Any]:
        """Returns seconds of a batch by phase."""
        ...


def told(do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns what something returns, or the ``reason`` why this machine cannot do it."""
    try:
        return do()
    except AbsentError as error:
        return {"reason": str(error)}
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return {"reason": "memory ran out"}


def in_turn(
    contestants: Mapping[str, Contestant], rounds: int, peak: Callable[[], dict[str, float]]
) -> dict[str, dict[str, Any]]:
    """Returns the figures of each: of its median round, and beside the first contestant's.

    Args:
        contestants: by name; ours first.
        rounds: in each of which every contestant has one turn.
        peak: () -> the machine's operations a second by kind, measured at each round's begin.
    """
    rows = {name: told(contestant.ready) for name, contestant in contestants.items()}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    peaks = []
    for _ in range(rounds):
        peaks.append(peak())
        for name, contestant in contestants.items():
            if "reason" not in rows[name]:
                found = told(contestant.turn)
                turns[name].append(found)
                if "reason" in found:
                    rows[name] = found
    measured = {
        name: figures(row, turns[name], peaks) for name, row in rows.items() if "reason" not in row
    }
    ours = next(iter(contestants))
    for name, row in measured.items():
        if name != ours and ours in measured:
            both = zip(row["rounds"], measured[ours]["rounds"], strict=True)
            row["ours_times_as_fast"] = statistics.median(its / own for its, own in both)
    return rows | measured


def figures(
    counted: dict[str, Any], turns: list[dict[str, float]], peaks: list[dict[str, float]]
) -> dict[str, Any]:
    """Returns a contestant's figures.

    Args:
        counted: by its ``ready``.
        turns: seconds of a batch by phase, of each round.
        peaks: operations a second by kind, of each round.
    """
    row = dict(counted)
    batch, operations = row["batch"], row.pop("operations")
    rounds = [sum(turn.values()) / batch for turn in turns]
    seconds = statistics.median_low(rounds)  # a round that was, so that its phases add up to it
    an_image = sum(operations.values()) / batch
    row |= {
        "seconds_an_image": seconds,
        "images_per_second": 1 / seconds,
        "rounds": rounds,
        "operations_an_image": an_image,
        "phases": {
            name: {"seconds": value, "operations_a_second": operations.get(name, 0.0) / value}
            for name, value in turns[rounds.index(seconds)].items()
            if value > 0
        },
        "peak_operations_a_second": {},
    }
    for name in peaks[0]:
        row["peak_operations_a_second"][name] = statistics.median(peak[name] for peak in peaks)
        shares = (an_image / x / peak[name] for x, peak in zip(rounds, peaks, strict=True))
        row[f"share_of_{name}"] = round(statistics.median(shares), 4)
    return row
