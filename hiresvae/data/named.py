"""The named sets: in $HIRESVAE_DATA, else in the cache, else from their public homes.

Always the training part; what a set's authors keep for testing is left to others.
"""

import contextlib
import csv
import gzip
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

import numpy as np
from filelock import FileLock

from hiresvae.data import download
from hiresvae.data.decode import Raw
from hiresvae.data.folders import stamp
from hiresvae.data.sources import BROKEN, Item, Source, archive_source, digest, folder_source
from hiresvae.errors import UserError
from hiresvae.paths import user_path

# CycleGAN's paintings by Monet; its authors give no hash, so the number of pictures is checked.
MONET_URL = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/monet2photo.zip"
MONET_UNDER, MONET_COUNT = "monet2photo/trainA", 1072
# Labeled Faces in the Wild, funneled; address and hash as in scikit-learn's fetch_lfw_people.
LFW_URL = "https://ndownloader.figshare.com/files/5976015"
LFW_SHA256 = "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a"
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")

DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SMILING = ("not smiling", "smiling")
CHANNELS: dict[str, Literal[1, 3]] = {
    "monet": 3, "lfw": 3, "celeba": 3, "cifar10": 3, "mnist": 1, "fashion_mnist": 1,
}  # fmt: skip
CLASSES = {
    "lfw": SMILING, "celeba": SMILING, "cifar10": CIFAR10, "mnist": DIGITS,
    "fashion_mnist": FASHION,
}  # fmt: skip
"""What is the same for each form in which a set is kept."""
TABLES = {
    "lfw": "lfw/lfw_attributes.txt, the attributes that Columbia University published, or "
    "lfw/attributes.csv with the columns file and Smiling",
    "celeba": "celeba/list_attr_celeba.txt, which comes with the set",
}
"""Where those sets whose classes are in a table of their own have it, below $HIRESVAE_DATA."""


def named_source(name: str, cache: Path) -> Source:
    """Returns a named set, one of SETS.

    Args:
        name: of the set.
        cache: folder below which a downloaded set is kept.

    Raises:
        UserError: it is not on this machine and cannot be downloaded, or its files are broken.
    """
    return SETS[name](cache / "sets")


def _places(cache: Path) -> list[Path]:
    given = os.environ.get("HIRESVAE_DATA")
    return [user_path(given, "$HIRESVAE_DATA"), cache] if given else [cache]


def _find(cache: Path, *names: str) -> Path | None:
    """Returns the first of the places that has the first of the names, and so on."""
    candidates = (place / name for name in names for place in _places(cache))
    return next((path for path in candidates if path.exists()), None)


