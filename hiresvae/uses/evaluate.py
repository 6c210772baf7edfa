"""Everything that can be measured of a model, or of a folder of made pictures, as one report."""

import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.metrics.features import FeatureNetwork, extract, extract_cached, load_network
from hiresvae.metrics.frechet import fid_infinity, frechet_distance, halves_floor, moments
from hiresvae.metrics.kernel import kernel_estimate
from hiresvae.metrics.paired import psnr
from hiresvae.metrics.results import Figure, Interval, bootstrap, write_json
from hiresvae.metrics.sharpness import sharpness_ratio
from hiresvae.metrics.spectrum import grid_peak, nyquist_peak, spectrum_distance
from hiresvae.seeding import generator
from hiresvae.settings import DataSettings

if TYPE_CHECKING:
    from hiresvae.data import PictureData

# Real pictures in the features' statistics: enough for 2048 dimensions, minutes on two cores.
MOST_REALS = 2000
# A run or exported model has one of these; a folder of pictures has none.
MODEL_FILES = ("config.json", "config.yaml", "model", "model.safetensors")


@dataclass(frozen=True)
class Reals:
    """The real pictures against which is measured.

    Attributes:
        train: uint8 ``(N, C, H, W)`` of the training part in random order, at most 2000.
        held_out: uint8 ``(M, C, H, W)`` never trained on, at most 2000; the training part where
            nothing is held out.
        has_held_out: whether ``held_out`` is what it says.
    """

    train: Tensor
    held_out: Tensor
    has_held_out: bool

    @classmethod
    def of(cls, data: "PictureData", size: int) -> "Reals":
        """Returns the real pictures of opened data, cut to their middle of ``size`` pixels.

        The draw is the same for every seed of the evaluation, so that the features of real
        pictures are computed once and two evaluations differ by what was made alone.
        """

        def some(indices: np.ndarray, part: str) -> Tensor:
            order = torch.randperm(len(indices), generator=generator(0, "reals", part))
            chosen = indices[order[:MOST_REALS].numpy()]
            top = (data.pictures.shape[-1] - size) // 2
            cut = slice(top, top + size)
            return torch.from_numpy(np.ascontiguousarray(data.pictures[chosen][..., cut, cut]))

        train = some(data.train, "train")
        if len(data.held_out) == 0:
            return cls(train, train, False)
        return cls(train, some(data.held_out, "held_out"), True)

    @property
    def role(self) -> str:
        """What the pictures are called that stand for the unseen ones."""
        return "held_out" if self.has_held_out else "train"


def evaluate(
    model: str,
    out: Path,
    *,
    reference: Path | None = None,
    samples: int = 1000,
    features: str = "auto",
    seed: int = 0,
    device: str | None = None,
) -> dict[str, Any]:
    """Measures a model, or a folder of pictures, writes the figures as JSON and returns them.

    Args:
        model: anything that ``hiresvae.load`` takes, or a folder of pictures.
        out: the JSON file, written whole or not at all.
        reference: folder of real pictures; None: the data that the model was trained on.
        samples: pictures drawn from the model for each prior.
        features: ``auto`` (Inception), ``none``, or a TorchScript file.
        seed: of samples, subsets and intervals.
        device: such as ``cpu`` or ``cuda``; None: the accelerator if there is one.

    Returns:
        ``figures`` (name to figure, see :class:`~hiresvae.metrics.results.Figure`), ``notes`` (what
        did not run and why), ``features``, ``counts``, ``seed``, ``seconds``, ``device``,
        ``versions``, ``model``, ``reference``.

    Raises:
        UserError: a folder of pictures without a reference, an empty one, too few samples, or a
            feature file that cannot be read.
    """
    begun = time.monotonic()
    if samples < 8:
        raise UserError(f"samples={samples} is too few to measure anything: take 8 or more")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    notes: list[str] = []
    network = _network(features, device, notes)
    if _is_pictures(model):
        if reference is None:
            raise UserError(
                f"{model} is a folder of pictures: name the real ones to compare it with by "
                "--reference FOLDER"
            )
        figures, counts = _two_folders(Path(model), reference, network, seed)
    else:
        figures, counts = _model(model, reference, samples, network, seed, device, notes)
    report = {
        "model": model,
        "reference": None if reference is None else str(reference),
        "figures": {figure.name: figure.to_json() for figure in figures},
        "notes": notes,
        "features": None if network is None else network.to_json(),
        "counts": counts,
        "seed": seed,
        "device": device,
        "seconds": round(time.monotonic() - begun, 1),
        "versions": _versions(),
    }
    write_json(report, out)
    return report


