"""Several models side by side: the same pictures, the same noise, the same figures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import hiresvae
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, PriorName, load
from hiresvae.metrics.spectrum import radial_power
from hiresvae.run import write_json
from hiresvae.settings import Settings
from hiresvae.uses.curves import Training, read_training
from hiresvae.uses.differences import sees, setting_differences
from hiresvae.uses.evaluate import RECIPE, evaluate, networks_found
from hiresvae.uses.figures import thumbnails
from hiresvae.uses.reals import encoder_sees
from hiresvae.uses.verdict import of_reconstructions, winner

if TYPE_CHECKING:
    from hiresvae.data import PictureData

PRIORS: tuple[PriorName, ...] = ("fitted", "standard")
SHOWN, SAMPLES, NEIGHBOURS = 8, 16, 6
"""Held-out pictures, samples of a prior, and samples with their neighbours on the page."""
SPECTRUM = 256
"""Pictures of which the power is averaged, at most."""


@dataclass(frozen=True)
class Neighbours:
    """Pictures and the training pictures nearest to them.

    Attributes:
        pictures: uint8 ``(n, C, S, S)``, the nearest ones.
        distance: root mean square of the difference at 16 px, in levels of 255, ``(n,)``.
    """

    pictures: Tensor
    distance: np.ndarray


@dataclass(frozen=True)
class Contestant:
    """One model and what it makes.

    Attributes:
        name: short, and no other contestant's.
        model: as it was given.
        settings: of its run.
        images_seen: in training.
        parameters: numbers that were learnt.
        latents: shape ``(C, H, W)`` of the latents of each rung.
        evaluation: the report of `hiresvae.uses.evaluate.evaluate`.
        reconstructions: of the held-out pictures shown, uint8 ``(n, C, S, S)``.
        samples: by prior, uint8 ``(m, C, S, S)``.
        neighbours: of the first samples of the fitted prior.
        spectra: mean power in decibel ``(R,)`` of ``samples`` and ``reconstructions``.
        training: its length and curves, None of a model without its run folder.
    """

    name: str
    model: str
    settings: Settings
    images_seen: int
    parameters: int
    latents: tuple[tuple[int, ...], ...]
    evaluation: dict[str, Any]
    reconstructions: Tensor
    samples: dict[str, Tensor]
    neighbours: Neighbours
    spectra: dict[str, np.ndarray]
    training: Training | None


@dataclass(frozen=True)
class Comparison:
    """Models side by side.

    Attributes:
        contestants: in the order in which they were given.
        originals: held-out pictures, uint8 ``(n, C, S, S)``.
        role: ``held-out``, or ``training`` where nothing is held out.
        frequency: cycles per pixel ``(R,)``.
        real_spectrum: mean power in decibel of held-out pictures ``(R,)``.
        real_distance: median distance of a held-out picture to its nearest training picture.
        seed: of samples.
    """

    contestants: list[Contestant]
    originals: Tensor
    role: str
    frequency: np.ndarray
    real_spectrum: np.ndarray
    real_distance: float
    seed: int

    def same_noise(self) -> list[list[str]]:
        """Returns the names of those whose latents have one shape: a seed is the same noise."""
        names: dict[tuple[tuple[int, ...], ...], list[str]] = {}
        for one in self.contestants:
            names.setdefault(one.latents, []).append(one.name)
        return [together for together in names.values() if len(together) > 1]

    def figures(self) -> dict[str, list[dict[str, Any] | None]]:
        """Returns each figure that any of them has, in order of the contestants."""
        every = [contestant.evaluation["figures"] for contestant in self.contestants]
        names = dict.fromkeys(name for figures in every for name in figures)
        return {name: [figures.get(name) for figures in every] for name in names}

    def wins(self) -> dict[str, list[str]]:
        """Returns by contestant the figures in which it is better beyond the intervals."""
        won: dict[str, list[str]] = {contestant.name: [] for contestant in self.contestants}
        for name in self.figures():
            first = self.winner(name)
            if first is not None:
                won[self.contestants[first].name].append(name)
        return won

    def winner(self, name: str) -> int | None:
        """Returns which contestant is better in a figure; None where that cannot be said.

        Nor can it of reconstructions where not all encoders see the same.
        """
        if of_reconstructions(name) and len(self.inputs()) > 1:
            return None
        return winner(name, [one.evaluation["figures"] for one in self.contestants])

    def inputs(self) -> dict[str, list[str]]:
        """Returns what encoders see, in words, and the names of the contestants that see it."""
        names: dict[str, list[str]] = {}
        for one in self.contestants:
            names.setdefault(sees(one.settings), []).append(one.name)
        return names

    def differences(self) -> list[tuple[str, list[Any]]]:
        """Returns the settings that are not the same for all: dotted key, value of each."""
        return setting_differences([contestant.settings for contestant in self.contestants])


def compare(
    models: Sequence[str],
    kept: Sequence[Path],
    *,
    samples: int = 1000,
    features: str = "auto",
    metrics: str = "all",
    seed: int = 0,
    device: str | None = None,
    fresh: bool = False,
    older: bool = False,
) -> Comparison:
    """Evaluates models of the same data and returns them side by side.

    Args:
        models: anything that ``hiresvae.load`` takes, two or more.
        kept: a file for each evaluation; one that answers the same question of the same weights
            is not made again.
        samples: see `hiresvae.uses.evaluate.evaluate`, as for all below.
        features: see there.
        metrics: see there.
        seed: see there; also of the samples shown.
        device: see there.
        fresh: evaluate anew whatever is kept.
        older: see `evaluation`.

    Raises:
        UserError: fewer than two models, or models of different pictures.
    """
    if len(models) < 2:
        raise UserError(f"{models[0] if models else 'nothing'} alone: name 2 models or more")
    asked = {"samples": samples, "features": features, "metrics": metrics, "seed": seed}
    # All that can be refused is refused before anything long begins.
    painters = [load(model, device=device) for model in models]
    every: list[PictureData] = [painter.data() for painter in painters]
    reals, size = every[0], painters[0].model.size
    for painter, data, model in zip(painters[1:], every[1:], models[1:], strict=True):
        _refuse_other_pictures((models[0], painters[0], reals), (model, painter, data))
    role = "held-out" if len(reals.held_out) else "training"
    unseen = reals.middles(_unseen(reals)[:SPECTRUM], size)
    contestants = []
    names = distinct(models)
    for name, model, file, painter, data in zip(names, models, kept, painters, every, strict=True):
        report = evaluation(
            painter, model, file, asked, data.key, device=device, fresh=fresh, older=older
        )
        contestants.append(_contestant(name, model, painter, report, unseen, data, seed))
    power = radial_power(unseen)
    # A picture is no news of itself, so that there is nothing to say where none is held out.
    far = nearest(unseen, reals, size).distance if role == "held-out" else np.array([np.nan])
    return Comparison(
        contestants,
        unseen[:SHOWN],
        role,
        power.frequency,
        10 * power.log_power,
        float(np.median(far)),
        seed,
    )


def evaluation(
    painter: PictureModel,
    model: str,
    file: Path,
    asked: Mapping[str, Any],
    data_key: str,
    *,
    device: str | None = None,
    fresh: bool = False,
    older: bool = False,
) -> dict[str, Any]:
    """Returns the report of `evaluate`, from its file if that answers the same question.

    Args:
        painter: the model, loaded.
        model: its name.
        file: JSON, written if it was not there.
        asked: samples, features, metrics and seed.
        data_key: of the pictures.
        device: where to evaluate.
        fresh: evaluate whatever is kept.
        older: also take what an older version kept, which did not write down its networks.
    """

    def found() -> dict[str, Any]:
        return {"networks": networks_found(asked["features"], asked["metrics"])}

    question = {**asked, "weights": fingerprint(painter), "data": data_key}
    question |= {"hiresvae": hiresvae.__version__, "recipe": RECIPE}
    if not fresh and file.is_file():
        try:
            report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            report = {}
        whole = isinstance(report, dict) and isinstance(report.get("figures"), dict)
        kept = report.get("asked") if whole else None
        if kept is not None and (kept == question | found() or (older and kept == question)):
            return report
    report = evaluate(model, file, device=device, **asked)
    report |= {"asked": question | found()}  # some may have been downloaded meanwhile
    write_json(file, report)
    return report


def fingerprint(painter: PictureModel) -> str:
    """Returns the SHA-256 of a model's weights, prior and labels."""
    content = hashlib.sha256(json.dumps([painter.classes, painter.shares]).encode())
    for part in (painter.model.state_dict(), painter.prior.tensors()):
        for name, tensor in sorted(part.items()):
            content.update(name.encode())
            content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def distinct(models: Sequence[str]) -> list[str]:
    """Returns a short name for each model: the folder's where that tells them apart.

    Example:
        >>> distinct(["runs/a", "runs/b"]), distinct(["x/a", "y/a", "y/a"])
        (['a', 'b'], ['x/a', 'y/a', 'y/a (2)'])
    """
    short = [Path(model).name or model for model in models]
    names = [
        model if short.count(one) > 1 else one for model, one in zip(models, short, strict=True)
    ]
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if n == 1 else f"{name} ({n})" for name, n in zip(names, counts, strict=True)]


