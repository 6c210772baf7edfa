"""Two sources as pairs: the pictures to be made, and the corrupted ones that the encoder sees."""

from dataclasses import replace
from functools import partial

from hiresvae.data.decode import Raw
from hiresvae.data.sources import Item, Source, digest
from hiresvae.errors import UserError

SHOWN = 5
"""Most names of each source that a sentence lists."""


def paired(targets: Source, inputs: Source) -> Source:
    """Returns the pictures of two sources as pairs of equal names.

    Labels, folders and the order are those of the pictures to be made.

    Args:
        targets: pictures to be made.
        inputs: the same pictures corrupted; more sources with ``+`` would change their names.

    Raises:
        UserError: when listed, where a picture of either lacks its partner.
    """

    def items() -> list[Item]:
        wanted, given = ({item.name: item for item in side.items()} for side in (targets, inputs))
        lacking = {
            "data.source": [name for name in wanted if name not in given],
            "corruption.inputs": [name for name in given if name not in wanted],
        }
        if any(lacking.values()):
            raise UserError(
                f"data.source {targets.name!r} and corruption.inputs {inputs.name!r} are pairs of "
                f"equal names, but without a partner are {_listed(lacking)}"
            )
        return [
            replace(item, read=partial(_both, item, given[name])) for name, item in wanted.items()
        ]

    identity = digest("pairs", targets.identity, inputs.identity)
    in_memory = targets.in_memory and inputs.in_memory
    return Source(targets.name, identity, items, targets.classes, in_memory, parts=2)


def _both(target: Item, seen: Item) -> Raw:
    first, second = target.read(), seen.read()
    assert not isinstance(first, tuple) and not isinstance(second, tuple)
    return first, second


def _listed(lacking: dict[str, list[str]]) -> str:
    """Returns the names in words: 'a.png', 'b.png' and 3 more of data.source; ..."""
    parts = []
    for source, names in lacking.items():
        if names:
            more = len(names) - SHOWN
            shown = ", ".join(map(repr, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")
            parts.append(f"{shown} of {source}")
    return "; ".join(parts)
