"""Edits of drawn faces, whose attributes are known exactly."""

from typing import Any

import numpy as np
import torch
from edits_shared import Asked, Keeping, face_judge, goal, kept_goal, seen
from torch import Tensor
from torch.nn.functional import mse_loss

from hiresvae.data.embedded import faces
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.uses.attributes import Examples, of_data
from hiresvae.uses.codes import Codes, decode, encode
from hiresvae.uses.detail import give_back
from hiresvae.uses.edit import Edit

# The model and the judge learn from seed 0; these faces are new to both.
NEW = 1
# A judge that explains less than this of an attribute cannot tell how it moved.
LEAST_EXPLAINED = 0.5
WANTED_RIGHT, LARGEST_DRIFT = 0.95, 0.25
# The label that is the same as an attribute, and the one of the other end.
LABELS = {"smile": ("smiling", "neutral")}


class Reader:
    """Reads attributes from pictures, in standard deviations of each, with what that is worth.

    Args:
        lessons: pictures whose attributes are known.
        names: of the attributes.
        epochs: over the lessons.
    """

    def __init__(self, lessons: Examples, names: tuple[str, ...], epochs: int) -> None:
        self.names = names
        known = torch.stack([lessons.column(name) for name in names], 1)
        self.means, self.spreads = known.mean(0), known.std(0).clamp_min(1e-9)
        answers = ((known - self.means) / self.spreads).float()
        pictures = seen(lessons.pictures)
        # A mirrored face looks and is lit from the other side.
        self.judge = face_judge(pictures, answers, len(names), epochs, mse_loss, mirror=False)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Returns attributes ``(N, A)`` of uint8 pictures."""
        return self.judge.answers(seen(pictures)).double()

    def explained(self, pictures: Tensor, known: Tensor) -> dict[str, float]:
        """Returns the share of the variance explained (R^2) of exact attributes ``(N, A)``."""
        errors = (self(pictures) * self.spreads + self.means - known).square().mean(0)
        shares = 1 - errors / known.var(0, correction=0).clamp_min(1e-9)
        return dict(zip(self.names, shares.tolist(), strict=True))


def new_faces(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Returns faces that no model has seen, uint8 ``(N, 3, S, S)``, and their attributes."""
    pictures = np.stack([faces.draw(i, seed=NEW, size=size) for i in range(count)])
    known = [faces.attributes(i, seed=NEW) for i in range(count)]
    rows = [[float(values[name]) for name in faces.ATTRIBUTES] for values in known]
    return torch.from_numpy(pictures), torch.tensor(rows, dtype=torch.float64)


def redrawn(known: Tensor, k: int, steps: Tensor, size: int) -> Tensor:
    """Returns `new_faces` with attribute k changed in the drawing itself, uint8 ``(N, 3, S, S)``.

    The best that an edit can do: where age greys the hair, its colour is not to be read as before.

    Args:
        known: attributes of the faces ``(N, A)``.
        k: number of the attribute.
        steps: what to add to it ``(N,)``; it stays inside its range.
        size: side in pixels.
    """
    name = faces.ATTRIBUTES[k]
    values = (known[:, k] + steps).clamp(*faces.RANGES[name]).tolist()
    drawn = [
        faces.draw_attributes({name: value}, index=i, seed=NEW, size=size)
        for i, value in enumerate(values)
    ]
    return torch.from_numpy(np.stack(drawn))


