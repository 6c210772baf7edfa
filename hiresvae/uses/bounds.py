"""Bounds on the likelihood of pictures in nats, and what a model's latents carry.

All likelihoods are of 8-bit pictures, so that models can be compared whatever their distribution: a
density over [-1, 1] counts with the width of a level, 1 / 127.5 a number. A model of
``data.binarize`` is asked about pictures in black and white by chance, as it was trained on.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.batching import in_batches
from hiresvae.distributions.gaussian import ACTIVE, standard_like
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.models.contract import Walk
from hiresvae.models.draws import FromPosterior
from hiresvae.seeding import picture_noise
from hiresvae.uses.processes import joined, share

LEVELS = 127.5
"""Levels of 8 bits on a unit of the scale of [-1, 1]."""
BATCH = 32


@dataclass(frozen=True)
class Bounds:
    """What one pass over pictures gives.

    Attributes:
        distortion: -log p(x | z) of 8-bit pictures in nats ``(N,)``, one draw of z.
        rate: KL of each rung in nats ``(N, L)``, top first.
        label: -log of the share of the label that the model was told, in nats ``(N,)``; 0 without
            labels.
        iwae: importance weighted bound in nats ``(N,)``, or None.
        top: latents drawn on the top rung ``(N, D)``.
        active: for each rung how many of its latents are active, and how many there are.
    """

    distortion: np.ndarray
    rate: np.ndarray
    label: np.ndarray
    iwae: np.ndarray | None
    top: np.ndarray
    active: list[tuple[int, int]]

    @property
    def elbo(self) -> np.ndarray:
        """The evidence lower bound in nats ``(N,)``."""
        lower: np.ndarray = -(self.distortion + self.rate.sum(1) + self.label)
        return lower


def require_noise(model: PictureModel) -> None:
    """Raises UserError where a model has no noise, so no likelihood."""
    if not model.settings.model.stochastic:
        raise UserError("this model is an autoencoder (model.stochastic is false): no likelihood")


@torch.inference_mode()
def bounds(model: PictureModel, pictures: Tensor, *, seed: int = 0, samples: int = 0) -> Bounds:
    """Returns the bounds on the likelihood of 8-bit pictures and what the rungs carry.

    The noise of picture i depends on (seed, i) only. A conditional model takes for each picture the
    label y under which it is reconstructed best: ``p(x) >= p(y) p(x | y)``, so the bound holds with
    the label's share in training as p(y).

    Args:
        model: with stochastic rungs.
        pictures: uint8 ``(N, C, H, W)``.
        seed: of the draws.
        samples: k of the importance weighted bound; 0 leaves it out.

    Raises:
        UserError: the model has no noise, so no likelihood.

    Source: active units: Burda et al. 2016, arXiv 1509.00519, section 5.2: the variance over
    pictures of the posterior's mean is above 0.01; below the top rung the mean is counted from that
    of the learned prior, since it follows the rungs above even where it adds nothing to them.
    """
    require_noise(model)
    rows: dict[str, list[np.ndarray]] = {
        name: [] for name in ("distortion", "rate", "label", "iwae", "top")
    }
    spreads = [np.zeros((2, math.prod(shape))) for shape in model.model.latent_shapes]

    def measured(mine: slice) -> tuple[dict[str, Tensor], list[np.ndarray]]:
        part, numbers = pictures[mine], list(range(mine.start, mine.stop))
        labels = model.guess_labels(part) if model.conditional else None
        noise = picture_noise(seed, numbers, model.device)
        images = model.observed(part, noise)
        features = model.model.features(images, labels)
        walk = model.model.walk(FromPosterior(features, noise), labels, len(part))
        found = {
            "distortion": -log_prob_of_levels(model, walk, images),
            "rate": torch.stack([drawn.rate() for drawn in walk.drawn], 1).cpu().double(),
            "label": -log_shares(model, labels, len(part)),
            "top": walk.drawn[0].z.flatten(1),
        }
        if samples:
            found["iwae"] = importance_bound(
                model, images, features, labels, seed, numbers, samples
            )
        sums = []
        for drawn in walk.drawn:
            mean = drawn.posterior.mean if drawn.posterior is not None else drawn.z
            if drawn.prior is not None:
                mean = mean - drawn.prior.mean
            moved = mean.flatten(1).double().cpu().numpy()
            sums.append(np.stack([moved.sum(0), np.square(moved).sum(0)]))
        return found, sums

    for found, sums in in_batches(
        share(len(pictures)), model.at_once(BATCH), measured, model.less_memory
    ):
        for name, values in found.items():
            rows[name].append(values.cpu().numpy())
        for total, one in zip(spreads, sums, strict=True):
            total += one
    totals = [joined(part[None]).sum(0) for part in spreads]
    return Bounds(
        distortion=_all(rows["distortion"], ()),
        rate=_all(rows["rate"], (len(spreads),)),
        label=_all(rows["label"], ()),
        iwae=_all(rows["iwae"], ()) if samples else None,
        top=_all(rows["top"], (math.prod(model.model.latent_shapes[0]),)),
        active=[_active(part, len(pictures)) for part in totals],
    )


@torch.inference_mode()
def top_latents(
    model: PictureModel, pictures: Tensor, labels: np.ndarray | None = None, *, seed: int = 0
) -> np.ndarray:
    """Returns a draw of the top rung's posterior for each picture, ``(N, D)``.

    Args:
        model: with stochastic rungs.
        pictures: uint8 ``(N, C, H, W)``.
        labels: int64 ``(N,)``; a conditional model that is given none guesses.
        seed: of the draws; none of them is one of `bounds`.
    """
    rung = model.model.decoder.rung_list[0]

    def drawn(mine: slice) -> np.ndarray:
        part, chosen = pictures[mine], None
        if model.conditional and labels is not None:
            chosen = torch.from_numpy(labels[mine].copy()).to(model.device)
        elif model.conditional:
            chosen = model.guess_labels(part)
        noise = picture_noise(seed, list(range(mine.start, mine.stop)), model.device)
        images = model.observed(part, noise)
        seen = model.model.features(images, chosen)[rung.shape[1]]
        # The first rung's posterior does not look at the state.
        posterior = rung.posterior(images.new_zeros(len(part)), seen, None)
        z = posterior.sample(noise("posterior of training pictures", *rung.shape))
        return z.flatten(1).cpu().numpy()

    rows = list(in_batches(share(len(pictures)), model.at_once(BATCH), drawn, model.less_memory))
    return _all(rows, (math.prod(rung.shape),))


def log_prob_of_levels(model: PictureModel, walk: Walk, images: Tensor) -> Tensor:
    """Returns ln p(x | z) of 8-bit pictures in nats ``(n,)``, in double precision on the CPU.

    A density over [-1, 1] is taken times the width of a level for every number of the picture.

    Args:
        model: whose likelihood reads the walk's head.
        walk: over n rows.
        images: ``(n, C, H, W)`` in [-1, 1].
    """
    log_prob = model.model.likelihood(walk.head).log_prob(images).cpu().double()
    if not model.model.likelihood.discrete:
        log_prob = log_prob - images[0].numel() * math.log(LEVELS)
    return log_prob


def log_shares(model: PictureModel, labels: Tensor | None, count: int) -> Tensor:
    """Returns ln p(y) of labels ``(n,)``, their shares in training; 0 where there are none."""
    if labels is None:
        return torch.zeros(count, dtype=torch.float64)
    shares = torch.tensor(model.shares, dtype=torch.float64)
    # A label without training pictures is unlikely, not impossible.
    return shares.clamp_min(1e-9).log()[labels.cpu()]


def importance_bound(
    model: PictureModel,
    images: Tensor,
    features: Any,
    labels: Tensor | None,
    seed: int,
    numbers: list[int],
    draws: int,
) -> Tensor:
    """Returns the importance weighted bound on ln p(x) of 8-bit pictures in nats ``(n,)``.

    ``ln p(y) + logsumexp_k [ln p(x | z_k) + ln p(z_k) - ln q(z_k | x)] - ln K``.

    Args:
        model: with stochastic rungs.
        images: ``(n, C, H, W)`` in [-1, 1].
        features: what the encoder sees of them.
        labels: int64 ``(n,)``, or None.
        seed: of the draws.
        numbers: of the pictures; the draws depend on the seed and these.
        draws: K.

    Source: Burda et al. 2016 (arXiv 1509.00519), equation 8.
    """
    weights = [
        _log_weight(model, images, features, labels, seed, numbers, draw) for draw in range(draws)
    ]
    bound = torch.stack(weights).logsumexp(0) - math.log(draws)
    return bound + log_shares(model, labels, len(numbers))


def _log_weight(
    model: PictureModel,
    images: Tensor,
    features: Any,
    labels: Tensor | None,
    seed: int,
    numbers: list[int],
    draw: int,
) -> Tensor:
    """Returns ln p(x | z) + ln p(z) - ln q(z | x) in nats ``(n,)`` of one draw of all rungs."""
    single = picture_noise(seed, numbers, model.device)

    def noise(stream: str, *shape: int) -> Tensor:
        return single(f"iwae {draw} {stream}", *shape)

    walk = model.model.walk(FromPosterior(features, noise), labels, len(images))
    weight = log_prob_of_levels(model, walk, images)
    for drawn in walk.drawn:
        assert drawn.posterior is not None
        prior = drawn.prior or standard_like(drawn.z)
        ratio = prior.log_prob(drawn.z) - drawn.posterior.log_prob(drawn.z)
        weight = weight + ratio.cpu().double()
    return weight


def _active(sums: np.ndarray, count: int) -> tuple[int, int]:
    mean = sums[0] / count
    variance = sums[1] / count - mean**2
    return int((variance > ACTIVE).sum()), len(mean)


def _all(parts: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Returns the rows of all batches and processes; a process may have had none."""
    return joined(np.concatenate(parts) if parts else np.zeros((0, *shape)))
