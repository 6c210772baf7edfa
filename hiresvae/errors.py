"""The one kind of error that is the user's to mend, and the words for it."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# What torch raises where memory ends has no kind of its own but on CUDA: it is told by its words.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "not enough memory",
    "storage size calculation overflowed",
    "alloc_failed",
)
# Nor has this: gloo, NCCL and the store by which processes meet have words of their own.
_LOST_PROCESS = (
    "connection closed by peer",
    "connection reset by peer",
    "connection was likely closed",
    "broken pipe",
    "remote process exited",
    "failed to recv",
    "socket timeout",
    "timed out waiting",
    "nccl communicator was aborted",
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class UserError(ValueError):
    """A mistake in what the user gave: one sentence that says what, where and the nearest valid.

    The command line prints it without a traceback and exits with code 2.
    """


class OwnError(UserError):
    """One that a process may meet alone among several: each says its own."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: a Ctrl-C that has another exit code."""


def nearest(given: object, valid: Iterable[object]) -> str:
    """Returns ``did you mean 'x'?`` for the closest valid choice, or the list of all choices.

    Example:
        >>> nearest("sise", ["size", "source"])
        "did you mean 'size'?"
        >>> nearest("qqq", ["a", "b"])
        "valid are 'a', 'b'"
    """
    choices = [str(choice) for choice in valid]
    if not choices:
        return "there is none to choose from"
    close = difflib.get_close_matches(str(given), choices, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "valid are " + ", ".join(repr(choice) for choice in choices)


def printable(words: str) -> str:
    r"""Returns text that a stream of UTF-8 takes: what is no text in it becomes an escape.

    Names of files may be in another encoding; Python keeps such bytes as halves of surrogate pairs.
    They may also hold control characters, which a terminal would obey; lines stay lines.

    Example:
        >>> printable("caf\udce9.png \x1b[2J")
        'caf\\udce9.png \\x1b[2J'
    """
    text = words.encode(errors="backslashreplace").decode()
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether an error means that memory, of the machine or of a device, was too small.

    Example:
        >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
        True
    """
    words = str(error).lower()
    told = isinstance(error, RuntimeError) and any(sign in words for sign in _OUT_OF_MEMORY)
    return told or isinstance(error, MemoryError)


def is_lost_process(error: BaseException) -> bool:
    """Says whether an error means that another process of the same run is gone.

    Example:
        >>> is_lost_process(RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:1234"))
        True
    """
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in words for sign in _LOST_PROCESS)


@contextmanager
def enough_memory(less: str) -> Iterator[None]:
    """Turns running out of memory into one sentence.

    Args:
        less: what needs less, with the nearest smaller value.

    Raises:
        UserError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OwnError(f"memory ran out; what needs less: {less}") from error
