"""The pictures that a run learns from: opened, labelled, split, and described."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from hiresvae.data.catalogue import resolve
from hiresvae.data.decode import Framing
from hiresvae.data.labels import make_labels
from hiresvae.data.store import Header, cache_folder, open_store
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
            ``crop: random`` an eighth more.
        labels: int64 ``(N,)``, or None.
        classes: their names; () when there are no labels.
        names: where each picture came from.
        train: int64 indices of the pictures for training.
        held_out: int64 indices of the others.
        report: what was found.
    """

    pictures: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]
    names: tuple[str, ...]
    train: np.ndarray
    held_out: np.ndarray
    report: DataReport

    @property
    def key(self) -> str:
        """Hash of pictures, labels and split: equal keys mean equal data."""
        return self.report.key

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


def open_data(settings: DataSettings, *, progress: bool = True) -> PictureData:
    """Returns the pictures that the settings name, decoding them into the cache at first use.

    Nothing is random: runs of every seed have the same pictures, labels and split.

    Args:
        settings: the section ``data``.
        progress: show a bar on stderr while decoding, if that is a terminal.

    Raises:
        UserError: the source, the labels or the cache cannot be used as the settings say.

    Example:
        >>> data = open_data(DataSettings(source="embedded:paintings", limit=16))  # doctest: +SKIP
        >>> data.pictures.shape  # doctest: +SKIP
        (16, 3, 64, 64)
    """
    labelling = parse_labels(settings.labels, settings.limit)  # before hours of decoding
    cache = cache_folder(settings.cache)
    side = stored_side(settings.size, settings.crop)
    source = resolve(settings.source, side=side, limit=settings.limit, cache=cache)
    framing = Framing(side, settings.channels, settings.crop, settings.pad)
    store = open_store(source, framing, limit=settings.limit, cache=cache, progress=progress)
    header = store.header
    labels, classes = make_labels(labelling, store, source.classes, settings.source)
    train, held_out = split(header.digests, settings.held_out)
    counts = Counter() if labels is None else Counter(labels.tolist())
    report = DataReport(
        source=settings.source,
        found=header.found,
        used=len(header.names),
        skipped=[(name, reason) for name, reason in header.skipped],
        duplicates=len(header.digests) - len(set(header.digests)),
        sizes=_sizes(header),
        shape=header.shape,
        num_train=len(train),
        num_held_out=len(held_out),
        classes={name: counts[i] for i, name in enumerate(classes)},
        key=_key(header, labels, classes, held_out),
    )
    return PictureData(
        pictures=store.pictures,
        labels=labels,
        classes=classes,
        names=tuple(header.names),
        train=train,
        held_out=held_out,
        report=report,
    )


def stored_side(size: int, crop: str) -> int:
    """Returns the side in pixels at which pictures are stored: room for windows if random."""
    return round(size * 9 / 8) if crop == "random" else size


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
    header: Header, labels: np.ndarray | None, classes: tuple[str, ...], held_out: np.ndarray
) -> str:
    words = json.dumps([header.shape, header.digests, classes])
    content = hashlib.sha256(words.encode())
    content.update(b"" if labels is None else labels.tobytes())
    content.update(held_out.tobytes())
    return content.hexdigest()[:32]
