"""Everything that can be measured of a model, or of a folder of made pictures, as one report."""

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.metrics.features import FEATURES, FeatureNetwork, extract, features_key, load_network
from hiresvae.metrics.frechet import fid_infinity, moments
from hiresvae.metrics.perceptual import LEAST_SIDE, load_lpips
from hiresvae.metrics.results import Figure, write_json
from hiresvae.settings import DataSettings
from hiresvae.uses import figures as measure
from hiresvae.uses.likelihood import likelihood_figures
from hiresvae.uses.plan import GROUPS, OF_FEATURES, Plan, chosen_groups
from hiresvae.uses.processes import by_share, connect, is_first, joined, remembered, share
from hiresvae.uses.reals import Reals, filled

# A run or exported model has one of these; a folder of pictures has none.
MODEL_FILES = ("config.json", "config.yaml", "model", "model.safetensors")


def evaluate(
    model: str,
    out: Path,
    *,
    reference: Path | None = None,
    samples: int = 1000,
    features: str = "auto",
    seed: int = 0,
    device: str | None = None,
    metrics: str = "all",
    iwae: int = 0,
) -> dict[str, Any]:
    """Measures a model, or a folder of pictures, writes the figures as JSON and returns them.

    Args:
        model: anything that ``hiresvae.load`` takes, or a folder of pictures.
        out: the JSON file, written whole or not at all.
        reference: folder of real pictures; None: the data that the model was trained on.
        samples: pictures drawn from the model for each prior; above 2000 also the most that are
            taken of real pictures and of a folder.
        features: ``auto`` (Inception), ``none``, or a TorchScript file.
        seed: of samples, subsets and intervals.
        device: such as ``cpu`` or ``cuda``; None: the accelerator if there is one.
        metrics: ``all``, or names of `hiresvae.uses.plan.GROUPS` with commas between.
        iwae: importance samples of the tighter bound on the likelihood; 0 leaves it out.

    Returns:
        ``figures`` (name to figure, see :class:`~hiresvae.metrics.results.Figure`), ``notes`` (what
        did not run and why), ``features``, ``metrics``, ``counts``, ``seed``, ``seconds`` and
        ``seconds_by_part``, ``device``, ``versions``, ``model``, ``reference``.

    Raises:
        UserError: a folder of pictures without a reference, an empty one, too few samples, an
            unknown group, or a feature file that cannot be read.
    """
    begun = time.monotonic()
    if samples < 8:
        raise UserError(f"samples={samples} is too few to measure anything: take 8 or more")
    if iwae < 0:
        raise UserError(f"iwae={iwae} is no number of samples: take 1 or more, or 0 for none")
    plan = Plan(chosen_groups(metrics), samples, seed, iwae)
    device = connect(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if plan.wants(*OF_FEATURES):
        plan.network = _network(features, device, plan.notes)
    if _is_pictures(model):
        if reference is None:
            raise UserError(
                f"{model} is a folder of pictures: name the real ones to compare it with by "
                "--reference FOLDER"
            )
        figures, counts = _two_folders(Path(model), reference, plan)
    else:
        figures, counts = _model(model, reference, device, plan)
    report = {
        "model": model,
        "reference": None if reference is None else str(reference),
        "figures": {figure.name: figure.to_json() for figure in figures},
        "notes": plan.notes,
        "features": None if plan.network is None else plan.network.to_json(),
        "metrics": [name for name in GROUPS if name in plan.groups],
        "counts": counts,
        "seed": seed,
        "device": device,
        "seconds": round(time.monotonic() - begun, 1),
        "seconds_by_part": plan.seconds,
        "versions": _versions(),
    }
    if is_first():
        write_json(report, out)
    return report


def _model(
    name: str, reference: Path | None, device: str, plan: Plan
) -> tuple[list[Figure], dict[str, int]]:
    from hiresvae.generator import load

    model = load(name, device=device)
    settings: DataSettings = model.settings.data
    with plan.timed("samples"):
        fitted = _drawn(model, "fitted", plan)
    if reference is None:
        data = model.data()
    else:
        from hiresvae.data import open_data

        # Of the model's own number of channels, or it could not reconstruct them.
        new = {"source": str(reference), "labels": "none", "limit": None}
        data = open_data(settings.model_copy(update={**new, "channels": fitted.shape[1]}))
    with plan.timed("pictures"):
        reals = Reals.of(data, settings.size, plan.most)
    seed, unseen = plan.seed, {reals.role: len(reals.held_out)}
    counts = {"samples": plan.samples, "train": len(reals.train), **unseen}
    drawn = {"samples": plan.samples}
    if not reals.has_held_out:
        plan.notes.append("nothing is held out: training pictures stand in for held-out ones")
    figures: list[Figure] = []
    copies = torch.zeros(0)
    if plan.wants("texture", "patches", "paired", "distance"):
        with plan.timed("reconstructions"):
            copies = _reconstruct(model, _seen(model, reals, plan))
    for role, made, of in (("samples", fitted, drawn), ("reconstructions", copies, {})):
        pair, used = (made, reals.held_out), {**of, **unseen}
        figures += _pixels(role, *pair, used, plan)
    if plan.wants("patches"):
        figures += measure.patches_floor(reals.held_out, seed)
    if plan.wants("paired"):
        with plan.timed("paired"):
            _lpips(settings.size, device, plan)
            figures += measure.paired(copies, reals.held_out, unseen, seed, plan.perceptual)
    if plan.wants("memory"):
        held_out = reals.held_out if reals.has_held_out else None
        used = {**drawn, "train": len(reals.train)}
        with plan.timed("memory"):
            figures += measure.memory_pixels("samples", fitted, reals.train, held_out, used, seed)
    if plan.wants("likelihood"):
        with plan.timed("likelihood"):
            figures += _likelihood(model, reals.held_out, unseen, plan)
    if plan.network is not None:
        figures += _of_features(model, reals, fitted, copies, plan)
    return figures, counts


def _pixels(
    role: str, made: Tensor, real: Tensor, counts: dict[str, int], plan: Plan
) -> list[Figure]:
    """Returns texture and patches of made pictures beside real ones, where wanted."""
    figures: list[Figure] = []
    if plan.wants("texture"):
        with plan.timed("texture"):
            figures += measure.texture(role, made, real, counts, plan.seed)
    if plan.wants("patches"):
        with plan.timed("patches"):
            figures += measure.patches(role, made, real, counts, plan.seed)
    if plan.wants("diversity") and role != "reconstructions":
        with plan.timed("diversity"):
            a, b = measure.thumbnails(made), measure.thumbnails(real)
            figures += measure.diversity(role, a, b, None, counts, plan.seed)
    return figures


def _of_features(
    model: Any, reals: Reals, fitted: Tensor, copies: Tensor, plan: Plan
) -> list[Figure]:
    """Returns all figures that rest on the feature network, for both priors and for copies."""
    network, seed = plan.network, plan.seed
    assert network is not None
    with plan.timed("reference_features"):
        real = _real_features(reals.train, network)
        unseen = _real_features(reals.held_out, network) if reals.has_held_out else None
    with plan.timed("features"):
        fake = _features(fitted, network)
    used = {"samples": plan.samples, "train": len(real)}
    labels = model.drawn_labels(list(range(plan.samples)), seed=seed)
    classes = None if labels is None else (labels.cpu().numpy(), reals.train_labels)
    figures = _statistics("fitted", fake, real, unseen, used, classes, plan)
    if plan.wants("distance"):
        word = measure.network_words(network)[0]
        value = fid_infinity(fake, moments(real), seed=seed)
        name, of = f"g{word}_infinity_fitted", network.to_json()
        figures.append(Figure(name, value, "squared distance", "down", None, used, of))
    with plan.timed("samples"):
        drawn = _drawn(model, "standard", plan)
    with plan.timed("features"):
        standard = _features(drawn, network)
    figures += _statistics("standard", standard, real, unseen, used, classes, plan)
    if not plan.wants("distance"):
        return figures

    # Held-out pictures first, then training ones, no more in all than the statistics above have.
    room = max(0, plan.most - len(reals.held_out)) if reals.has_held_out else 0
    # Of training pictures nobody knows what a denoising encoder would have seen.
    rest = reals.train[: room if model.settings.corruption is None else 0]
    with plan.timed("features"):
        remade = [_features(copies, network)]
        if len(rest):
            remade.append(_features(_reconstruct(model, rest), network))
    originals = real if unseen is None else np.concatenate([unseen, real[: len(rest)]])
    paired = {reals.role: len(reals.held_out)}
    if reals.has_held_out:
        paired["train"] = len(rest)
    with plan.timed("distance"):
        fakes = np.concatenate(remade)
        figures += measure.distances("r{}", fakes, originals, network, paired, seed)
        return figures + measure.floor(real, network, seed)


def _statistics(
    role: str,
    fake: np.ndarray,
    real: np.ndarray,
    unseen: np.ndarray | None,
    counts: dict[str, int],
    classes: tuple[np.ndarray, np.ndarray | None] | None,
    plan: Plan,
) -> list[Figure]:
    """Returns the figures of made pictures' features ``(N, D)`` beside real ones, where wanted."""
    network, seed = plan.network, plan.seed
    assert network is not None
    args = (fake, real, network, counts, seed)
    figures: list[Figure] = []
    frechet: float | None = None
    if plan.wants("distance"):
        with plan.timed("distance"):
            figures += measure.distances(f"g{{}}_{role}", *args)
            frechet = figures[0].value
    if plan.wants("coverage"):
        with plan.timed("coverage"):
            figures += measure.covering(role, *args)
    if plan.wants("diversity"):
        with plan.timed("diversity"):
            figures += measure.diversity(
                role, fake, real, network.to_json(), counts, seed, *(classes or (None, None))
            )
    if plan.wants("memory"):
        with plan.timed("memory"):
            figures += measure.memory(role, fake, real, unseen, network, counts, seed, frechet)
    return figures


def _two_folders(fakes: Path, reference: Path, plan: Plan) -> tuple[list[Figure], dict[str, int]]:
    # The made pictures decide the side: they are measured as they are, the real ones are resized.
    size = _side(fakes)
    from hiresvae.data import open_data

    with plan.timed("pictures"):
        made, real = (
            Reals.of(
                open_data(DataSettings(source=str(folder), size=size, held_out=0.0)),
                size,
                plan.most,
            ).train
            for folder in (fakes, reference)
        )
    counts = {"pictures": len(made), "reference": len(real)}
    if min(counts.values()) < 8:
        raise UserError(f"{fakes} or {reference} has too few pictures: 8 or more are needed")
    if any(path.suffix.lower() in (".jpg", ".jpeg") for path in fakes.rglob("*")):
        plan.notes.append(
            f"{fakes} holds JPEG files: compression changes sharpness, spectrum and FID; measure "
            "PNG files of the same pictures"
        )
    figures = _pixels("pictures", made, real, counts, plan)
    if plan.wants("patches"):
        figures += measure.patches_floor(real, plan.seed)
    if plan.wants("memory"):
        with plan.timed("memory"):
            figures += measure.memory_pixels("pictures", made, real, None, counts, plan.seed)
    if plan.network is not None:
        with plan.timed("reference_features"):
            of_real = _real_features(real, plan.network)
        with plan.timed("features"):
            of_made = _features(made, plan.network)
        figures += _statistics("pictures", of_made, of_real, None, counts, None, plan)
        if plan.wants("distance"):
            figures += measure.floor(of_real, plan.network, plan.seed)
    return figures, counts


def _likelihood(model: Any, pictures: Tensor, counts: dict[str, int], plan: Plan) -> list[Figure]:
    try:
        return likelihood_figures(
            model, pictures, counts, seed=plan.seed, iwae=plan.iwae, notes=plan.notes
        )
    except UserError as error:
        plan.notes.append(str(error))
        return []


def _lpips(side: int, device: str, plan: Plan) -> None:
    """Gives the plan its LPIPS, or the sentence that says why there is none."""
    if side < LEAST_SIDE:
        plan.notes.append(f"LPIPS was left out: it needs pictures of {LEAST_SIDE} pixels or more")
        return
    try:
        plan.perceptual = load_lpips(device)
    except UserError as error:
        plan.notes.append(str(error))


def _features(pictures: Tensor, network: FeatureNetwork) -> np.ndarray:
    return by_share(lambda part: extract(part, network), pictures)


def _real_features(pictures: Tensor, network: FeatureNetwork) -> np.ndarray:
    key = features_key(pictures, network)
    return remembered(FEATURES, key, lambda: _features(pictures, network), len(pictures))


def _drawn(model: Any, prior: str, plan: Plan) -> Tensor:
    """Returns samples of a prior, uint8 ``(N, C, H, W)``; picture i depends on (seed, i) only."""
    mine = share(plan.samples)
    count = mine.stop - mine.start
    batches = model.sample_batches(count, seed=plan.seed, prior=prior, start=mine.start)
    return _whole(filled(count, batches, f"samples of the {prior} prior"))


def _reconstruct(model: Any, pictures: Tensor, batch: int = 64) -> Tensor:
    rows = share(len(pictures))
    mine = pictures[rows]
    batches = (model.reconstruct(part).cpu() for part in mine.split(batch) if len(part))
    return _whole(filled(len(mine), batches, "reconstructions"))


def _seen(model: Any, reals: Reals, plan: Plan) -> Tensor:
    """Returns the held-out pictures as the model's encoder is to see them: corrupted or not."""
    seen = reals.seen(model.settings.corruption, plan.seed)
    if seen is not None:
        return seen
    plan.notes.append("the reference has no corrupted pictures: the encoder saw the clean ones")
    return reals.held_out


def _whole(pictures: Tensor) -> Tensor:
    """Returns the pictures of all processes; of one process the very same."""
    rows = pictures.numpy()
    whole = joined(rows)
    return pictures if whole is rows else torch.from_numpy(whole)


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


def _versions() -> dict[str, str]:
    import hiresvae

    packages = ("torch", "numpy", "scipy", "clean-fid", "lpips", "torchmetrics", "Pillow")
    return {
        "hiresvae": hiresvae.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
