"""Everything that can be measured of a model, or of a folder of made pictures, as one report."""

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hiresvae import generator
from hiresvae.devices import choose_device
from hiresvae.errors import UserError
from hiresvae.metrics.features import FeatureNetwork, file_sha256, find_inception, load_network
from hiresvae.metrics.perceptual import MEASURED, find_backbone
from hiresvae.run import explained, write_json
from hiresvae.settings import MetricSettings
from hiresvae.uses.evaluate_folders import measure_folders
from hiresvae.uses.evaluate_model import measure_model
from hiresvae.uses.plan import (
    GROUPS,
    LEAST_PICTURES,
    OF_FEATURES,
    OF_FEATURES_ALONE,
    Plan,
    chosen_groups,
)
from hiresvae.uses.processes import connect, is_first

# Raised when a figure is computed in another way or a new one is added: what was kept is made anew.
RECIPE = 3
# A run or exported model has one of these; a folder of pictures has none.
MODEL_FILES = ("config.json", "config.yaml", "model/config.json", "model.safetensors")


def evaluate(
    model: "str | generator.PictureModel",
    out: Path,
    *,
    reference: Path | None = None,
    samples: int | None = None,
    features: str | None = None,
    seed: int = 0,
    device: str | None = None,
    metrics: str = "all",
    iwae: int = 0,
) -> dict[str, Any]:
    """Measures a model, or a folder of pictures, writes the figures as JSON and returns them.

    Args:
        model: anything that ``hiresvae.load`` takes, what it returns, or a folder of pictures.
        out: the JSON file, written whole or not at all.
        reference: folder of real pictures, archive, or the name of a set; None: the data that the
            model was trained on, held-out pictures where it was not trained on any.
        samples: pictures drawn from the model for each prior. Of real pictures, and of a folder,
            as many are taken, drawn at random, and 2000 where it is fewer. None: what
            ``metrics.samples`` of the model's settings says.
        features: ``auto`` (Inception), ``none``, or a TorchScript file. None: what
            ``metrics.features`` says.
        seed: of samples, subsets and intervals.
        device: such as ``cpu`` or ``cuda``; None: the accelerator if there is one.
        metrics: ``all``, or names of `hiresvae.uses.plan.GROUPS` with commas between.
        iwae: importance samples of the tighter bound on the likelihood; 0 leaves it out.

    Returns:
        ``figures`` (name to figure, see :class:`~hiresvae.metrics.results.Figure`), ``notes`` (what
        did not run and why), ``size`` (side in pixels), ``features``, ``metrics``, ``counts``,
        ``seed``, ``seconds`` and ``seconds_by_part``, ``device``, ``versions``, ``model``,
        ``reference``.

    Raises:
        UserError: a folder of pictures without a reference, an empty one, too few samples, an
            unknown group, a feature file that cannot be read, nothing that was asked for can be
        measured, or a file that cannot be written.
    """
    begun = time.monotonic()
    if iwae < 0:
        raise UserError(f"iwae={iwae} is no number of samples: take 1 or more, or 0 for none")
    groups = chosen_groups(metrics)
    if isinstance(model, str) and Path(model).expanduser().is_file():
        raise UserError(f"{model} is a file: name a run, a model, or a folder of pictures")
    of_pictures = isinstance(model, str) and _is_pictures(model)
    if of_pictures and reference is None:
        raise UserError(
            f"{model} is a folder of pictures: name the real ones to compare it with by "
            "--reference FOLDER"
        )
    if reference is not None:
        from hiresvae.data.catalogue import reference_source, refuse_unknown

        refuse_unknown(reference_source(reference), "--reference")  # before any download
    device = connect(str(choose_device(device)))
    if is_first():
        _try_to_write(out)
    painter: generator.PictureModel | None = None
    chosen = MetricSettings()
    if not of_pictures:
        painter = generator.load(model, device=device) if isinstance(model, str) else model
        chosen = painter.settings.metrics
    samples = chosen.samples if samples is None else samples
    if samples < LEAST_PICTURES:
        raise UserError(
            f"samples={samples} is too few to measure anything: take {LEAST_PICTURES} or more"
        )
    plan = Plan(groups, samples, seed, iwae)
    if plan.wants(*OF_FEATURES):
        plan.network = feature_network(
            chosen.features if features is None else features, device, plan
        )
        if plan.network is None and plan.groups <= OF_FEATURES_ALONE:
            raise _nothing(plan)
    if painter is not None:
        plan.size = painter.settings.data.size
        figures, counts = measure_model(painter, reference, device, plan)
    else:
        assert isinstance(model, str) and reference is not None
        figures, counts = measure_folders(Path(model).expanduser(), reference, plan)
    if not figures:
        raise _nothing(plan)
    report = {
        "model": model if isinstance(model, str) else model.settings.name,
        "reference": None if reference is None else str(reference),
        "figures": {figure.name: figure.to_json() for figure in figures},
        "notes": plan.notes,
        "size": plan.size,
        "features": None if plan.network is None else plan.network.to_json(),
        "metrics": [name for name in GROUPS if name in plan.groups],
        "counts": counts,
        "seed": seed,
        "device": device,
        "seconds": round(time.monotonic() - begun, 1),
        "seconds_by_part": plan.seconds,
        "versions": versions(),
    }
    if is_first():
        write_json(out, report)
    return report


