"""What was not finite, by name: noted on the device, put into words where it is waited for anyway.

That a step was skipped says little to whoever has to mend it; which term broke, or whose gradient
did while all terms were fine, says where to look.
"""

from collections.abc import Iterable, Sequence

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

SHOWN = 4
"""Most terms in a sentence; what follows from a broken one is broken too."""

MEASURED = "gradient_norm"
"""In the names of figures of gradients: no terms, and the parameters are named instead."""

TERM = ""
"""Whose names are those of figures, not of parameters."""


class Gradients:
    """The gradients of a network's parameters, by name.

    Args:
        network: may be wrapped for several processes; its names are without the wrapper's.
    """

    def __init__(self, network: nn.Module) -> None:
        # Asked for at each step, for which a walk over all modules is too slow.
        self._parameters = [
            (name.removeprefix("module."), p) for name, p in network.named_parameters()
        ]

    def norms(self) -> tuple[tuple[str, ...], Tensor]:
        """Returns the names of all parameters that have a gradient, and each one's norm ``(P,)``.

        The norm of these norms is that of the whole gradient.
        """
        found = [(name, p.grad) for name, p in self._parameters if p.grad is not None]
        names = tuple(name for name, _ in found)
        return names, torch.stack(torch._foreach_norm([gradient for _, gradient in found]))


class Suspects:
    """Remembers which figures and which gradients were not finite since `words` was last asked."""

    def __init__(self) -> None:
        self._broken: dict[tuple[str, tuple[str, ...]], Tensor] = {}

    @torch.no_grad()
    def note(self, names: Iterable[str], values: Tensor, owner: str = TERM) -> None:
        """Takes in some figures of a step; nothing waits for the device.

        Args:
            names: of the figures, in the order in which a step meets them.
            values: the figures ``(K,)``.
            owner: of the parameters whose gradients they are, such as "model".
        """
        key, broken = (owner, tuple(names)), ~values.isfinite()
        before = self._broken.get(key)
        self._broken[key] = broken if before is None else before | broken

    def words(self, processes: int = 1, *, gradients: bool = True) -> str:
        """Returns what was not finite on any process, or "", and forgets it; waits for the device.

        Args:
            processes: all of them ask, at the same step.
            gradients: whether to name parameters too.

        Example:
            >>> suspects = Suspects()
            >>> suspects.note(["rate_nats", "critic"], torch.tensor([torch.nan, 1.0]))
            >>> suspects.note(["stem.weight"], torch.tensor([torch.inf]), "model")
            >>> suspects.words()
            'not finite: rate_nats, the gradient of stem.weight in the model'
        """
        own = [self._found()]
        self._broken = {}
        everyone = gather_object(own) if processes > 1 else own
        found: dict[str, list[str]] = {}
        for of_one in everyone:
            for owner, names in of_one.items():
                known = found.setdefault(owner, [])
                known += [name for name in names if name not in known]
        said = [_some(found.pop(TERM))] if found.get(TERM) else []
        if gradients:
            said += [_first(owner, names) for owner, names in found.items()]
        return f"not finite: {', '.join(said)}" if said else ""

    def _found(self) -> dict[str, list[str]]:
        """Returns the names of what was not finite here, by owner."""
        found: dict[str, list[str]] = {}
        for (owner, names), broken in self._broken.items():
            known = found.setdefault(owner, [])
            flags = zip(names, broken.tolist(), strict=True)
            new = [name for name, flag in flags if flag and name not in known]
            known += [name for name in new if MEASURED not in name]
        return {owner: names for owner, names in found.items() if names}


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _first(owner: str, names: Sequence[str]) -> str:
    more = len(names) - 1
    if not more:
        return f"the gradient of {names[0]} in the {owner}"
    return f"the gradients of {names[0]} and {more} more in the {owner}"
