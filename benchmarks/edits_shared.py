"""What the two kinds of `edits.py` share: judges, the faces' identity, sheets, goals."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from classes import Judge, fitted
from torch import Tensor, nn

from hiresvae import images
from hiresvae.errors import UserError, nearest
from hiresvae.generator import PictureModel
from hiresvae.metrics.identity import BOXES, Box, IdentityNetwork, cut, load_identity
from hiresvae.uses.attributes import Examples
from hiresvae.uses.codes import Codes, decode
from hiresvae.uses.detail import give_back
from hiresvae.uses.edit import STRONGEST, Edit, edited, learn, strengths, to_label
from hiresvae.uses.identity import Yardstick, kept, yardstick
from hiresvae.uses.sheets import sheet

SHOWN, STEPS = 5, 5
# Faces of which is told whether they stay the same person: the network is slow on a CPU.
LOOKED_AT = 100
JUDGED_SIDE = 64
WHOLE: Box = (0.0, 0.0, 1.0)
METHODS = ("auto", "means", "normal")


@dataclass(frozen=True)
class Asked:
    """What the command was asked for.

    Attributes:
        out: folder of the results.
        faces: edited at most.
        strength: of the edits.
        method: means, normal, or auto: by the label where the model has one, else means.
        epochs: of the judge.
        lessons: drawn faces from which the judge learns.
        detail: how much of what the model forgets of a face is given back to it, 0 to 1.
    """

    out: Path
    faces: int = 500
    strength: float = 2.0
    method: str = "auto"
    epochs: int = 8
    lessons: int = 4000
    detail: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(
                f"--method {self.method!r} is not known; {nearest(self.method, METHODS)}"
            )
        for name in ("faces", "strength", "epochs", "lessons"):
            if not getattr(self, name) > 0:
                raise UserError(f"--{name} must be more than 0")
        if not self.strength <= STRONGEST:
            raise UserError(f"--strength {self.strength:g} must be at most {STRONGEST}")
        if not 0 <= self.detail <= 1:
            raise UserError(f"--detail {self.detail:g} must be from 0 to 1")

    def edit(
        self,
        painter: PictureModel,
        examples: Examples,
        attribute: str,
        *,
        label: str | None = None,
        keep: list[str] | None = None,
    ) -> Edit:
        """Returns the edit that `hiresvae edit` makes.

        Args:
            painter: the model.
            examples: pictures of which the attribute is known.
            attribute: its name.
            label: the label of the model that is the same thing; None: there is none.
            keep: attributes to hold still.
        """
        if label is not None and painter.conditional and self.method == "auto":
            return to_label(painter, label)
        method = "means" if self.method == "auto" else self.method
        return learn(painter, examples, attribute, keep=keep, method=method)

    def levels(self, edit: Edit, *, both: bool = False) -> list[float]:
        """Returns five strengths; of a label from nothing to all of it, where strength 2 is all.

        Args:
            edit: whose they are.
            both: of a label, too, from the other of two to this one.
        """
        if edit.label is not None:
            return strengths(2.0, STEPS, both=both and edit.other is not None)
        return strengths(self.strength, STEPS)

    def show(self, painter: PictureModel, pictures: Tensor, codes: Codes, edit: Edit) -> None:
        """Writes ``ATTRIBUTE.png``: five faces, each as it is and at five strengths."""
        levels = self.levels(edit, both=True)
        own, unedited = pictures[:SHOWN], decode(painter, codes[:SHOWN])
        made = edited(painter, codes[:SHOWN], edit, levels)
        strips = give_back(made, unedited[:, None], own[:, None], self.detail)
        rows: list[list[Tensor | None]] = [
            [face, *row] for face, row in zip(own, strips, strict=True)
        ]
        headings = ["original", *(f"{level:+.2g}" if level else "0" for level in levels)]
        images.save(sheet(rows, headings=headings, gaps=(1,)), self.out / f"{edit.attribute}.png")


class FaceJudge(Judge):
    """Says K numbers of faces ``(N, 3, 64, 64)``: four convolutions, halved at each.

    Where in the face something is stays known to the last layer.
    """

    def __init__(self, outputs: int) -> None:
        nn.Module.__init__(self)
        widths = (3, 32, 64, 128, 128)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        last = nn.Linear(widths[-1] * (JUDGED_SIDE // 16) ** 2, outputs)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.25), last)


def face_judge(
    pictures: Tensor,
    answers: Tensor,
    outputs: int,
    epochs: int,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    *,
    mirror: bool,
) -> Judge:
    """Returns a judge of faces, as `fitted` teaches it; always the same one of the same faces."""
    torch.manual_seed(0)
    new = FaceJudge(outputs)
    return fitted(new, pictures.numpy(), answers.numpy(), epochs, loss_of, mirror=mirror)


class Keeping:
    """Tells how far faces stay the same person, or why that cannot be told.

    Args:
        painter: the model; its data give the random people.
    """

    def __init__(self, painter: PictureModel) -> None:
        self.network: IdentityNetwork | None = None
        self.people: Yardstick | None = None
        self.missing = ""
        try:
            box = BOXES.get(painter.settings.data.source)
            self.network = load_identity(box=box, device=painter.device)
            self.people = yardstick(painter, self.network)
        except UserError as error:
            self.missing = str(error)

    def to_json(self) -> dict[str, Any]:
        """Returns the network and the distances of random people, or what is missing."""
        if self.network is None:
            return {"missing": self.missing}
        people = self.people.to_json() if self.people else None
        told = {"faces_at_most": LOOKED_AT, "features": self.network.to_json()}
        return {**told, "random_people": people}

    def rows(
        self, made: Tensor, unedited: Tensor, originals: Tensor, detailed: Tensor
    ) -> list[dict[str, float]]:
        """Returns what `kept` does, of the first faces; empty rows without the network."""
        if self.network is None:
            return [{} for _ in range(made.shape[1])]
        of_faces = [faces[:LOOKED_AT] for faces in (made, unedited, originals)]
        given_back = None if detailed is made else detailed[:LOOKED_AT]
        return kept(self.network, *of_faces, self.people, given_back)


def seen(pictures: Tensor, box: Box = WHOLE) -> Tensor:
    """Returns what a judge sees of uint8 pictures: the face, 64 pixels a side, in colour."""
    return cut(pictures, box, JUDGED_SIDE).contiguous()


def goal(what: str, value: float | None, wanted: str, reached: bool) -> dict[str, Any]:
    """Returns a line of the list of goals; without a value it was not measured."""
    told = None if value is None else round(value, 4)
    return {
        "what": what,
        "value": told,
        "wanted": wanted,
        "reached": bool(reached) if told is not None else None,
    }


def kept_goal(what: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    """Returns the goal that edited faces are nearer to their originals than random people."""
    margins = [row["margin_from_original"] for row in rows if "margin_from_original" in row]
    least = min(margins) if margins else None
    return goal(
        f"{what}: distance below that of random people by", least, "> 0", (least or 0.0) > 0
    )