@contextlib.contextmanager
def _downloading(name: str, cache: Path, by_hand: str) -> Iterator[None]:
    """One process at a time; what a download raises becomes one sentence; prints go to stderr."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock"), contextlib.redirect_stdout(sys.stderr):
            yield
    except UserError:
        raise
    except (OSError, RuntimeError, ImportError, download.UnreachableError) as error:
        raise UserError(
            f"{name} is not on this machine and could not be downloaded ({error}): put it into "
            f"$HIRESVAE_DATA/{by_hand} by hand, or use embedded:paintings, which needs no network"
        ) from error


def _monet(cache: Path) -> Source:
    folder = _find(cache, "monet/train")
    if folder:
        return folder_source(folder, "monet")
    with _downloading("monet", cache, "monet/train"):
        path = download.fetch(MONET_URL, cache / "monet" / "monet2photo.zip")
    source = archive_source(path, "monet", under=MONET_UNDER)
    count = len(list(source.items()))
    if count != MONET_COUNT:
        download.discard(path)
        raise UserError(
            f"the downloaded monet has {count} pictures, not {MONET_COUNT}; it has been removed, "
            "try again or put pictures into $HIRESVAE_DATA/monet/train by hand"
        )
    return source


def _lfw(cache: Path) -> Source:
    path = _find(cache, "lfw.tar", "lfw.tgz", "lfw/lfw-funneled.tgz")
    if path is None:
        with _downloading("lfw", cache, "lfw.tar"):
            path = download.fetch(LFW_URL, cache / "lfw/lfw-funneled.tgz", sha256=LFW_SHA256)
    source = archive_source(path, "lfw")
    if (table := _find(cache, "lfw/attributes.csv")) is not None:
        return _with_smiles(source, table, _lfw_smiles)
    if (table := _find(cache, "lfw/lfw_attributes.txt")) is not None:
        return _with_smiles(source, table, _lfw_scores, all_named=False)
    return source


def _lfw_smiles(table: Path) -> dict[str, bool]:
    with table.open(newline="", encoding="utf-8") as file:
        return {row["file"]: float(row["Smiling"]) > 0.5 for row in csv.DictReader(file)}


def _lfw_scores(table: Path) -> dict[str, bool]:
    """As Kumar et al. publish them: a remark, "# person, imagenum, ...", a face a line, by tabs."""
    with table.open(newline="", encoding="utf-8") as file:
        next(file)
        columns = next(file).lstrip("# ").rstrip("\r\n").split("\t")
        rows = csv.DictReader(file, fieldnames=columns, dialect="excel-tab")
        return {
            f"{row['person'].replace(' ', '_')}_{int(row['imagenum']):04}.jpg":
            float(row["Smiling"]) > 0 for row in rows
        }  # fmt: skip


def _celeba(cache: Path) -> Source:
    pictures = _find(cache, "celeba/img_align_celeba", "celeba/img_align_celeba.zip")
    if pictures is None:
        from torchvision.datasets import CelebA

        with _downloading("celeba", cache, "celeba/img_align_celeba"):
            CelebA(str(cache), download=True)
        pictures = cache / "celeba/img_align_celeba"
    source = (folder_source if pictures.is_dir() else archive_source)(pictures, "celeba")
    attributes = _find(cache, "celeba/list_attr_celeba.txt")
    return source if attributes is None else _with_smiles(source, attributes, _celeba_smiles)


def _celeba_smiles(table: Path) -> dict[str, bool]:
    rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines()]
    column = rows[1].index("Smiling") + 1  # the header has no name for the file's column
    return {row[0]: row[column] == "1" for row in rows[2:]}


def _with_smiles(
    source: Source, table: Path, read: Callable[[Path], dict[str, bool]], all_named: bool = True
) -> Source:
    """Returns the source with the classes SMILING, which a table gives by the names of files.

    Args:
        source: the pictures.
        table: of their classes.
        read: returns whether a file, named with its folders or without, shows a smile.
        all_named: whether the table names every picture. What it does not name has no class then:
            it may be a stray file, which is no picture. Otherwise it is left out.
    """

    def items() -> list[Item]:
        try:
            smiles = read(table)
        except (*BROKEN, LookupError, TypeError, StopIteration, csv.Error) as error:
            raise UserError(f"{source.name}: {table.name} is broken ({error})") from error
        known = {name: SMILING[smiling] for name, smiling in smiles.items()}
        found = [
            replace(item, label=known.get(item.name, known.get(PurePosixPath(item.name).name, "")))
            for item in source.items()
        ]
        return [item for item in found if item.label or all_named]

    return Source(source.name, digest(source.identity, *stamp(table)), items, SMILING)


def _filled(folder: Path | None) -> Path | None:
    """Returns the folder unless it is empty: a download that failed leaves such a one."""
    return folder if folder is not None and any(folder.iterdir()) else None


def _mnist(cache: Path) -> Source:
    folder = _filled(_find(cache, "mnist", "MNIST/raw"))
    if folder is None:
        from torchvision.datasets import MNIST

        with _downloading("mnist", cache, "mnist"):
            MNIST(str(cache), download=True)
        folder = cache / "MNIST/raw"
    return _idx_source("mnist", folder, DIGITS)


def _fashion_mnist(cache: Path) -> Source:
    folder = _filled(_find(cache, "fashion_mnist", "FashionMNIST/raw"))
    if folder is None and DEBIAN_FASHION.exists():
        folder = DEBIAN_FASHION
    if folder is None:
        from torchvision.datasets import FashionMNIST

        with _downloading("fashion_mnist", cache, "fashion_mnist"):
            FashionMNIST(str(cache), download=True)
        folder = cache / "FashionMNIST/raw"
    return _idx_source("fashion_mnist", folder, FASHION)


def _idx_source(name: str, folder: Path, classes: tuple[str, ...]) -> Source:
    files = [folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]

    def load() -> tuple[np.ndarray, np.ndarray]:
        return _idx(files[0]), _idx(files[1])

    return _array_source(name, files, load, classes)


def _idx(path: Path) -> np.ndarray:
    """Returns the uint8 array in a gzipped IDX file (two zero bytes, type 8, rank, sides)."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise ValueError("not an IDX file of bytes")
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def _cifar10(cache: Path) -> Source:
    path = _find(cache, "cifar10/cifar10_jpeg.npz", "cifar10_jpeg.npz")
    if path:
        return _array_source("cifar10", [path], partial(_jpegs, path), CIFAR10, in_memory=False)
    from torchvision.datasets import CIFAR10 as Cifar10  # noqa: N811 - a class, named like ours

    with _downloading("cifar10", cache, "cifar10/cifar10_jpeg.npz"):
        full = Cifar10(str(cache), download=True)
    files = [cache / "cifar-10-python.tar.gz"]

    def load() -> tuple[np.ndarray, np.ndarray]:
        return full.data.transpose(0, 3, 1, 2), np.asarray(full.targets)

    return _array_source("cifar10", files, load, CIFAR10)


