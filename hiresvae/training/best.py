"""The best model of a run: kept beside the last, since more training may make samples worse."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.metrics.features import extract, find_inception, load_network
from hiresvae.metrics.kernel import kernel_distance
from hiresvae.metrics.textures import standardised, texture_features
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.run import MetricsFile
from hiresvae.training.snapshots import QUICK_LATENTS, Snapshots

log = logging.getLogger("hiresvae")

SAMPLES = 256
"""Pictures drawn for a score. From the same noise each time, so that scores differ by the model."""
REALS = 512
"""Most real pictures of a kind."""
LEAST_HELD_OUT = 2
"""Pictures without which there is no kernel distance."""
SCORE = "score.json"


@dataclass(frozen=True)
class Score:
    """How far a snapshot's samples lie from held-out pictures.

    Attributes:
        images: seen in training.
        value: kernel distance, lower is better.
        features: by which; scores of other features are not comparable.
        running: whether samples come from the running fit.
    """

    images: int
    value: float
    features: str
    running: bool = False


class Best:
    """Scores snapshots and keeps the best in ``model_best``.

    Its only state is on the disk: the folder with its score in ``score.json``, and a line a
    snapshot in ``scores.jsonl``. A training that is broken off and goes on scores the same
    snapshots by the same noise, so it ends with the same model.

    A score takes a prior fitted to 2,000 latents (to 128 numbers, on one CPU core, a few seconds of
    encoding and 0.2 s with ten labels or 6 s of mixtures without), 256 samples and their features.
    With textures and the default networks, on one CPU core: 0.6 seconds at 32 px and 2.4 at 64 px,
    three quarters of it sampling. The Inception takes 0.29 seconds a picture there, 75 a score, so
    a CPU does without it unless told.

    Args:
        snapshots: knows settings, pictures and how a model folder is written.
        device: where the Inception runs.

    Attributes:
        running: the running fit, told before every snapshot: a prior that is this very one stays.
    """

    def __init__(self, snapshots: Snapshots, device: torch.device) -> None:
        self.snapshots, self.device = snapshots, device
        self.settings, self.run = snapshots.settings, snapshots.run
        self.scores = MetricsFile(self.run.scores)
        self._measure: Callable[[Tensor], float] | None = None
        self.running: Density | None = None
        self._nearest: tuple[Density, float] | None = None  # with its score: taken once
        wanted = self.settings.metrics.keep_best
        if wanted == "auto":
            wanted = (
                "inception" if device.type == "cuda" and _inception_found(device) else "textures"
            )
        self.features: str = wanted
        if wanted == "inception" and self.possible:
            find_inception()  # refused now, not after the first snapshot

    @property
    def possible(self) -> bool:
        """Whether there is anything to score by."""
        return self.features != "none" and len(self.snapshots.data.held_out) >= LEAST_HELD_OUT

    def nearer(self, model: VAE, fitted: Density, running: Density, images: int) -> Density:
        """Returns the prior whose samples lie nearer to held-out pictures.

        Args:
            model: the averaged one.
            fitted: to its latents; taken where nothing can be scored.
            running: what the critic was shown samples of.
            images: seen in training.
        """
        if len(self.snapshots.data.held_out) < LEAST_HELD_OUT:
            return fitted
        by_fit, by_run = (
            self._value(self.snapshots.used(model, prior, images)) for prior in (fitted, running)
        )
        ran = by_run < by_fit or not math.isfinite(by_fit)
        self._nearest = (running, by_run) if ran else (fitted, by_fit)
        return self._nearest[0]

    def consider(self, used: PictureModel, *, final: bool = False) -> float | None:
        """Scores a snapshot, keeps it where it is the best so far, and returns its score.

        Args:
            used: the averaged model with its prior.
            final: whether this is the end: the best model, if it is an older one, then gets a prior
                that is fitted to as many pictures as the last one's.
        """
        if not self.possible:
            return None
        begun = time.monotonic()
        # All are scored by priors of as many latents.
        running = used.prior is self.running
        many = final and not running and len(self.snapshots.data.train) > QUICK_LATENTS
        quick = self.snapshots.fitted(used.model, quick=True) if many else used.prior
        if self._nearest is not None and quick is self._nearest[0]:
            value = self._nearest[1]
        else:
            value = self._value(replace(used, prior=quick))
        kept = self._kept()
        better = math.isfinite(value) and (kept is None or value < kept.value)
        if better:
            kept = Score(used.images_seen, value, self.features, running)
            self._write(used, kept)
        if final and kept is not None and kept.images != used.images_seen:
            kept = self._finish(used, kept, value)
        self.scores.rewind(used.images_seen - 1)  # scored again where a training went back
        self.scores.append(
            {
                "images": used.images_seen,
                "kernel_distance_held_out": float(f"{value:.6g}") if math.isfinite(value) else None,
                "features": self.features,
                "best": better,
                "seconds": round(time.monotonic() - begun, 2),
            }
        )
        # Now that the score is known, the cards tell it.
        self.snapshots.write_card(used, self.run.model)
        if kept is not None and kept.images == used.images_seen:
            self.snapshots.write_card(used, self.run.model_best)
        if kept is not None:
            words = "the best so far" if better else f"best {kept.value:.4g} at {kept.images:,}"
            log.info("samples against held-out pictures (%s) %.4g, %s", self.features, value, words)
        return value

    def _value(self, used: PictureModel) -> float:
        """Returns the kernel distance of a model's samples to the held-out pictures."""
        if self._measure is None:
            self._measure = self._measurer()
        return self._measure(used.sample(SAMPLES, seed=self.settings.seed))

    def _measurer(self) -> Callable[[Tensor], float]:
        """Returns what scores pictures; the real ones' features are worked out once."""
        data, batches = self.snapshots.data, self.snapshots.batches
        held_out = batches.pictures(_spread(data.held_out))
        # Without a best to be kept, priors are still to be chosen between.
        if self.features == "inception":
            network = load_network("auto", self.device)
            real = extract(held_out, network, progress=False)
            return lambda made: kernel_distance(extract(made, network, progress=False), real)
        # Scaled by training pictures, of which there are enough; compared with the others.
        scale = texture_features(batches.pictures(_spread(data.train)))
        unseen = standardised(texture_features(held_out), scale).numpy()

        def measure(made: Tensor) -> float:
            return kernel_distance(standardised(texture_features(made), scale).numpy(), unseen)

        return measure

    def _kept(self) -> Score | None:
        """Returns the score of the folder; measured anew where it was taken by other features."""
        folder = self.run.model_best
        try:
            score = Score(**json.loads((folder / SCORE).read_text(encoding="utf-8")))
            if score.features == self.features:
                return score
            value = self._value(load(folder, device=str(self.device)))
        except (OSError, ValueError, TypeError, RecursionError, UserError):
            return None  # none yet, or one that cannot be read: the next takes its place
        return Score(score.images, value, self.features, score.running)

    def _finish(self, used: PictureModel, kept: Score, value: float) -> Score:
        """Fits the prior of an older best model to more pictures; returns the score of it.

        Where its files were spoilt meanwhile, the last model takes its place: that is no reason to
        end a training without a result.
        """
        try:
            best = load(self.run.model_best, device=str(self.device))
        except UserError as error:
            if not math.isfinite(value):
                log.warning("%s; it is no longer the best of this run", error)
                return kept
            log.warning("%s; the last model is kept as the best in its place", error)
            kept = Score(used.images_seen, value, self.features, used.prior is self.running)
            self._write(used, kept)
            return kept
        if not kept.running:
            self._write(replace(best, prior=self.snapshots.fitted(best.model)), kept)
        return kept

    def _write(self, used: PictureModel, score: Score) -> None:
        content: dict[str, Any] = vars(score)
        self.snapshots.write_model(
            used, self.run.model_best, {SCORE: json.dumps(content, indent=2) + "\n"}
        )


def _spread(indices: np.ndarray) -> np.ndarray:
    """Returns at most `REALS` indices, evenly spread."""
    places = np.linspace(0, len(indices) - 1, min(REALS, len(indices))).round().astype(int)
    return np.asarray(indices[places])


def _inception_found(device: torch.device) -> bool:
    try:
        find_inception(download=False)
        # A file of that name with another network in it would end the training at a snapshot.
        load_network("auto", device)
    except UserError:
        return False
    return True
