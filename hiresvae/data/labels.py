"""Which class each picture belongs to: from folders, a table, the set itself, or clusters."""

import contextlib
import csv
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from hiresvae.data.named import TABLES
from hiresvae.data.store import Store
from hiresvae.data.tiles import page_of
from hiresvae.errors import UserError, nearest
from hiresvae.labelling import Labelling
from hiresvae.paths import user_path

if TYPE_CHECKING:
    import torch

MAX_CLASSES = 1000
FILE_COLUMNS = ("file", "filename", "name", "image", "path")

Labels = tuple[np.ndarray | None, tuple[str, ...]]
"""Class indices int64 ``(N,)`` or None, and the names of the classes."""


def make_labels(spec: Labelling, store: Store, known: tuple[str, ...], source: str) -> Labels:
    """Returns the class of every picture of a store, and the names of the classes.

    Args:
        spec: ``data.labels``, taken apart.
        store: the decoded pictures.
        known: names of the set's own classes in their order; () to sort those that occur.
        source: ``data.source``, for the sentences.

    Raises:
        UserError: this source does not have such labels.
    """
    header = store.header
    if spec.kind == "folders":
        return _folders(header.folders, header.names, source)
    if spec.kind == "set":
        return _own(header.labels, header.names, known, source)
    if spec.kind == "csv":
        return _table(user_path(spec.file, "data.labels"), spec.column, header.names)
    if spec.kind == "clusters":
        return _clusters(spec.clusters, store)
    return None, ()


def _own(labels: list[str], names: list[str], known: tuple[str, ...], source: str) -> Labels:
    if not any(labels):
        if source in TABLES:
            raise UserError(
                f"data.labels is 'set', but no table here tells the classes of {source!r}: put "
                f"{TABLES[source]}, into the folder of HIRESVAE_DATA, or use none, "
                "csv:FILE:COLUMN or clusters:K"
            )
        raise UserError(
            f"data.labels is 'set', but {source!r} has no classes of its own: use none, "
            "folders, csv:FILE:COLUMN or clusters:K"
        )
    if not all(labels):
        raise UserError(
            f"data.labels is 'set', but {source!r} does not tell the class of {labels.count('')} "
            f"of {len(labels)} pictures, the first is {names[labels.index('')]!r}"
        )
    return _indexed(labels, known or _in_order(labels))


def _indexed(values: list[str], classes: tuple[str, ...]) -> Labels:
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[value] for value in values], dtype=np.int64), classes


def _in_order(values: list[str]) -> tuple[str, ...]:
    """Returns the different values: numbers by size, words by letter."""
    different = sorted(set(values))
    try:
        return tuple(sorted(different, key=float))
    except ValueError:
        return tuple(different)


def _folders(folders: list[str], names: list[str], source: str) -> Labels:
    if not all(folders):
        loose = names[folders.index("")]
        raise UserError(
            f"data.labels is 'folders', but {loose!r} in {source!r} is in no sub-folder: make one "
            "sub-folder a class, or use clusters:K"
        )
    return _indexed(folders, _in_order(folders))


@dataclass(frozen=True)
class Table:
    """A CSV file with a row a picture.

    Attributes:
        columns: their names.
        key: the column that names the pictures' files.
        rows: value by column.
    """

    columns: list[str]
    key: str
    rows: list[dict[str, str | None]]


