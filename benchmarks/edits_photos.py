"""Edits of photographed faces: smiles by a classifier, skin by its angle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from edits_shared import SHOWN, Asked, Keeping, face_judge, goal, kept_goal, seen
from torch import Tensor
from torch.nn.functional import cross_entropy

from hiresvae.data import PictureData
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.metrics.identity import BOXES, Box
from hiresvae.uses.attributes import of_data
from hiresvae.uses.codes import Codes, decode, encode
from hiresvae.uses.detail import give_back
from hiresvae.uses.edit import Edit, edited
from hiresvae.uses.measure import skin_tone

SMILE, SKIN = "smiling", "skin_tone"
WANTED_SMILES, WANTED_MONOTONE = 0.8, 0.95
# A classifier whose mean over the classes is less often right cannot tell.
LEAST_RIGHT = 0.75
# Of the way by which the smile's own edit moves the smile's score.
LARGEST_DRIFT = 0.25


class Smiles:
    """A classifier of smiles, with what its word is worth.

    Args:
        data: pictures with the label "smiling".
        size: side of the middle that is a picture.
        box: of the face, which it sees.
        epochs: over the training pictures.
    """

    def __init__(self, data: PictureData, size: int, box: Box, epochs: int) -> None:
        self.box, self.number = box, data.classes.index(SMILE)
        labels = np.asarray(data.labels)
        lessons = seen(data.middles(data.train, size), box)
        answers = torch.from_numpy(labels[data.train])
        count = len(data.classes)
        self.judge = face_judge(lessons, answers, count, epochs, cross_entropy, mirror=True)
        held_out = self.judge.classes_of(seen(data.middles(data.held_out, size), box))
        right = held_out == labels[data.held_out]
        of_class = {
            name: float(right[labels[data.held_out] == k].mean())
            for k, name in enumerate(data.classes)
        }
        self.can_tell = bool(np.mean(list(of_class.values())) >= LEAST_RIGHT)
        self.worth = {
            "training_pictures": len(data.train),
            "held_out_pictures": len(data.held_out),
            "accuracy_held_out": float(right.mean()),
            "accuracy_of": of_class,
        }

    def scores(self, pictures: Tensor) -> Tensor:
        """Returns the chance of a smile ``(N,)`` in uint8 pictures; above a half it is told."""
        return self.judge.answers(seen(pictures, self.box)).softmax(1)[:, self.number]


def of_photographs(painter: PictureModel, asked: Asked) -> dict[str, Any]:
    """Returns the figures of a run on photographed faces, and writes the sheets.

    Raises:
        UserError: the run's pictures or labels are no smiles, or no neutral face is held out.
    """
    source = painter.settings.data.source
    valid = "nearest valid: a run on lfw, celeba or embedded:faces"
    if source not in BOXES:
        raise UserError(f"this run's source {source!r} tells no smiles; {valid}")
    # A run without labels has the same pictures and the same split.
    data_settings = painter.settings.data.model_copy(update={"labels": "set"})
    painter.settings = painter.settings.model_copy(update={"data": data_settings})
    data, size = painter.data(), painter.model.size
    if painter.conditional and painter.classes != data.classes:
        raise UserError(f"this run's labels are not those of the set; {valid} with labels 'set'")
    labels = np.asarray(data.labels)
    held_out = data.held_out[: asked.faces]
    smile_there = labels[data.held_out] == data.classes.index(SMILE)
    glad, neutral = data.held_out[smile_there], data.held_out[~smile_there][: asked.faces]
    if not len(neutral):
        raise UserError(f"no neutral face of {source!r} is held out: train with data.held_out")
    smiles = Smiles(data, size, BOXES[source], asked.epochs)
    print(f"classifier of smiles: {smiles.worth['accuracy_held_out']:.3f} of held-out faces right")
    keeping, examples = Keeping(painter), of_data(painter)
    happy = asked.edit(painter, examples, SMILE, label=SMILE)
    tanned = asked.edit(painter, examples, SKIN, keep=[SMILE])

    def coded(rows: np.ndarray) -> tuple[Tensor, Codes]:
        pictures = data.middles(rows, size)
        return pictures, encode(painter, pictures, torch.from_numpy(labels[rows]))

    def made_by(edit: Edit, rows: np.ndarray) -> Made:
        pictures, codes = coded(rows)
        levels = asked.levels(edit)
        remade, made = decode(painter, codes), edited(painter, codes, edit, levels)
        strip = give_back(made, remade[:, None], pictures[:, None], asked.detail)
        at_rest = give_back(remade, remade, pictures, asked.detail)
        scores = torch.stack([smiles.scores(faces) for faces in strip.unbind(1)], 1)
        kept = keeping.rows(made, remade, pictures, strip)
        return Made(edit, levels, pictures, at_rest, strip, scores, smiles.scores(at_rest), kept)

    # Three that can come to smile, two that can stop.
    asked.show(painter, *coded(np.concatenate([neutral[:3], glad[:2]])), happy)
    asked.show(painter, *coded(held_out[:SHOWN]), tanned)
    smile = smile_figures(made_by(happy, neutral), smiles)
    skin = skin_figures(made_by(tanned, held_out))
    return {
        "classifier": smiles.worth,
        "identity": keeping.to_json(),
        SMILE: smile,
        SKIN: skin,
        "goals": goals(smile, skin, smiles.can_tell),
    }


@dataclass(frozen=True)
class Made:
    """What one edit made of some faces, and what is told of it.

    Attributes:
        edit: that was made.
        levels: K strengths.
        pictures: as they were, uint8 ``(N, 3, H, W)``.
        unedited: at strength 0, of that shape.
        strip: edited, uint8 ``(N, K, 3, H, W)``.
        scores: chance of a smile in each ``(N, K)``.
        at_rest: in the unedited ``(N,)``.
        kept: a row of figures a strength: what stayed of the person.
    """

    edit: Edit
    levels: list[float]
    pictures: Tensor
    unedited: Tensor
    strip: Tensor
    scores: Tensor
    at_rest: Tensor
    kept: list[dict[str, Any]]

    def degrees(self) -> tuple[Tensor, Tensor]:
        """Returns the angle of the skin in each ``(N, K)``, and in the unedited ``(N, 1)``."""
        angles = torch.stack([skin_tone(made) for made in self.strip.unbind(1)], 1)
        return angles, skin_tone(self.unedited)[:, None]

    def by_strength(self, **columns: Tensor) -> dict[str, Any]:
        """Returns figures by strength: the mean of each column's ``(N, K)``, and what was kept."""
        return {
            f"{level:g}": {k: float(v[:, i].float().mean()) for k, v in columns.items()} | row
            for i, (level, row) in enumerate(zip(self.levels, self.kept, strict=True))
        }