def _jpegs(path: Path) -> tuple[list[bytes], np.ndarray]:
    with _packed(path) as file:
        raw, ends, labels = (file[f"train_{part}"] for part in ("jpeg", "offsets", "labels"))
    encoded = raw.tobytes()
    return [encoded[a:b] for a, b in pairwise(ends.tolist())], labels


@contextlib.contextmanager
def _packed(path: Path) -> Iterator[Any]:
    """Opens the arrays of an .npz; of one that is broken numpy alone would leave the file open."""
    with path.open("rb") as raw, np.load(raw) as file:
        yield file


def _textures(cache: Path) -> Source:
    path = _find(cache, "textures/textures_28px.npz")
    if path is None:  # the full set: whole colour pictures of 47 classes
        from torchvision.datasets import DTD

        with _downloading("textures", cache, "textures/textures_28px.npz"):
            DTD(str(cache), download=True)
        return folder_source(cache / "dtd/dtd/images", "textures", label_folders=True)
    try:
        with _packed(path) as file:
            classes = tuple(str(name) for name in file["classes"])
    except (*BROKEN, LookupError, TypeError) as error:
        raise UserError(f"textures: {path.name} is broken ({error})") from error

    def load() -> tuple[np.ndarray, np.ndarray]:
        with _packed(path) as file:
            return file["train"], file["train_labels"]

    return _array_source("textures", [path], load, classes)


def _documents(cache: Path, part: str = "") -> Source:
    """Returns all pages, with noisy and clean as their classes, or one of these two folders."""
    name = f"documents:{part}" if part else "documents"
    folder = _find(cache, f"documents/{part}" if part else "documents")
    if folder is None:
        raise UserError(
            f"{name} is not on this machine and cannot be downloaded unasked: put NoisyOffice's "
            "pages into $HIRESVAE_DATA/documents/noisy and .../clean by hand, or use "
            "embedded:paintings, which needs no files"
        )
    return folder_source(folder, name, label_folders=not part)


def _array_source(
    name: str,
    files: list[Path],
    load: Callable[[], tuple[list[bytes] | np.ndarray, np.ndarray]],
    classes: tuple[str, ...],
    *,
    in_memory: bool = True,
) -> Source:
    """Returns a source over arrays in files: pictures and class indices of the training part.

    Args:
        name: of the set.
        files: where the arrays are.
        load: reads them.
        classes: names of the classes.
        in_memory: the pictures are pixels; otherwise they are encoded files.
    """
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise UserError(f"{name}: {missing[0]} is missing beside the set's other files")

    def items() -> list[Item]:
        try:
            pictures, labels = load()
            named = [classes[label] for label in labels.tolist()]
        except (*BROKEN, LookupError, TypeError) as error:
            raise UserError(f"{name}: {files[0].name} is broken ({error})") from error
        if len(pictures) != len(labels):
            raise UserError(f"{name} has {len(pictures)} pictures but {len(labels)} labels")
        return [
            Item(f"{name} train {i}", partial(_entry, pictures, i), label=label)
            for i, label in enumerate(named)
        ]

    stamps = [(file.name, *stamp(file)) for file in files]
    return Source(name, digest(name, *stamps), items, classes, in_memory)


def _entry(pictures: list[bytes] | np.ndarray, index: int) -> Raw:
    return cast(Raw, pictures[index])


SETS: dict[str, Callable[[Path], Source]] = {
    "monet": _monet,
    "lfw": _lfw,
    "celeba": _celeba,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "textures": _textures,
    "documents": _documents,
    "documents:clean": partial(_documents, part="clean"),
    "documents:noisy": partial(_documents, part="noisy"),
}
