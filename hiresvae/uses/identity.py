"""How far edited faces are from the person that they show, beside two random people."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.metrics.identity import IdentityNetwork, distance, strange_pairs
from hiresvae.uses.reals import Reals

STRANGERS = 64
"""Random people: 2016 pairs, of seconds on one core."""
SAME = 0.05
"""An edited face is told to be the same person where it is nearer than but so many random pairs."""


@dataclass(frozen=True)
class Yardstick:
    """What distance two different people have.

    Attributes:
        role: where the people are from: ``held_out``, ``train`` or ``given``.
        real: distances of their pictures, ``(P,)``.
        remade: distances of what the model makes of these, ``(P,)``. Where it blurs faces they are
            alike, and an edit is held against that.
    """

    role: str
    real: Tensor
    remade: Tensor

    def to_json(self) -> dict[str, Any]:
        """Returns the distances in a few numbers."""
        both = {"pictures": self.real, "reconstructions": self.remade}
        return {
            "people": self.role,
            "pairs": len(self.real),
            **{
                name: {
                    "mean": _rounded(pairs.mean()),
                    "quantile_5_percent": _rounded(pairs.quantile(SAME)),
                }
                for name, pairs in both.items()
            },
        }


def yardstick(
    painter: PictureModel, network: IdentityNetwork, given: Tensor | None = None
) -> Yardstick | None:
    """Returns the distances of random people; None: there are not two of them.

    They are held-out pictures of the model's data; where the data are not at hand, those given.

    Args:
        painter: the model.
        network: tells faces apart.
        given: uint8 ``(N, C, S, S)``.
    """
    try:
        reals = Reals.of(painter.data(), painter.model.size, STRANGERS)
        people, role = reals.held_out, reals.role
    except UserError:  # a model that was given away without its data
        if given is None:
            return None
        people, role = given[:STRANGERS], "given"
    if len(people) < 2:
        return None
    remade = painter.reconstruct(people)
    return Yardstick(
        role, strange_pairs(network(people, stored=True)), strange_pairs(network(remade))
    )


def kept(
    network: IdentityNetwork,
    edited: Tensor,
    unedited: Tensor,
    originals: Tensor,
    people: Yardstick | None,
    detailed: Tensor | None = None,
) -> list[dict[str, float]]:
    """Returns for each strength how far the faces moved, on average over the pictures.

    ``from_reconstruction`` and ``from_original`` are distances; ``margin`` is by how much the first
    is below the mean distance of two people's reconstructions, ``margin_from_original`` by how much
    the second is below that of two people's pictures; ``same_person`` is the share of faces that
    are nearer to their original than all but 5 % of the pairs of pictures.

    Args:
        network: tells faces apart.
        edited: uint8 ``(N, L, C, S, S)``: each picture at each strength.
        unedited: what the model makes of them without the edit, ``(N, C, S, S)``.
        originals: the pictures themselves, ``(N, C, S, S)``; of a sample what the model draws.
        people: the distances of random people.
        detailed: the edited pictures with what the model had forgotten of them given back, of which
            the distance from the original then is; None: it was not.
    """
    start, own = network(unedited), network(originals)
    rows = []
    for number, pictures in enumerate(edited.unbind(1)):
        now = network(pictures)
        moved = distance(now, start)
        final = now if detailed is None or detailed is edited else network(detailed[:, number])
        away = distance(final, own)
        row = {
            "from_reconstruction": _rounded(moved.mean()),
            "from_original": _rounded(away.mean()),
        }
        if people is not None:
            row["margin"] = _rounded(people.remade.mean() - moved.mean())
            row["margin_from_original"] = _rounded(people.real.mean() - away.mean())
            near = away < people.real.quantile(SAME)
            row["same_person"] = _rounded(near.float().mean())
        rows.append(row)
    return rows


def _rounded(value: Tensor) -> float:
    return round(float(value), 4)