def _nothing(plan: Plan) -> UserError:
    """Returns what to say where no figure of the groups that were asked for can be had."""
    asked = ",".join(name for name in GROUPS if name in plan.groups)
    return UserError(f"nothing of --metrics {asked} can be measured: {'; '.join(plan.notes)}")


def _try_to_write(out: Path) -> None:
    """Says before anything long begins where the report cannot be written."""
    if out.is_dir():
        raise UserError(f"--out {out} is a folder: name a file, such as {out / 'report.json'}")
    probe = out.with_name(f".{out.name}.probe")
    with explained("writing", out):
        out.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()


def feature_network(features: str, device: str, plan: Plan) -> FeatureNetwork | None:
    """Returns the feature network, or None with a note where there is none to be had.

    Args:
        features: ``auto``, ``none`` or a TorchScript file.
        device: where it runs.
        plan: gets the note.

    Raises:
        UserError: a file that was named cannot be read.
    """
    if features == "none":
        plan.notes.append("features=none: distances in features were left out")
        return None
    try:
        return load_network(features, device)
    except UserError as error:
        if features != "auto":
            raise
        plan.notes.append(str(error))
        return None


def networks_found(features: str, metrics: str) -> dict[str, str | None]:
    """Returns the SHA-256 of the files of networks that an evaluation would measure by.

    Nothing is downloaded, and no file is loaded: whether it is what its name says is not known.

    Args:
        features: as of `evaluate`, but never None.
        metrics: as of `evaluate`.

    Returns:
        ``features`` and ``lpips``; None for one that is not asked for, or not there.
    """
    groups = chosen_groups(metrics)
    own = None if groups.isdisjoint(OF_FEATURES) else Path(features).expanduser()
    try:
        if own is not None and features == "auto":
            own = find_inception(download=False)
    except UserError:
        own = None
    try:
        lpips = find_backbone(MEASURED, download=False) if "paired" in groups else None
    except UserError:
        lpips = None
    found = {"features": None if features == "none" else own, "lpips": lpips}
    return {
        name: file_sha256(path) if path is not None and path.is_file() else None
        for name, path in found.items()
    }


def _is_pictures(model: str) -> bool:
    path = Path(model).expanduser()
    return path.is_dir() and not any((path / name).exists() for name in MODEL_FILES)


def versions() -> dict[str, str]:
    """Returns the versions of what figures depend on."""
    import hiresvae

    packages = ("torch", "numpy", "scipy", "clean-fid", "lpips", "torchmetrics", "Pillow")
    return {
        "hiresvae": hiresvae.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
