"""What a run shows of itself: grids of samples and reconstructions, and the model folder."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hiresvae import images as pictures_io
from hiresvae import priors
from hiresvae.autoencoding import CorruptionSettings
from hiresvae.data import PictureData
from hiresvae.data.batches import Batches
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.models.contract import NormalNoise
from hiresvae.models.draws import FromPosterior
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.run import MetricsFile, RunFolder, write_whole, written_aside
from hiresvae.seeding import generator
from hiresvae.settings import Settings
from hiresvae.training import card
from hiresvae.training.corruption import as_seen
from hiresvae.training.running_prior import RunningGaussian

SHOWN = 32
CARD = "README.md"

MOST_LATENTS = 20_000
"""Of pictures that the prior is fitted to; more change nothing and take minutes."""

QUICK_LATENTS = 2_000
"""The same before the end of training, where the fit is for a look and a score."""

ENOUGH_LATENTS = 5_000
"""The same where only a mean and a covariance are wanted, of few dimensions."""


def running_density(running: RunningGaussian, shares: tuple[float, ...]) -> Density:
    """Returns the running fit as a density that can be saved and sampled."""
    classes = running.means.shape[0]
    weights = torch.tensor(shares) if classes > 1 else torch.ones(1)
    return Density(
        "classes" if classes > 1 else "gaussian",
        weights.clamp_min(1e-9).log(),
        running.means.detach().cpu().clone(),
        running.scale_tril.detach().cpu().clone(),
    )


@torch.inference_mode()
def encode_all(
    model: VAE,
    batches: Batches,
    indices: np.ndarray,
    labels: Tensor | None,
    seed: int,
    corruption: CorruptionSettings | None = None,
    binarize: bool = False,
) -> Tensor:
    """Returns draws of the top rungs' posterior for pictures of the data set ``(N, D)``.

    The encoder sees them as in training.
    """
    device = model.last_layer.device
    found = [torch.zeros(0, model.top_dim)]
    for first in range(0, len(indices), 128):
        rows = torch.arange(first, min(first + 128, len(indices)))
        shown = as_seen(corruption, batches, indices[rows.numpy()], seed)
        images = pictures_io.to_float(shown)
        if binarize:
            rng = generator(seed, "binarize", first)
            images = pictures_io.binarized(images, torch.rand(images.shape, generator=rng))
        images = images.to(device)
        chosen = labels[rows].to(device) if labels is not None else None
        noise = _batch_noise(seed, first, len(rows), device)
        state = model.features(images, chosen)
        draw = FromPosterior(state, noise if model.settings.stochastic else None)
        top = model.decoder.top(draw, model.condition(chosen), len(rows), model.settings.top_rungs)
        found.append(model.top_vector(top, len(rows)).cpu())
    return torch.cat(found)


def _batch_noise(seed: int, first: int, count: int, device: torch.device) -> NormalNoise:
    """Returns noise of a batch of latents that a prior is fitted to."""

    def noise(stream: str, *shape: int) -> Tensor:
        name = "prior fit" if stream == "posterior 0" else f"prior fit {stream}"
        drawn = torch.randn(count, *shape, generator=generator(seed, name, first))
        return drawn.to(device)

    return noise


class Snapshots:
    """Makes the same grids of the same noise and pictures each time, and the model folder.

    Args:
        settings: of the run.
        run: its folder.
        data: pictures.
        batches: gives pictures by number.
        shares: how frequent each label is in training.
    """

    def __init__(
        self,
        settings: Settings,
        run: RunFolder,
        data: PictureData,
        batches: Batches,
        shares: tuple[float, ...],
    ) -> None:
        self.settings, self.run, self.data, self.batches = settings, run, data, batches
        self.shares = shares
        shown = data.held_out if len(data.held_out) else data.train
        self.shown = shown[:SHOWN]

    def _labels(self, indices: np.ndarray) -> Tensor | None:
        if not self.settings.model.conditional or self.data.labels is None:
            return None
        return torch.from_numpy(np.asarray(self.data.labels)[indices])

    def fitted(self, model: VAE, *, quick: bool = False) -> Density:
        """Returns the density of the training set's latents, chosen by held-out ones.

        Args:
            model: whose latents.
            quick: fit it to fewer.

        Raises:
            UserError: the latents are not finite.
        """
        limit = QUICK_LATENTS if quick else MOST_LATENTS
        if self.settings.prior.kind == "gaussian":
            limit = min(limit, max(ENOUGH_LATENTS, 40 * model.top_dim))
        train, held = (self._some(rows, limit) for rows in (self.data.train, self.data.held_out))
        labels = self._labels(train)
        encode = partial(
            encode_all,
            model,
            self.batches,
            seed=self.settings.seed,
            corruption=self.settings.corruption,
            binarize=self.settings.data.binarize,
        )
        known, unseen = encode(train, labels), encode(held, self._labels(held))
        # One picture that overflows must not cost all others their prior.
        good = known.isfinite().all(1)
        if not good.any():
            raise UserError(
                "the latents of the training pictures are not finite, so there is no prior to "
                "sample from; lower training.lr and start again with --fresh"
            )
        return priors.fit(
            known[good],
            unseen[unseen.isfinite().all(1)],
            kind=self.settings.prior.kind,
            components=self.settings.prior.components,
            seed=self.settings.seed,
            labels=None if labels is None else labels[good],
            num_classes=model.classes,
        )

    def _some(self, rows: np.ndarray, limit: int) -> np.ndarray:
        """Returns at most so many rows, drawn from all: collections come sorted by class."""
        if len(rows) <= limit:
            return rows
        order = torch.randperm(len(rows), generator=generator(self.settings.seed, "latents"))
        return np.sort(rows[order[:limit].numpy()])

    def used(self, model: VAE, density: Density, images_seen: int) -> PictureModel:
        """Returns the model as people will load it."""
        return PictureModel(
            model, density, self.data.classes, self.shares, self.settings, images_seen
        )

    def take(self, model: VAE, density: Density, images_seen: int) -> PictureModel:
        """Writes the grids and the model folder; returns the model as people will load it."""
        used = self.used(model, density, images_seen)
        name = f"{images_seen // 1000:06d}k.png"
        both = [
            used.sample(SHOWN, seed=self.settings.seed, prior=prior)
            for prior in ("fitted", "standard")
        ]
        # Above the samples of the fitted prior, below those of N(0, I), from the same noise.
        pictures_io.save(pictures_io.grid(torch.cat(both), columns=8), self.run.samples / name)
        chosen = self.settings.corruption
        originals = self.batches.pictures(self.shown)
        seen = as_seen(chosen, self.batches, self.shown, self.settings.seed)
        remade = used.reconstruct(seen, self._labels(self.shown))
        # In threes where the encoder sees something else: the original, that, and what is made.
        row = [originals, remade] if chosen is None else [originals, seen, remade]
        shown = pictures_io.grid(
            torch.stack(row, 1).flatten(0, 1), columns=8 // len(row) * len(row)
        )
        pictures_io.save(shown, self.run.reconstructions / name)
        self.write_model(used, self.run.model)
        return used

    def write_model(
        self, used: PictureModel, place: Path, extra: Mapping[str, str] | None = None
    ) -> None:
        """Writes a model folder in place of the last, with more files by name and text."""
        with written_aside(place) as folder:
            used.save(folder)
            for name, text in (extra or {}).items():
                (folder / name).write_text(text, encoding="utf-8")
            (folder / CARD).write_text(self._card(used), encoding="utf-8")

    def write_card(self, used: PictureModel, place: Path) -> None:
        """Writes the card of a model folder anew, with what was measured since."""
        if (place / CARD).exists():
            write_whole(place / CARD, self._card(used))

    def _card(self, used: PictureModel) -> str:
        metrics, scores = (
            MetricsFile(path).read() if path.exists() else []
            for path in (self.run.metrics, self.run.scores)
        )
        seen = used.images_seen
        facts = (
            card.cost(metrics, seen, self.batches.device),
            card.score(scores, seen),
        )
        return card.model_card(used, self.data, facts)