def smile_figures(made: Made, smiles: Smiles) -> dict[str, Any]:
    """Returns how many neutral faces are told to smile, before the edit and at each strength."""
    angles, angles_before = made.degrees()
    return {
        "neutral_faces": len(made.pictures),
        "method": made.edit.method,
        "told_smiling": {
            "originals": float((smiles.scores(made.pictures) > 0.5).float().mean()),
            "unedited": float((made.at_rest > 0.5).float().mean()),
        },
        "by_strength": made.by_strength(
            told_smiling=made.scores > 0.5,
            score_moved=made.scores - made.at_rest[:, None],
            skin_moved_degrees=angles - angles_before,
        ),
    }


def skin_figures(made: Made) -> dict[str, Any]:
    """Returns the angle of the skin at each strength, and how far the smile's score drifts."""
    angles, before = made.degrees()
    start = made.at_rest[:, None]
    return {
        "faces": len(made.pictures),
        "method": made.edit.method,
        "mean_is_monotone": bool((angles.mean(0).diff() > 0).all()),
        "monotone_faces": float((angles.diff(dim=1) > 0).all(1).float().mean()),
        "by_strength": made.by_strength(
            degrees=angles,
            degrees_moved=angles - before,
            smile_score_moved=made.scores - start,
            smiles_told_otherwise=(made.scores > 0.5) != (start > 0.5),
        ),
    }


def goals(smile: dict[str, Any], skin: dict[str, Any], can_tell: bool) -> list[dict[str, Any]]:
    """Returns what was wanted of the edits, and whether it was reached.

    Args:
        smile: from `smile_figures`.
        skin: from `skin_figures`.
        can_tell: whether the classifier's word on smiles is worth anything.
    """
    at, full = list(skin["by_strength"].values()), list(smile["by_strength"].values())[-1]
    drift = max(abs(row["smile_score_moved"]) for row in at)
    allowed = LARGEST_DRIFT * abs(full["score_moved"])
    told, monotone = full["told_smiling"], skin["monotone_faces"]
    return [
        goal(
            "neutral faces told to smile",
            told if can_tell else None,
            f">= {WANTED_SMILES}",
            told >= WANTED_SMILES,
        ),
        goal(
            "faces whose angle of the skin grows at every step",
            monotone,
            f">= {WANTED_MONOTONE}, and of the mean",
            skin["mean_is_monotone"] and monotone >= WANTED_MONOTONE,
        ),
        goal(
            "smile score moved by the edit of the skin",
            drift if can_tell else None,
            f"<= {allowed:.3g}, a quarter of that of the smile",
            drift <= allowed,
        ),
        kept_goal("smile", list(smile["by_strength"].values())),
        kept_goal("skin", at),
    ]
