"""The progress bar of a training: images, speed, time left; silent where nobody watches."""

import logging
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)

log = logging.getLogger("hiresvae")


class Progress:
    """A bar on stderr if that is a terminal; the lines of a tick go to the log in any case.

    Args:
        total: images in all.
        done: images seen already.
        visible: whether this process shows anything.
    """

    def __init__(self, total: int, done: int, *, visible: bool) -> None:
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (visible and console.is_terminal),
        )
        self._task = self._bar.add_task("", total=total, completed=done, speed="")
        self._visible = visible

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, images: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=images)

    def say(self, line: dict[str, float]) -> None:
        """Logs a tick in words."""
        if not self._visible:
            return
        self._bar.update(self._task, speed=f"{line['images_per_second']:.0f} images/s")
        shown = ("distortion_nats", "rate_nats", "error", "adversarial", "critic")
        words = "  ".join(f"{name} {line[name]:.4g}" for name in shown if name in line)
        log.info(
            "%s images  %.1f images/s  %s", f"{line['images']:,}", line["images_per_second"], words
        )
