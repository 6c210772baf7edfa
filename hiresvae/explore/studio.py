"""What the page shows: model + knobs -> pictures, without a browser and without a file."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hiresvae.data.decode import Framing, attempt
from hiresvae.data.named import SETS
from hiresvae.errors import UserError, nearest
from hiresvae.explore.wishes import Between, Knobs, Mix, Paint, Picture
from hiresvae.generator import PictureModel
from hiresvae.uses.attributes import of_data
from hiresvae.uses.axes import LEADING, Axes, principal
from hiresvae.uses.codes import Codes, decode, drawn, encode, label_means
from hiresvae.uses.detail import give_back, give_back_between
from hiresvae.uses.directions import direction
from hiresvae.uses.edit import Edit, rungs_moved
from hiresvae.uses.interpolate import interpolate
from hiresvae.uses.ladder import mixed
from hiresvae.uses.measure import measured

EXAMPLES = 256
"""Pictures from which attributes are learned: a person waits."""
QUICK_SIDE = 64
"""Up to this side in pixels; of larger pictures fewer do, a quarter of them at 256 px."""
FEWEST = 32
"""However large: fewer tell little of an attribute while others are held still."""
KEPT = 64
"""Dropped pictures that are remembered; the one unused for longest goes first."""


@dataclass(frozen=True)
class Dropped:
    """A picture of the person's own.

    Attributes:
        codes: of it.
        picture: as the model sees it, uint8 ``(C, S, S)``.
        remade: what the model makes of it.
    """

    codes: Codes
    picture: Tensor
    remade: Tensor


@dataclass(frozen=True)
class Studio:
    """A model, the ways in which its pictures can be moved, and the pictures dropped so far.

    Attributes:
        painter: the model.
        axes: its main directions.
        edits: by the name of the attribute.
        shelf: dropped pictures by key, the last used last.
    """

    painter: PictureModel
    axes: Axes
    edits: dict[str, Edit]
    shelf: OrderedDict[str, Dropped] = field(default_factory=OrderedDict)


def furnish(painter: PictureModel, *, axes: int = 8, source: str | None = None) -> Studio:
    """Returns a studio for a model.

    Args:
        painter: the model.
        axes: how many main directions.
        source: where examples of attributes come from; see `learn_all`.
    """
    leading = affordable(LEADING, painter.model.size)
    return Studio(painter, principal(painter, axes, leading), learn_all(painter, source))


def affordable(most: int, size: int) -> int:
    """Returns how many of so many pictures are worth the wait, the larger the fewer.

    Example:
        >>> [affordable(256, size) for size in (28, 64, 256, 1024)]
        [256, 256, 64, 32]
    """
    return max(min(most, FEWEST), most * QUICK_SIDE // max(size, QUICK_SIDE))


def learn_all(painter: PictureModel, source: str | None = None) -> dict[str, Edit]:
    """Returns how to move each attribute; those that never vary are left out.

    As in ``hiresvae edit``, exact attributes hold one another still; what is a label of the model
    is left to its label. The network is asked for nothing.

    Args:
        painter: the model.
        source: whose pictures show the attributes, as ``data.source``. None: the model's own data
            where these are drawn by the package, or lie in a folder and have labels that the model
            was not told; else samples, of which is known what can be measured.
    """
    rungs = rungs_moved(painter)
    exact: list[str] = []
    count = affordable(EXAMPLES, painter.model.size)
    if source is not None or _at_hand(painter):
        known = of_data(painter, source=source, limit=count)
        codes, columns = encode(painter, known.pictures, known.labels), known.columns
        exact = [name for name in known.exact if columns[name].isfinite().all()]
    else:
        codes = Codes.joined([drawn(painter, seed) for seed in range(count)])
        columns = {name: v.double() for name, v in measured(decode(painter, codes)).items()}
    vectors, edits = codes.vector(rungs).cpu(), {}
    for name in (name for name in columns if name not in painter.classes):
        others = [columns[n] for n in exact if n != name and n not in painter.classes]
        try:
            together = torch.stack(others, 1) if others else None
            step = direction(vectors, columns[name], together)
        except UserError:
            continue  # the same for all, or for all but one
        edits[name] = Edit(name, "means", step.to(painter.device), rungs)
    return edits


def _at_hand(painter: PictureModel) -> bool:
    """Says whether the model's own data teach more than its samples, and are on this machine."""
    data = painter.settings.data
    if data.source.startswith("embedded:") and "+" not in data.source:
        return True
    here = data.source not in SETS and Path(data.source).exists()
    return here and data.labels != "none" and not painter.conditional


