"""What all commands share: words for whatever goes wrong, and the arguments that recur."""

import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer

from hiresvae import __version__
from hiresvae.errors import (
    OwnError,
    Terminated,
    UserError,
    is_lost_process,
    is_out_of_memory,
    printable,
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Run folder, exported model folder, hf:ORG/NAME on the Hub, or one that comes along "
        "such as monet-64.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu, cuda or mps; cuda if there is one, else cpu.")
]


def finite(value: float) -> float:
    """Returns a number that is one; ranges alone let NaN through.

    Raises:
        typer.BadParameter: it is infinite or NaN.
    """
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number.")
    return value


def temperatures(words: str) -> float | tuple[float, ...]:
    """Returns what ``1`` or ``1,0.9,0.7`` mean.

    Raises:
        typer.BadParameter: a part is no finite number of 0 or more.
    """
    try:
        values = tuple(finite(float(part)) for part in words.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{words!r} must be a number, or numbers with commas between, such as 1,0.9,0.7."
        ) from None
    if min(values) < 0:
        raise typer.BadParameter(f"{words!r} must be 0 or more; nearest valid: 0.")
    return values if len(values) > 1 else values[0]


# Any: what the words are read as, of which Typer knows no type.
Temperature = Annotated[
    Any,
    typer.Option(
        parser=temperatures,
        metavar="T|T,T,...",
        help="Below 1 safer, above 1 bolder pictures; one for all rungs, or one for each from the "
        "top, the last for all below.",
    ),
]


@contextmanager
def in_words() -> Iterator[None]:
    """Turns errors into words on stderr and an exit code; also a decorator.

    Exit codes: 1 our fault (a traceback and how to report it), 2 the user's mistake (one
    sentence), 130 interrupted, 143 by SIGTERM; both may bring words such as "state saved".
    """
    try:
        with _sigterm_as_ctrl_c():
            yield
        sys.stdout.flush()
    except UserError as error:
        # Of the processes that train together on one machine, one says what all have met.
        if isinstance(error, OwnError) or os.environ.get("LOCAL_RANK", "0") == "0":
            _say(f"hiresvae: {' '.join(str(error).split())}")
        raise SystemExit(2) from None
    except Terminated as end:
        words = end.args[0] if end.args else "what was finished is kept"
        _say(f"hiresvae: stopped by SIGTERM ({words}); the same command does the rest")
        raise SystemExit(128 + signal.SIGTERM) from None
    except KeyboardInterrupt as interrupt:
        words = f" ({interrupt.args[0]})" if interrupt.args else ""
        _say(f"hiresvae: interrupted{words}")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:
        if is_out_of_memory(error):
            _say("hiresvae: memory ran out; fewer or smaller pictures at a time need less of it")
            raise SystemExit(2) from None
        if is_lost_process(error):
            _say(
                "hiresvae: another process of this run has ended or does not answer, so this one "
                "cannot go on; what that one said tells why, and the same command continues from "
                "the last checkpoint"
            )
            raise SystemExit(2) from None
        traceback.print_exc()
        _say(
            f"hiresvae {__version__}: this is our fault, not yours; please report it with the "
            "lines above, the command, and config.yaml and train.log of the run if there is one"
        )
        raise SystemExit(1) from None


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Lets SIGTERM unwind what runs, so that nothing half-written is left; unless it is minded."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def unwind(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _say(words: str) -> None:
    print(printable(words), file=sys.stderr, flush=True)