def of_drawings(painter: PictureModel, asked: Asked) -> dict[str, Any]:
    """Returns the figures of a run on ``embedded:faces``, and writes the sheets.

    Every face is moved towards the other end of the attribute, where there is room.

    Raises:
        UserError: the model draws without colours, which are attributes.
    """
    if painter.model.channels != 3:
        raise UserError("this run is grey, but skin and hair are colours; train with channels 3")
    names = faces.ATTRIBUTES
    examples = of_data(painter)
    reader = Reader(of_data(painter, limit=asked.lessons), names, asked.epochs)
    pictures, known = new_faces(asked.faces, painter.model.size)
    explained = reader.explained(pictures, known)
    keeping = Keeping(painter)
    codes = encode(painter, pictures, own_labels(painter, len(pictures)))
    unedited = decode(painter, codes)
    at_rest = give_back(unedited, unedited, pictures, asked.detail)
    before, of_originals = reader(at_rest), reader(pictures)
    by_attribute = {}
    for k, name in enumerate(names):
        others = [other for other in names if other != name]
        edits = pair(painter, asked, examples, name, others)
        asked.show(painter, pictures, codes, edits[0][0])
        by_label = edits[0][0].label is not None
        up = known[:, k] < (faces.SMILE_THRESHOLD if by_label else reader.means[k])
        made = towards(painter, codes, edits, up)
        moved = give_back(made, unedited, pictures, asked.detail)
        after = reader(moved)
        signs = torch.where(up, 1.0, -1.0).double()
        figures = change_figures(after - before, signs, k, names)
        # What the model forgets of a face has moved as well.
        figures["beside_originals"] = change_figures(after - of_originals, signs, k, names)
        row = keeping.rows(made[:, None], unedited, pictures, moved[:, None])[0]
        steps = signs * asked.strength * reader.spreads[k]
        exact = reader(redrawn(known, k, steps, painter.model.size)) - of_originals
        figures["drawing_itself"] = change_figures(exact, signs, k, names)
        worth = {"explained_by_judge": explained[name], "method": edits[0][0].method}
        by_attribute[name] = {**worth, **figures, **row}
        print(f"{name:12} R2 {explained[name]:5.2f}  right way {figures['right_way']:.3f}")
    return {
        "faces": len(pictures),
        "judge": {"lessons": asked.lessons, "explained_of_new_faces": explained},
        "identity": keeping.to_json(),
        "by_attribute": by_attribute,
        "goals": goals(by_attribute),
    }


def own_labels(painter: PictureModel, count: int) -> Tensor | None:
    """Returns the labels of new faces, where the model has those of the set."""
    if not painter.conditional or painter.classes != faces.CLASSES:
        return None
    return torch.tensor([faces.label(i, seed=NEW) for i in range(count)])


def pair(
    painter: PictureModel, asked: Asked, examples: Examples, name: str, others: list[str]
) -> list[tuple[Edit, float]]:
    """Returns the edits, with strengths, that move an attribute up and down."""
    if painter.classes == faces.CLASSES and name in LABELS:
        ways = [
            asked.edit(painter, examples, name, label=label, keep=others) for label in LABELS[name]
        ]
        if ways[0].label is not None:
            return [(way, 2.0) for way in ways]
    way = asked.edit(painter, examples, name, keep=others)
    return [(way, asked.strength), (way, -asked.strength)]


def towards(
    painter: PictureModel, codes: Codes, edits: list[tuple[Edit, float]], up: Tensor
) -> Tensor:
    """Returns the pictures with the first edit where ``up`` (N,), else the second."""
    made = torch.empty(0)
    for (edit, strength), rows in zip(
        edits, (up.nonzero()[:, 0], (~up).nonzero()[:, 0]), strict=True
    ):
        if len(rows):
            part = decode(painter, edit.apply(codes[rows], strength))
            made = part.new_empty(len(codes), *part.shape[1:]) if not len(made) else made
            made[rows] = part
    return made


def change_figures(change: Tensor, signs: Tensor, k: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Returns what an edit of attribute k did to all attributes.

    ``moved`` is its own change the right way, in standard deviations; ``others`` compares with its
    size those of the others: ``each`` face by face (jitter of the judge counts), ``together`` what
    is left on average over the faces.

    Args:
        change: ``(N, A)`` in standard deviations.
        signs: 1 where k was to grow, -1 where it was to shrink, ``(N,)``.
        k: its number.
        names: of the attributes.
    """
    own = change[:, k].abs().mean().clamp_min(1e-9)
    each = change.abs().mean(0) / own
    together = (signs[:, None] * change).mean(0).abs() / own
    others = {
        name: {"each": float(each[j]), "together": float(together[j])}
        for j, name in enumerate(names)
        if j != k
    }
    return {
        "right_way": float((signs * change[:, k] > 0).double().mean()),
        "moved": float((signs * change[:, k]).mean()),
        "others": others,
    }


def goals(by_attribute: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what was wanted; an attribute that the judge cannot read is not held against it."""
    readable = {
        name: row
        for name, row in by_attribute.items()
        if row["explained_by_judge"] >= LEAST_EXPLAINED
    }
    lines = []
    for name, row in by_attribute.items():
        read = name in readable
        right = row["right_way"] if read else None
        drifts = [row["others"][other]["each"] for other in readable if other != name]
        drift = max(drifts) if read and drifts else None
        lines += [
            goal(
                f"{name}: moved the right way of faces",
                right,
                f">= {WANTED_RIGHT}",
                (right or 0.0) >= WANTED_RIGHT,
            ),
            goal(
                f"{name}: most that another attribute moved, in shares of its own",
                drift,
                f"< {LARGEST_DRIFT}",
                (drift or 0.0) < LARGEST_DRIFT,
            ),
            kept_goal(name, [row]),
        ]
    return lines