def read_table(path: Path, option: str) -> Table:
    """Returns a CSV file with a row a picture.

    Args:
        path: the file.
        option: where it was named, for the sentences: "data.labels".

    Raises:
        UserError: there is no such file, it cannot be read, or it is empty.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = list(reader.fieldnames or []), list(reader)
    except FileNotFoundError as error:
        beside = [str(entry) for entry in sorted(path.parent.glob("*.csv"))]
        hint = nearest(path, beside) if beside else "there is no .csv file beside it either"
        raise UserError(f"{option}: there is no file {str(path)!r}: {hint}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{option}: {str(path)!r} cannot be read ({why})") from error
    if not header:
        raise UserError(f"{option}: {path.name} is empty; its first line must name the columns")
    key = next((name for name in header if name.lower() in FILE_COLUMNS), header[0])
    return Table(header, key, rows)


def _table(path: Path, column: str, names: list[str]) -> Labels:
    """Reads a column of a CSV file; shares in 0..1 (scores of a classifier) are cut at 0.5."""
    table = read_table(path, "data.labels")
    if column not in table.columns:
        raise UserError(
            f"data.labels: {path.name} has no column {column!r}: {nearest(column, table.columns)}"
        )
    named = [(row[table.key] or "", row[column] or "") for row in table.rows]
    # A full relative name goes before a bare file name, which may occur in several folders.
    values = {name.rpartition("/")[2]: value for name, value in reversed(named) if name}
    values |= {name: value for name, value in named if name}
    pages = [name if name in values else page_of(name) for name in names]
    found = [values.get(page) or values.get(PurePosixPath(page).name, "") for page in pages]
    if not all(found):
        raise UserError(
            f"data.labels: {path.name} has no {column!r} for {found.count('')} of {len(names)} "
            f"pictures, the first is {names[found.index('')]!r}"
        )
    if _are_shares(found):
        return np.array([float(v) > 0.5 for v in found], np.int64), (f"not {column}", column)
    classes = _in_order(found)
    if len(classes) > MAX_CLASSES:
        raise UserError(
            f"data.labels: column {column!r} of {path.name} has {len(classes)} different values, "
            f"more than {MAX_CLASSES} classes"
        )
    return _indexed(found, classes)


def _are_shares(values: list[str]) -> bool:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return False
    inside = all(0.0 <= number <= 1.0 for number in numbers)
    return inside and any(not number.is_integer() for number in numbers)


def _clusters(count: int, store: Store) -> Labels:
    """Returns k-means clusters of colour and texture, numbered from dark to light.

    They are kept beside the store: all processes and later runs see the very same.
    """
    different = len(set(store.header.digests))
    if not 2 <= count <= different:
        raise UserError(f"data.labels clusters:{count}: K must be 2 to {different} for this source")
    classes = tuple(f"cluster {i}" for i in range(count))
    path = store.folder / f"clusters_{count}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept = np.load(path)
        if kept.dtype == np.int64 and kept.shape == store.pictures.shape[:1]:
            return kept, classes
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    features = cluster_features(store.pictures)
    means = KMeans(count, n_init=4, random_state=0).fit(StandardScaler().fit_transform(features))
    lightness = [features[means.labels_ == i, :16].mean() for i in range(count)]
    rank = np.argsort(np.argsort(lightness))
    labels = rank[means.labels_].astype(np.int64)
    with contextlib.suppress(OSError):  # a store that others own may be read-only
        aside = path.with_name(f".{path.stem}.{os.getpid()}.npy")
        np.save(aside, labels)
        aside.replace(path)
    return labels, classes


def cluster_features(pictures: np.ndarray) -> np.ndarray:
    """Returns colour and texture of pictures, float32 ``(N, 50)``.

    The mean CIE Lab colour of 4x4 parts (16 times L, then a, then b), and the logarithm of the
    mean squared gradient of lightness at full and at half size.

    Args:
        pictures: uint8 ``(N, C, S, S)``, C = 1 or 3, S >= 8.
    """
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

    from hiresvae.colour import lab as to_lab

    parts = []
    for start in range(0, len(pictures), 256):
        block = torch.from_numpy(np.array(pictures[start : start + 256])).float() / 255
        lab = to_lab(block.expand(-1, 3, -1, -1))
        half = avg_pool2d(lab[:, :1], 2)
        energies = [_energy(lightness) for lightness in (lab[:, :1], half)]
        colours = adaptive_avg_pool2d(lab, 4).flatten(1)
        parts.append(torch.cat([colours, torch.stack(energies, 1)], 1))
    return torch.cat(parts).numpy()


def _energy(lightness: "torch.Tensor") -> "torch.Tensor":
    down, right = (lightness.diff(dim=d).square().mean((1, 2, 3)) for d in (2, 3))
    return (down + right + 0.1).log()
