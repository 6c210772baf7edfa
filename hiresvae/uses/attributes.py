"""What is known of pictures: the examples from which a direction of editing is learned."""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from hiresvae.data import PictureData, open_data
from hiresvae.data.labels import read_table
from hiresvae.data.reading import reason
from hiresvae.errors import UserError, nearest
from hiresvae.generator import PictureModel
from hiresvae.seeding import generator
from hiresvae.uses.codes import read
from hiresvae.uses.measure import measured

EXAMPLES = 2000
"""Pictures from which a direction is learned; more change little and cost encoding."""


@dataclass(frozen=True)
class Examples:
    """Pictures with attributes.

    Attributes:
        pictures: uint8 ``(N, C, S, S)``.
        labels: int64 ``(N,)`` as the model knows them, or None.
        columns: float64 ``(N,)`` by name; NaN where it is not known.
        exact: names of those columns that are known and not measured.
        skipped: name and reason of what could not be read.
    """

    pictures: Tensor
    labels: Tensor | None
    columns: dict[str, Tensor]
    exact: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def column(self, name: str) -> Tensor:
        """Returns an attribute ``(N,)``.

        Raises:
            UserError: there is none of that name.
        """
        if name not in self.columns:
            raise UserError(f"attribute {name!r} is not known; {nearest(name, self.columns)}")
        return self.columns[name]


def two_folders(painter: PictureModel, having: Path, lacking: Path, name: str) -> Examples:
    """Returns the pictures of two folders; attribute ``name`` is 1 in the first, 0 in the other.

    Raises:
        UserError: one has fewer than two pictures, or they have pictures in common.
    """
    parts = [read(painter, folder) for folder in (having, lacking)]
    for folder, part in zip((having, lacking), parts, strict=True):
        if len(part.names) < 2:
            raise UserError(
                f"{folder} has {len(part.names)} pictures; at least 2 are needed to learn from"
                f"{reason(part.skipped)}"
            )
    theirs = {picture.numpy().tobytes() for picture in parts[1].pictures}
    both = [
        own
        for own, picture in zip(parts[0].names, parts[0].pictures, strict=True)
        if picture.numpy().tobytes() in theirs
    ]
    if both:
        raise UserError(
            f"{having} and {lacking} have {len(both)} pictures in common, the first is {both[0]}: "
            f"name a folder of pictures with {name!r} and another of pictures without it"
        )
    pictures = torch.cat([part.pictures for part in parts])
    values = torch.tensor([1.0, 0.0]).repeat_interleave(torch.tensor([len(p.names) for p in parts]))
    columns = {k: v.double() for k, v in measured(pictures).items()} | {name: values.double()}
    skipped = (*parts[0].skipped, *parts[1].skipped)
    return Examples(pictures, None, columns, (name,), skipped)


def of_data(
    painter: PictureModel,
    *,
    source: str | None = None,
    table: Path | None = None,
    limit: int = EXAMPLES,
) -> Examples:
    """Returns pictures of the training data, or of another source, with all that is known of them.

    That is: what can be measured; the classes; the exact attributes of ``embedded:faces``; the
    columns of a CSV file. Of two of one name the later one is taken.

    Args:
        painter: the model.
        source: as in ``data.source``; None: the model's own, training pictures only.
        table: CSV file with a row a picture.
        limit: at most so many pictures, chosen at random, always the same ones.

    Raises:
        UserError: the source or the table cannot be used.
    """
    settings = painter.settings.data
    if source is not None:
        new = {"source": source, "labels": "none", "limit": None, "held_out": 0.0}
        settings = settings.model_copy(update={**new, "channels": painter.model.channels})
    data = open_data(settings)
    order = torch.randperm(len(data.train), generator=generator(0, "examples"))[:limit]
    rows = data.train[order.numpy()]
    pictures = data.middles(rows, painter.model.size)
    names = [data.names[row] for row in rows]
    exact = _classes(data, rows) | _drawn(settings.source, names)
    if table is not None:
        exact |= read_columns(table, names)
    columns = {k: v.double() for k, v in measured(pictures).items()} | exact
    labels = None
    if painter.conditional and source is None and data.labels is not None:
        labels = torch.from_numpy(np.asarray(data.labels)[rows])
    return Examples(pictures, labels, columns, tuple(exact))


def _classes(data: PictureData, rows: np.ndarray) -> dict[str, Tensor]:
    if data.labels is None:
        return {}
    own = torch.from_numpy(np.asarray(data.labels)[rows])
    return {name: (own == k).double() for k, name in enumerate(data.classes)}


def _drawn(source: str, names: list[str]) -> dict[str, Tensor]:
    """Returns the exact attributes of pictures that the package draws."""
    kind, _, drawn_set = source.partition(":")
    if kind != "embedded" or "+" in source:
        return {}
    from hiresvae.data import embedded

    drawn = embedded.load(drawn_set)
    known = [drawn.attributes(int(name.rpartition(" ")[2])) for name in names]
    return {
        name: torch.tensor([float(values[name]) for values in known], dtype=torch.float64)
        for name in drawn.ATTRIBUTES
        if all(isinstance(values[name], int | float) for values in known)
    }


def read_columns(path: Path, names: list[str]) -> dict[str, Tensor]:
    """Returns the columns of a CSV file for pictures of these names, float64 ``(N,)`` each.

    Numbers are taken as they are. Two words become 0 and 1 (by letter, under the column's name);
    more become a column each, ``column=word``. Pictures without a row have NaN.

    Raises:
        UserError: the file cannot be read or speaks of none of the pictures.
    """
    table = read_table(path, "--csv")
    key = table.key
    rows = [(file, line) for line in table.rows if (file := line[key])]
    by_name = {PurePosixPath(file).name: line for file, line in reversed(rows)} | dict(rows)
    found = [by_name.get(name) or by_name.get(PurePosixPath(name).name, {}) for name in names]
    if not any(found):
        raise UserError(
            f"--csv {path}: its column {key!r} names none of the pictures; the first of them is "
            f"{names[0]!r}"
        )
    columns: dict[str, Tensor] = {}
    for name in table.columns:
        if name != key:
            columns |= _numbers(name, [(line.get(name) or "").strip() for line in found])
    return columns


def _numbers(name: str, words: list[str]) -> dict[str, Tensor]:
    try:
        values = [float(word) if word else np.nan for word in words]
        return {name: torch.tensor(values, dtype=torch.float64)}
    except ValueError:
        kinds = sorted(set(words) - {""})
    if len(kinds) > 100:  # names or remarks, not kinds
        return {}
    of_kind = {
        kind: torch.tensor([np.nan if not w else float(w == kind) for w in words]).double()
        for kind in kinds
    }
    if len(kinds) == 2:
        return {name: of_kind[kinds[1]]}
    return {f"{name}={kind}": values for kind, values in of_kind.items()}


def known_only(examples: Examples, names: list[str]) -> Examples:
    """Returns the examples of which all these attributes are known."""
    known = torch.ones(len(examples.pictures), dtype=torch.bool)
    for name in names:
        known &= examples.column(name).isfinite()
    return replace(
        examples,
        pictures=examples.pictures[known],
        labels=None if examples.labels is None else examples.labels[known],
        columns={name: values[known] for name, values in examples.columns.items()},
    )
