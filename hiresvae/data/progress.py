"""A progress bar on stderr that vanishes where stderr is no terminal."""

import sys

from rich.console import Console
from rich.progress import Progress


def bar(wanted: bool) -> Progress:
    """Returns a bar to be used with ``with``; silent unless wanted and stderr is a terminal."""
    return Progress(
        console=Console(stderr=True), transient=True, disable=not (wanted and sys.stderr.isatty())
    )