def distances(
    kind: str,
    fakes: np.ndarray,
    reals: np.ndarray,
    network: FeatureNetwork,
    counts: dict[str, int],
    seed: int,
) -> list[Figure]:
    """Returns Fréchet and kernel distance of features ``(N, D)`` as figures.

    Args:
        kind: such as ``g{}_fitted`` or ``r{}``; {} becomes fid and kid, or frechet and kernel where
            the network is not the Inception.
        fakes: features of made pictures.
        reals: features of real pictures.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the subsets.
    """
    kernel = kernel_estimate(fakes, reals, seed=seed)
    frechet_name, kernel_name = _words(network)
    return [
        Figure(
            kind.format(frechet_name),
            frechet_distance(fakes, reals),
            "squared distance",
            "down",
            counts=counts,
            features=network.to_json(),
        ),
        Figure(
            kind.format(kernel_name),
            kernel.value,
            "squared MMD",
            "down",
            interval=kernel.interval,
            counts={**counts, "subset": kernel.subset_size},
            features=network.to_json(),
        ),
    ]


def floor(reals: np.ndarray, network: FeatureNetwork, seed: int) -> list[Figure]:
    """Returns the distances of two random halves of the real features ``(N, D)`` as figures."""
    halves = halves_floor(reals, seed)
    words, counts = _words(network), {"half": halves.count}
    return [
        Figure(f"floor_{word}", value, unit, "down", counts=counts, features=network.to_json())
        for word, value, unit in zip(
            words, halves[:2], ("squared distance", "squared MMD"), strict=True
        )
    ]


def texture(
    role: str, fakes: Tensor, reals: Tensor, counts: dict[str, int], seed: int
) -> list[Figure]:
    """Returns what needs no network: sharpness and spectrum of fakes beside reals, as figures.

    Args:
        role: what the fakes are; ends the figures' names.
        fakes: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)``.
        counts: pictures by role, for the record.
        seed: of the interval.
    """
    sharp = sharpness_ratio(fakes, reals, seed=seed)
    spectrum = spectrum_distance(fakes, reals)
    excess = max(0.0, nyquist_peak(fakes) - nyquist_peak(reals))
    rows: list[tuple[str, float, str, Literal["up", "down"], Interval | None]] = [
        ("sharpness_ratio", sharp.value, "ratio", "up", sharp.interval),
        ("spectrum_distance", spectrum.mean_db, "dB", "down", None),
        ("spectrum_worst", spectrum.worst_share, "share", "down", None),
        ("nyquist_excess", excess, "dB", "down", None),
    ]
    if min(fakes.shape[-2:]) >= 16:
        rows.append(("grid_peak", grid_peak(fakes) / grid_peak(reals), "ratio", "down", None))
    return [Figure(f"{name}_{role}", v, u, b, i, counts) for name, v, u, b, i in rows]