def place(studio: Studio, raw: bytes) -> tuple[str, Tensor]:
    """Returns the key of a dropped picture and how the model sees it, uint8 ``(C, S, S)``.

    Args:
        studio: which keeps it.
        raw: the bytes of a file; what is no picture, or a gigantic one, is refused unopened.

    Raises:
        UserError: it cannot be used.
    """
    painter = studio.painter
    data, model = painter.settings.data, painter.model
    framing = Framing(model.size, model.channels, data.crop, data.pad)  # type: ignore[arg-type]
    outcome = attempt(lambda: raw, framing)
    if isinstance(outcome, str):
        raise UserError(f"this picture cannot be used: {outcome}")
    pixels = torch.from_numpy(outcome.pixels)
    key = hashlib.sha256(outcome.pixels.tobytes()).hexdigest()
    if key not in studio.shelf:
        codes = encode(painter, pixels[None])
        studio.shelf[key] = Dropped(codes, pixels, decode(painter, codes)[0])
    studio.shelf.move_to_end(key)
    while len(studio.shelf) > KEPT:
        studio.shelf.popitem(last=False)
    return key, pixels


def codes_of(studio: Studio, picture: Picture, knobs: Knobs) -> Codes:
    """Returns the codes of a picture under the knobs.

    Raises:
        UserError: a key, a label, or an attribute is not known.
    """
    codes = _found(studio, picture, knobs)
    if knobs.axes:
        if len(knobs.axes) > len(studio.axes.steps):
            raise UserError(f"axes: this model has {len(studio.axes.steps)}")
        codes = studio.axes.apply(codes, torch.tensor(knobs.axes))
    for name, strength in knobs.attributes.items():
        if name not in studio.edits:
            raise UserError(f"attribute {name!r} is not known; {nearest(name, studio.edits)}")
        codes = studio.edits[name].apply(codes, strength)
    return codes


def _found(studio: Studio, picture: Picture, knobs: Knobs) -> Codes:
    painter = studio.painter
    if picture.sample is not None:
        return drawn(painter, picture.sample, temperature=knobs.temperature, label=knobs.label)
    codes = _dropped(studio, picture).codes
    if knobs.label is None:
        return codes
    label = torch.tensor([painter.label(knobs.label)], device=painter.device)
    return codes.under(one_hot(label, painter.model.classes).float(), label_means(painter))


def _dropped(studio: Studio, picture: Picture) -> Dropped:
    found = studio.shelf.get(str(picture.key))
    if found is None:
        raise UserError("this picture is no longer remembered: drop it once more")
    studio.shelf.move_to_end(str(picture.key))
    return found


def paint(studio: Studio, wish: Paint) -> Tensor:
    """Returns the pictures under the knobs, uint8 ``(N, C, S, S)``."""
    codes = [codes_of(studio, picture, wish.knobs) for picture in wish.pictures]
    painted = list(decode(studio.painter, Codes.joined(codes)))
    for row, picture in enumerate(wish.pictures):
        if picture.key is not None:
            own = _dropped(studio, picture)
            painted[row] = give_back(painted[row], own.remade, own.picture, wish.knobs.detail)
    return torch.stack(painted)


def _pair(studio: Studio, wish: Between | Mix) -> Codes:
    first = codes_of(studio, wish.a, wish.knobs)
    return Codes.joined([first, codes_of(studio, wish.b, wish.knobs.still())])


def between(studio: Studio, wish: Between) -> Tensor:
    """Returns the pictures on the way from a to b, both included, uint8 ``(steps, C, S, S)``."""
    codes = _pair(studio, wish)
    way = interpolate(studio.painter, codes, wish.steps)[0]
    sample = Dropped(codes, way[0], way[0])  # Of which nothing was forgotten.
    ends = [sample if one.key is None else _dropped(studio, one) for one in (wish.a, wish.b)]
    remade = torch.stack([end.remade for end in ends])
    own = torch.stack([end.picture for end in ends])
    return give_back_between(way, remade, own, wish.knobs.detail)


def mix(studio: Studio, wish: Mix) -> Tensor:
    """Returns two pictures ``(2, C, S, S)``: a with the fine rungs of b, and b with those of a.

    Raises:
        UserError: nothing would be kept, or nothing taken.
    """
    pairs = mixed(studio.painter, _pair(studio, wish), wish.keep)
    return torch.stack([pairs[0, 1], pairs[1, 0]])