def nearest(queries: Tensor, data: "PictureData", size: int) -> Neighbours:
    """Returns the training picture nearest to each picture, in pixels at 16 px.

    Args:
        queries: uint8 ``(n, C, size, size)``.
        data: training pictures; read a block at a time.
        size: their side.
    """
    wanted = torch.from_numpy(thumbnails(queries))
    distance, index = (
        torch.full((len(queries),), torch.inf),
        torch.zeros(len(queries), dtype=torch.int64),
    )
    for first in range(0, len(data.train), 256):
        rows = data.train[first : first + 256]
        some = torch.from_numpy(thumbnails(data.middles(rows, size)))
        found, place = torch.cdist(wanted, some).min(1)
        nearer = found < distance
        distance = torch.where(nearer, found, distance)
        index = torch.where(nearer, torch.from_numpy(rows)[place], index)
    levels = 255 * distance.numpy() / np.sqrt(wanted.shape[1])
    return Neighbours(data.middles(index.numpy(), size), levels)


def _contestant(
    name: str,
    model: str,
    painter: PictureModel,
    report: dict[str, Any],
    unseen: Tensor,
    data: "PictureData",
    seed: int,
) -> Contestant:
    drawn = {
        prior: painter.sample(SAMPLES if prior == "standard" else SPECTRUM, seed=seed, prior=prior)
        for prior in PRIORS
    }
    rows = _unseen(data)[: len(unseen)]
    given = data.middles(rows, unseen.shape[-1], inputs=True)
    seen = encoder_sees(unseen, given, painter.settings.corruption, seed)
    remade = painter.reconstruct(given if seen is None else seen)
    made = {"samples": drawn["fitted"], "reconstructions": remade}
    absolute = painter.settings.model.likelihood == "laplace"
    return Contestant(
        name=name,
        model=model,
        settings=painter.settings,
        images_seen=painter.images_seen,
        parameters=sum(p.numel() for p in painter.model.parameters()),
        latents=tuple(map(tuple, painter.model.latent_shapes)),
        evaluation=report,
        reconstructions=remade[:SHOWN],
        samples={prior: pictures[:SAMPLES] for prior, pictures in drawn.items()},
        neighbours=nearest(drawn["fitted"][:NEIGHBOURS], data, unseen.shape[-1]),
        spectra={role: 10 * radial_power(x).log_power for role, x in made.items()},
        training=read_training(model, "absolute error" if absolute else "squared error"),
    )


