"""Moves one attribute of pictures and says what else moved."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hiresvae.errors import UserError, nearest
from hiresvae.generator import PictureModel
from hiresvae.seeding import generator
from hiresvae.uses.attributes import Examples, known_only
from hiresvae.uses.codes import Codes, decode, encode, label_means
from hiresvae.uses.directions import METHODS, direction, in_units, ridge, varies
from hiresvae.uses.measure import measured

MOST_NUMBERS = 16384
"""Latent numbers that are moved: rungs are taken from the top while they fit."""
FEW = 10
STRONGEST = 100
"""Of the strengths that are asked for: far beyond what any model draws sense of."""


@dataclass(frozen=True)
class Edit:
    """A learned way of editing.

    Attributes:
        attribute: its name.
        method: means, normal or label.
        step: ``(D,)``: what strength 1 adds to the latents of the first rungs; for "label"
            ``(K, D)``: the mean of each label's latents.
        rungs: how many rungs it is for.
        label: number of the label to go to; None unless the method is "label".
        other: number of the label to which less than 0 goes; None unless there are two labels.
        probes: what tells attributes from latents, for the report; None without examples.
    """

    attribute: str
    method: str
    step: Tensor
    rungs: int
    label: int | None = None
    other: int | None = None
    probes: "Probes | None" = None

    def apply(self, codes: Codes, strength: float) -> Codes:
        """Returns the codes moved by so many units; strength 0 changes nothing.

        With labels, strength 2 is that label, as it is the way from class to class elsewhere, and
        -2 the other one of two; what is between mixes them, and beyond either there is nothing.
        """
        if self.label is not None:
            assert codes.labels is not None
            back = strength < 0 and self.other is not None
            target = torch.zeros_like(codes.labels)
            target[:, self.other if back else self.label] = 1
            share = min(abs(strength) / 2, 1.0) if strength > 0 or back else 0.0
            return codes.under(torch.lerp(codes.labels, target, share), self.step)
        return codes.moved(strength * self.step)


@dataclass(frozen=True)
class Probes:
    """Linear readers of attributes, in units of each.

    Attributes:
        names: of the attributes.
        weights: ``(D, A)``.
        biases: ``(A,)``.
        explained: share of the variance explained on a fifth of the examples kept apart (R^2),
            by name; empty where there are too few examples.
    """

    names: tuple[str, ...]
    weights: Tensor
    biases: Tensor
    explained: dict[str, float]

    def __call__(self, vectors: Tensor) -> Tensor:
        """Returns attributes ``(N, A)`` of latents ``(N, D)``, in units."""
        return vectors.double().cpu() @ self.weights + self.biases


def rungs_moved(painter: PictureModel) -> int:
    """Returns how many rungs, from the top, are edited: as many as have `MOST_NUMBERS` together.

    What lies in a rung that is not edited follows those above only as far as its prior does.
    """
    total, rungs = 0, 0
    for dims, height, width in painter.model.latent_shapes:
        total += dims * height * width
        if rungs and total > MOST_NUMBERS:
            break
        rungs += 1
    return rungs


def learn(
    painter: PictureModel,
    examples: Examples,
    attribute: str,
    *,
    keep: list[str] | None = None,
    method: str = "means",
) -> Edit:
    """Returns the way of editing an attribute that examples show.

    Args:
        painter: the model.
        examples: pictures of which the attribute is known.
        attribute: its name.
        keep: attributes that shall stay as they are.
        method: means or normal, see `hiresvae.uses.directions.direction`.

    Raises:
        UserError: an attribute or the method is not known, or the examples do not suffice.
    """
    if method not in METHODS:
        raise UserError(f"method {method!r} is not known; {nearest(method, METHODS)}")
    keep = [name for name in keep or [] if name != attribute]
    known = known_only(examples, [attribute, *keep])
    if len(known.pictures) < 4:
        raise UserError(
            f"attribute {attribute!r} is known of {len(known.pictures)} pictures; 4 are needed"
        )
    rungs = rungs_moved(painter)
    vectors = encode(painter, known.pictures, known.labels).vector(rungs)
    others = torch.stack([known.column(name) for name in keep], 1) if keep else None
    try:
        step = direction(vectors.cpu(), known.column(attribute), others, method=method)
    except UserError as error:
        raise UserError(f"attribute {attribute!r}: {error}") from error
    probes = probe(vectors, known, attribute)
    return Edit(attribute, method, step.to(painter.device), rungs, probes=probes)


def to_label(painter: PictureModel, name: str) -> Edit:
    """Returns the way of editing of a conditional model: decoding under another label.

    The latents go along, from the mean of their label's to that of the other's. Of two labels a
    negative strength goes to the one that was not named.
    """
    label = painter.label(name)
    other = 1 - label if len(painter.classes) == 2 else None
    return Edit(name, "label", label_means(painter), 0, label=label, other=other)


def probe(vectors: Tensor, examples: Examples, attribute: str) -> Probes:
    """Returns readers of the attribute and of all others that vary."""
    z = vectors.double().cpu()
    names = [attribute, *(n for n in (*examples.exact, *examples.columns) if n != attribute)]
    names = list(dict.fromkeys(names))
    columns = {name: examples.columns[name] for name in names}
    names = [n for n, v in columns.items() if v.isfinite().all() and varies(v)]
    targets = torch.stack([in_units(columns[name]) for name in names], 1)
    order = torch.randperm(len(z), generator=generator(0, "probe"))
    apart, rest = order[: len(z) // 5], order[len(z) // 5 :]
    explained = {}
    if len(apart) >= FEW:
        weights, biases = ridge(z[rest], targets[rest])
        errors = (targets[apart] - z[apart] @ weights - biases).square().mean(0)
        shares = 1 - errors / targets[apart].var(0, correction=0).clamp_min(1e-9)
        explained = {n: round(float(s), 3) for n, s in zip(names, shares, strict=True)}
    return Probes(tuple(names), *ridge(z, targets), explained)


def strengths(strength: float, steps: int, both: bool = True) -> list[float]:
    """Returns ``steps`` strengths from -strength (or 0) to strength; of strength 0 that alone.

    Example:
        >>> strengths(2, 5)
        [-2.0, -1.0, 0.0, 1.0, 2.0]
    """
    if strength == 0:
        return [0.0]
    low = -strength if both else 0.0
    # Rounded, so that the middle is 0; + 0.0, so that it is not -0.
    even = torch.linspace(low, strength, steps, dtype=torch.float64).tolist()
    return [round(level, 9) + 0.0 for level in even]


def edited(painter: PictureModel, codes: Codes, edit: Edit, levels: list[float]) -> Tensor:
    """Returns pictures edited at several strengths, uint8 ``(N, len(levels), C, S, S)``.

    What the model forgot of them is not in there: `hiresvae.uses.detail.give_back`.
    """
    return torch.stack([decode(painter, edit.apply(codes, level)) for level in levels], 1)


def drift(
    painter: PictureModel,
    unedited: Tensor,
    labels: Tensor | None,
    edit: Edit,
    levels: list[float],
    pictures: Tensor,
) -> dict[str, Any]:
    """Returns what the edit changed on average, beside strength 0.

    ``read_from_latents``: attributes of the edited pictures, encoded again and read by linear
    probes, in units of each; ``measured``: from the pixels, in units of their own.

    Args:
        painter: the model.
        unedited: the pictures at strength 0, uint8 ``(N, C, S, S)``.
        labels: of them, int64 ``(N,)``; None for a model without.
        edit: the edit.
        levels: strengths.
        pictures: at these, ``(N, len(levels), C, S, S)``.
    """
    before = measured(unedited)
    at_zero = None
    if edit.probes is not None:
        at_zero = edit.probes(encode(painter, unedited, labels).vector(edit.rungs))
    report: dict[str, Any] = {}
    for i, level in enumerate(levels):
        after = measured(pictures[:, i])
        moved = {
            name: round(float((after[name] - before[name]).mean()), 3)
            for name in before
            if name in after  # an edit may leave no skin to measure
        }
        report[f"{level:g}"] = {"measured": moved}
        if edit.probes is not None and at_zero is not None:
            again = encode(painter, pictures[:, i], labels).vector(edit.rungs)
            change = (edit.probes(again) - at_zero).mean(0)
            report[f"{level:g}"]["read_from_latents"] = {
                name: round(float(c), 3) for name, c in zip(edit.probes.names, change, strict=True)
            }
    return report
