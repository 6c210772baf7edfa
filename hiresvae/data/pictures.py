"""The pictures that a run learns from: opened, labelled, split, and described."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import Tensor

from hiresvae.data.catalogue import resolve
from hiresvae.data.decode import Framing
from hiresvae.data.labels import make_labels
from hiresvae.data.pairs import paired
from hiresvae.data.sources import Source
from hiresvae.data.store import Header, cache_folder, open_store
from hiresvae.data.tiles import tiled
from hiresvae.errors import UserError, nearest
from hiresvae.images import middle
from hiresvae.labelling import parse_labels
from hiresvae.settings import DataSettings


@dataclass(frozen=True)
class DataReport:
    """What was found in a source.

    Attributes:
        source: as in the settings.
        found: candidates.
        used: pictures that could be decoded.
        skipped: name and reason of each of the others.
        duplicates: pictures whose decoded content another picture before them has.
        sizes: smallest, median and largest picture by area, width and height in pixels.
        shape: of the stored array, ``(N, C, S, S)``.
        num_train: pictures for training.
        num_held_out: pictures kept out of training.
        classes: number of pictures in each class.
        key: hash of pictures, labels and split: a run that is continued must find it again.
    """

    source: str
    found: int
    used: int
    skipped: list[tuple[str, str]]
    duplicates: int
    sizes: dict[str, tuple[int, int]]
    shape: tuple[int, ...]
    num_train: int
    num_held_out: int
    classes: dict[str, int]
    key: str

    def to_json(self) -> str:
        """Returns the report as indented JSON."""
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True)
class PictureData:
    """All pictures of a run, decoded.

    Attributes:
        pictures: uint8 ``(N, C, S, S)``, a memory map; S is the size of the pictures, or with
            ``crop: random`` an eighth more, with ``crop: tiles`` twice that.
        labels: int64 ``(N,)``, or None.
        classes: their names; () when there are no labels.
        names: where each picture came from.
        train: int64 indices of the pictures for training.
        held_out: int64 indices of the others.
        report: what was found.
        inputs: what the encoder sees in place of each picture, as ``pictures``; None: themselves.
    """

    pictures: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    names: tuple[str, ...]
    train: np.ndarray
    held_out: np.ndarray
    report: DataReport
    inputs: np.ndarray | None = None

    @property
    def key(self) -> str:
        """Hash of pictures, labels and split: equal keys mean equal data."""
        return self.report.key

    def middles(self, rows: np.ndarray, size: int, *, inputs: bool = False) -> Tensor:
        """Returns pictures by index as they are shown: their middle, uint8 ``(n, C, size, size)``.

        Args:
            rows: of the store.
            size: side in pixels.
            inputs: what the encoder sees in their place, where there is any.
        """
        store = self.inputs if inputs and self.inputs is not None else self.pictures
        return middle(store[rows], size).contiguous()

    def describe(self) -> str:
        """Returns the report in a few lines for people."""
        report, (count, channels, side, _) = self.report, self.pictures.shape
        lines = [
            f"{report.source}: {count} pictures of {side}x{side}, "
            + ("grey" if channels == 1 else "colour"),
            f"{report.num_train} for training, {report.num_held_out} held out, "
            f"{report.duplicates} exact copies",
            "sizes: " + ", ".join(f"{name} {w}x{h}" for name, (w, h) in report.sizes.items()),
        ]
        if self.classes:
            shown = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
            lines.append(f"{len(self.classes)} classes: {shown}")
        if report.skipped:
            name, reason = report.skipped[0]
            lines.append(f"{len(report.skipped)} skipped, the first is {name} ({reason})")
        return "\n".join(lines)


def open_data(
    settings: DataSettings, *, inputs: str | None = None, progress: bool = True
) -> PictureData:
    """Returns the pictures that the settings name, decoding them into the cache at first use.

    Nothing is random: runs of every seed have the same pictures, labels and split.

    Args:
        settings: the section ``data``.
        inputs: source of what the encoder sees in their place, ``corruption.inputs``; None for the
            pictures themselves.
        progress: show a bar on stderr while decoding, if that is a terminal.

    Raises:
        UserError: the source, the labels or the cache cannot be used as the settings say.

    Example:
        >>> data = open_data(DataSettings(source="embedded:paintings", limit=16))  # doctest: +SKIP
        >>> data.pictures.shape  # doctest: +SKIP
        (16, 3, 64, 64)
    """
    labelling = parse_labels(settings.labels, settings.limit)  # before hours of decoding
    source, limit = find_source(settings, inputs), settings.limit
    side = stored_side(settings.size, settings.crop)
    framing = Framing(side, settings.channels, settings.crop, settings.pad)
    if settings.crop == "tiles":
        source, limit = tiled(source, framing, limit), None
    cache = cache_folder(settings.cache)
    store = open_store(source, framing, limit=limit, cache=cache, progress=progress)
    seen = None
    if source.parts == 2:
        half = store.pictures.shape[1] // 2
        store, seen = replace(store, pictures=store.pictures[:, :half]), store.pictures[:, half:]
    header = store.header
    labels, classes = make_labels(labelling, store, source.classes, settings.source)
    train, held_out = split(header.digests, settings.held_out)
    if settings.without:
        kept = ~of_labels(labels, classes, settings.without)
        train, held_out = train[kept[train]], held_out[kept[held_out]]
        if not len(train):
            raise UserError(
                "data.without leaves no picture to train on; nearest valid: fewer labels in it"
            )
    counts = Counter() if labels is None else Counter(labels.tolist())
    report = DataReport(
        source=settings.source,
        found=header.found,
        used=len(header.names),
        skipped=[(name, reason) for name, reason in header.skipped],
        duplicates=len(header.digests) - len(set(header.digests)),
        sizes=_sizes(header),
        shape=store.pictures.shape,
        num_train=len(train),
        num_held_out=len(held_out),
        classes={name: counts[i] for i, name in enumerate(classes)},
        key=_key(header, labels, classes, held_out, settings.without),
    )
    return PictureData(
        pictures=store.pictures,
        labels=labels,
        classes=classes,
        names=tuple(header.names),
        train=train,
        held_out=held_out,
        report=report,
        inputs=seen,
    )


def find_source(settings: DataSettings, inputs: str | None = None) -> Source:
    """Returns the source that the settings name, of whole pictures: pairs if there are inputs.

    Raises:
        UserError: there is no such source.
    """
    side, cache = stored_side(settings.size, settings.crop), cache_folder(settings.cache)
    limit = settings.limit
    source = resolve(settings.source, side=side, limit=limit, cache=cache)
    if inputs is None:
        return source
    seen = resolve(inputs, side=side, limit=limit, cache=cache, key="corruption.inputs")
    return paired(source, seen)


def stored_side(size: int, crop: str) -> int:
    """Returns the side in pixels at which pictures are stored, with room for windows.

    Tiles of twice the side that overlap by half hold every window of a page.
    """
    return {"random": round(size * 9 / 8), "tiles": 2 * size}.get(crop, size)


def of_labels(
    labels: np.ndarray | None, classes: tuple[str, ...], names: Sequence[str]
) -> np.ndarray:
    """Returns which pictures have one of the labels ``names``, bool ``(N,)``.

    Raises:
        UserError: there is no label of that name.
    """
    if labels is None:
        raise UserError(f"data.without names label {names[0]!r}, but data.labels is 'none'")
    for name in names:
        if name not in classes:
            raise UserError(f"data.without names label {name!r}: {nearest(name, classes)}")
    return np.isin(labels, [classes.index(name) for name in names])


def split(digests: list[str], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns indices for training and held out, int64, chosen by the pictures' content alone.

    A picture is held out if its hash, as a number in [0, 1), is below the share: exact copies stay
    together and no picture changes sides when others come or go. Where there are two different
    pictures and the share is not 0, neither part is empty.

    Args:
        digests: hexadecimal hash of each picture.
        share: 0 to 1.

    Example:
        >>> split(["0f", "f0", "0f"], 0.1)
        (array([1]), array([0, 2]))
    """
    values = np.array([int(digest[:13], 16) / 16 ** len(digest[:13]) for digest in digests])
    different = np.unique(values)
    if share > 0 and len(different) > 1:
        # Between the lowest and the highest hash, so that neither part is empty.
        share = float(np.clip(share, np.nextafter(different[0], 1), different[-1]))
    elif share > 0:
        share = 0.0
    held = values < share
    return np.flatnonzero(~held), np.flatnonzero(held)


def _sizes(header: Header) -> dict[str, tuple[int, int]]:
    ordered = sorted((w * h, w, h) for w, h in header.sizes)
    names = ("smallest", "median", "largest")
    picked = (ordered[0], ordered[len(ordered) // 2], ordered[-1])
    return {name: (w, h) for name, (_, w, h) in zip(names, picked, strict=True)}


def _key(
    header: Header,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    held_out: np.ndarray,
    without: list[str],
) -> str:
    words = json.dumps([header.shape, header.digests, classes])
    content = hashlib.sha256(words.encode())
    content.update(b"" if labels is None else labels.tobytes())
    content.update(held_out.tobytes())
    content.update(json.dumps(sorted(without)).encode() if without else b"")
    return content.hexdigest()[:32]