def _refuse_other_pictures(
    one: tuple[str, PictureModel, "PictureData"], other: tuple[str, PictureModel, "PictureData"]
) -> None:
    """Refuses a model whose pictures are not those of the first, before anything is measured."""
    (name, painter, reals), (other_name, other_painter, data) = one, other
    size, other_size = painter.model.size, other_painter.model.size
    channels, other_channels = painter.model.channels, other_painter.model.channels
    if (size, channels) != (other_size, other_channels):
        raise UserError(
            f"{name} makes pictures of {size} px and {channels} channel(s), {other_name} of "
            f"{other_size} px and {other_channels}: figures of different shapes cannot be "
            f"compared; train both at data.size {size} and data.channels {channels}"
        )
    same = reals.names == data.names and np.array_equal(reals.held_out, data.held_out)
    # Binarised as the model takes them, not as they are stored.
    black, other_black = (x.settings.data.binarize for x in (painter, other_painter))
    if same and black != other_black:
        raise UserError(
            f"data.binarize is {black} of {name} and {other_black} of {other_name}, so they were "
            "trained on different pictures, and their nats are of different things; compare runs "
            "of one"
        )
    if same:
        shown = _unseen(reals)[:SHOWN]
        same = torch.equal(reals.middles(shown, size), data.middles(shown, size))
    if not same:
        sources = painter.settings.data.source, other_painter.settings.data.source
        raise UserError(
            f"{name} and {other_name} were trained on different pictures ({' and '.join(sources)}, "
            "or another limit, crop or share held out): compare runs whose section 'data' differs "
            "in labels at most"
        )


def _unseen(data: "PictureData") -> np.ndarray:
    return data.held_out if len(data.held_out) else data.train
