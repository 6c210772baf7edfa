"""Edits of photographed faces: smiles by a classifier, skin by its angle."""

from typing import Any

import numpy as np
import torch
from edits_shared import Asked, Keeping, face_judge, goal, kept_goal, seen
from torch import Tensor
from torch.nn.functional import cross_entropy

from hiresvae.data import PictureData
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.metrics.identity import BOXES, Box
from hiresvae.uses.attributes import of_data
from hiresvae.uses.codes import decode, encode
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
        lessons = seen(middle(data, data.train, size), box)
        answers = torch.from_numpy(labels[data.train])
        count = len(data.classes)
        self.judge = face_judge(lessons, answers, count, epochs, cross_entropy, mirror=True)
        held_out = self.judge.classes_of(seen(middle(data, data.held_out, size), box))
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


def middle(data: PictureData, rows: np.ndarray, size: int) -> Tensor:
    """Returns the middle of stored pictures, uint8 ``(n, C, size, size)``."""
    room = (data.pictures.shape[-1] - size) // 2
    cut = slice(room, room + size)
    return torch.from_numpy(np.ascontiguousarray(data.pictures[rows][..., cut, cut]))


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
    neutral = data.held_out[labels[data.held_out] != data.classes.index(SMILE)][: asked.faces]
    if not len(neutral):
        raise UserError(f"no neutral face of {source!r} is held out: train with data.held_out")
    smiles = Smiles(data, size, BOXES[source], asked.epochs)
    print(f"classifier of smiles: {smiles.worth['accuracy_held_out']:.3f} of held-out faces right")
    keeping, examples = Keeping(painter), of_data(painter)
    happy = asked.edit(painter, examples, SMILE, label=SMILE)
    tanned = asked.edit(painter, examples, SKIN, keep=[SMILE])

    def edit_all(rows: np.ndarray, edit: Edit) -> tuple[Tensor, Tensor, Tensor]:
        pictures = middle(data, rows, size)
        codes = encode(painter, pictures, torch.from_numpy(labels[rows]))
        asked.show(painter, pictures, codes, edit)
        strip = edited(painter, codes, edit, asked.levels(edit))
        return pictures, decode(painter, codes), strip

    smile = smile_figures(asked, smiles, keeping, happy, *edit_all(neutral, happy))
    skin = skin_figures(asked, smiles, keeping, tanned, *edit_all(held_out, tanned))
    return {
        "classifier": smiles.worth,
        "identity": keeping.to_json(),
        SMILE: smile,
        SKIN: skin,
        "goals": goals(smile, skin, smiles.can_tell),
    }


def smile_figures(
    asked: Asked,
    smiles: Smiles,
    keeping: Keeping,
    edit: Edit,
    pictures: Tensor,
    unedited: Tensor,
    strip: Tensor,
) -> dict[str, Any]:
    """Returns how many neutral faces are told to smile, before the edit and at each strength."""
    start = smiles.scores(unedited)
    rows = keeping.rows(strip, unedited, pictures)
    by_strength = {}
    for level, made, row in zip(asked.levels(edit), strip.unbind(1), rows, strict=True):
        scores = smiles.scores(made)
        by_strength[f"{level:g}"] = {
            "told_smiling": float((scores > 0.5).float().mean()),
            "score_moved": float((scores - start).mean()),
            "skin_moved_degrees": float((skin_tone(made) - skin_tone(unedited)).mean()),
            **row,
        }
    return {
        "neutral_faces": len(pictures),
        "method": edit.method,
        "told_smiling": {
            "originals": float((smiles.scores(pictures) > 0.5).float().mean()),
            "reconstructions": float((start > 0.5).float().mean()),
        },
        "by_strength": by_strength,
    }


def skin_figures(
    asked: Asked,
    smiles: Smiles,
    keeping: Keeping,
    edit: Edit,
    pictures: Tensor,
    unedited: Tensor,
    strip: Tensor,
) -> dict[str, Any]:
    """Returns the angle of the skin at each strength, and how far the smile's score drifts."""
    angles = torch.stack([skin_tone(made) for made in strip.unbind(1)], 1)
    start, at_rest = smiles.scores(unedited), skin_tone(unedited)
    rows = keeping.rows(strip, unedited, pictures)
    by_strength = {}
    for i, (level, row) in enumerate(zip(asked.levels(edit), rows, strict=True)):
        scores = smiles.scores(strip[:, i])
        by_strength[f"{level:g}"] = {
            "degrees": float(angles[:, i].mean()),
            "degrees_moved": float((angles[:, i] - at_rest).mean()),
            "smile_score_moved": float((scores - start).mean()),
            "smiles_told_otherwise": float(((scores > 0.5) != (start > 0.5)).float().mean()),
            **row,
        }
    mean = angles.mean(0)
    return {
        "faces": len(pictures),
        "method": edit.method,
        "mean_is_monotone": bool((mean.diff() > 0).all()),
        "monotone_faces": float((angles.diff(dim=1) > 0).all(1).float().mean()),
        "by_strength": by_strength,
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
