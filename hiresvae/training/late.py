"""Numbers of the device that the host reads without waiting for them: one question late."""

import torch
from torch import Tensor


class Late:
    """Tells at each question what the device had for the one before, which has arrived meanwhile.

    To read a number from a GPU at once is to wait until all is done that it was given before, and
    then it has nothing to do. What a processor computed is here: that is told at once.
    """

    def __init__(self) -> None:
        self._sent: tuple[Tensor, torch.cuda.Event] | None = None

    def exchange(self, values: Tensor) -> list[float] | None:
        """Sends values on their way and returns those of the call before; of a processor these.

        Args:
            values: ``(n,)``, anywhere.

        Returns:
            n numbers; None where nothing was sent before.
        """
        if values.device.type != "cuda":
            return values.tolist()
        before, self._sent = self._sent, _sent(values)
        if before is None:
            return None
        host, arrived = before
        arrived.synchronize()  # it was long ago, unless the host is many steps ahead
        return host.tolist()


def _sent(values: Tensor) -> tuple[Tensor, torch.cuda.Event]:
    """Returns memory of the host that the values will be in, and the event after which they are."""
    host = values.to("cpu", non_blocking=True)  # which torch pins
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(values.device))
    return host, arrived