def _model(
    name: str,
    reference: Path | None,
    samples: int,
    network: FeatureNetwork | None,
    seed: int,
    device: str,
    notes: list[str],
) -> tuple[list[Figure], dict[str, int]]:
    from hiresvae.generator import load

    model = load(name, device=device)
    settings: DataSettings = model.settings.data
    fitted = model.sample(samples, seed=seed, prior="fitted").cpu()
    if reference is None:
        data = model.data()
    else:
        from hiresvae.data import open_data

        # Of the model's own number of channels, or it could not reconstruct them.
        new = {"source": str(reference), "labels": "none", "limit": None}
        data = open_data(settings.model_copy(update={**new, "channels": fitted.shape[1]}))
    reals = Reals.of(data, settings.size)
    if not reals.has_held_out:
        notes.append("nothing is held out: training pictures stand in for held-out ones")
    held_out_copies = _reconstruct(model, reals.held_out)
    errors = psnr(held_out_copies, reals.held_out)

    unseen = {reals.role: len(reals.held_out)}
    figures = [
        *texture("samples", fitted, reals.held_out, {"samples": samples, **unseen}, seed),
        *texture("reconstructions", held_out_copies, reals.held_out, unseen, seed),
        Figure(
            "psnr_reconstructions",
            float(errors.mean()),
            "dB",
            "up",
            interval=bootstrap(lambda x: float(x.mean()), errors, seed=seed),
            counts=unseen,
        ),
    ]
    counts = {"samples": samples, "train": len(reals.train), **unseen}
    if network is None:
        return figures, counts

    real = extract_cached(reals.train, network)
    used = {"samples": samples, "train": len(real)}
    fake = extract(fitted, network)
    figures += distances("g{}_fitted", fake, real, network, used, seed)
    figures.append(
        Figure(
            f"g{_words(network)[0]}_infinity_fitted",
            fid_infinity(fake, moments(real), seed=seed),
            "squared distance",
            "down",
            counts=used,
            features=network.to_json(),
        )
    )
    standard = extract(model.sample(samples, seed=seed, prior="standard").cpu(), network)
    figures += distances("g{}_standard", standard, real, network, used, seed)

    # Held-out pictures first, then training ones, no more in all than the statistics above have.
    room = MOST_REALS - len(reals.held_out) if reals.has_held_out else 0
    rest = reals.train[:room]
    copies = torch.cat([held_out_copies, _reconstruct(model, rest)])
    originals = np.concatenate([extract_cached(reals.held_out, network), real[: len(rest)]])
    paired = {**unseen, "train": len(rest)} if reals.has_held_out else unseen
    figures += distances("r{}", extract(copies, network), originals, network, paired, seed)
    return figures + floor(real, network, seed), counts


def _two_folders(
    fakes: Path, reference: Path, network: FeatureNetwork | None, seed: int
) -> tuple[list[Figure], dict[str, int]]:
    # The made pictures decide the side: they are measured as they are, the real ones are resized.
    size = _side(fakes)
    from hiresvae.data import open_data

    made, real = (
        Reals.of(open_data(DataSettings(source=str(folder), size=size, held_out=0.0)), size).train
        for folder in (fakes, reference)
    )
    counts = {"pictures": len(made), "reference": len(real)}
    if min(counts.values()) < 8:
        raise UserError(f"{fakes} or {reference} has too few pictures: 8 or more are needed")
    figures = texture("pictures", made, real, counts, seed)
    if network is not None:
        features = extract(made, network), extract_cached(real, network)
        figures += distances("g{}_pictures", *features, network, counts, seed)
        figures += floor(features[1], network, seed)
    return figures, counts


def _network(features: str, device: str, notes: list[str]) -> FeatureNetwork | None:
    """Returns the feature network, or None with a note where there is none to be had."""
    if features == "none":
        notes.append("features=none: distances in features were left out")
        return None
    try:
        return load_network(features, device)
    except UserError as error:
        if features != "auto":
            raise
        notes.append(str(error))
        return None


def _is_pictures(model: str) -> bool:
    path = Path(model).expanduser()
    return path.is_dir() and not any((path / name).exists() for name in MODEL_FILES)


def _side(folder: Path) -> int:
    """Returns the shorter side of the first readable picture in a folder, in pixels."""
    from PIL import Image, UnidentifiedImageError

    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with Image.open(path) as picture:
                return min(max(min(picture.size), 8), 2048)
        except (UnidentifiedImageError, OSError):
            continue
    raise UserError(f"{folder} holds neither a model nor a picture")


def _reconstruct(model: Any, pictures: Tensor, batch: int = 64) -> Tensor:
    parts = [model.reconstruct(part).cpu() for part in pictures.split(batch) if len(part)]
    return torch.cat(parts) if parts else pictures


def _words(network: FeatureNetwork) -> tuple[str, str]:
    return ("fid", "kid") if network.is_inception else ("frechet", "kernel")


def _versions() -> dict[str, str]:
    import hiresvae

    packages = ("torch", "numpy", "clean-fid", "Pillow")
    return {
        "hiresvae": hiresvae.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
