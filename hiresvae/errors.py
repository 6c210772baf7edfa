"""The one kind of error that is the user's to mend, and the words for it."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user gave: one sentence that says what, where and the nearest valid.

    The command line prints it without a traceback and exits with code 2.
    """


def nearest(given: object, valid: Iterable[object]) -> str:
    """Returns ``did you mean 'x'?`` for the closest valid choice, or the list of all choices.

    Example:
        >>> nearest("sise", ["size", "source"])
        "did you mean 'size'?"
        >>> nearest("qqq", ["a", "b"])
        "valid are 'a', 'b'"
    """
    choices = [str(choice) for choice in valid]
    close = difflib.get_close_matches(str(given), choices, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "valid are " + ", ".join(repr(choice) for choice in choices)
