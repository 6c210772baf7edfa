"""What a model says about pictures in nats: bounds on their likelihood, and what its latents carry.

The measures know no model; these need one, batch by batch, and keep one row a picture.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.distributions.gaussian import ACTIVE, standard_like
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, picture_noise
from hiresvae.metrics.frechet import Moments, frechet_distance, moments
from hiresvae.metrics.results import Figure, bootstrap
from hiresvae.models.draws import FromPosterior
from hiresvae.uses.processes import joined, share

BATCH = 32


@dataclass(frozen=True)
class Bounds:
    """What one pass over pictures gives.

    Attributes:
        distortion: -log p(x | z) in nats ``(N,)``, one draw of z.
        rate: KL of each rung in nats ``(N, L)``, top first.
        iwae: importance weighted bound in nats ``(N,)``, or None.
        top: latents drawn on the top rung ``(N, D)``.
        active: for each rung how many of its latents are active, and how many there are.
    """

    distortion: np.ndarray
    rate: np.ndarray
    iwae: np.ndarray | None
    top: np.ndarray
    active: list[tuple[int, int]]

    @property
    def elbo(self) -> np.ndarray:
        """The evidence lower bound in nats ``(N,)``."""
        lower: np.ndarray = -(self.distortion + self.rate.sum(1))
        return lower


@torch.inference_mode()
def bounds(model: PictureModel, pictures: Tensor, *, seed: int = 0, samples: int = 0) -> Bounds:
    """Returns the bounds on the likelihood of pictures and what the rungs carry.

    The noise of picture i depends on (seed, i) only. A conditional model takes for each picture the
    label under which it is reconstructed best.

    Args:
        model: with stochastic rungs.
        pictures: uint8 ``(N, C, H, W)``, N at least 2.
        seed: of the draws.
        samples: k of the importance weighted bound; 0 leaves it out.

    Raises:
        UserError: the model has no noise, so no likelihood.

    Source: active units: Burda et al. 2016, arXiv 1509.00519, section 5.2: the variance over
    pictures of the posterior's mean is above 0.01; below the top rung the mean is counted from that
    of the learned prior, since it follows the rungs above even where it adds nothing to them.
    """
    if not model.settings.model.stochastic:
        raise UserError("this model is an autoencoder (model.stochastic is false): no likelihood")
    mine = share(len(pictures))
    rows: dict[str, list[np.ndarray]] = {"distortion": [], "rate": [], "iwae": [], "top": []}
    spreads = [np.zeros((2, math.prod(shape))) for shape in model.model.latent_shapes]
    for numbers in torch.arange(mine.start, mine.stop).split(BATCH):
        part = pictures[numbers]
        labels = model.guess_labels(part) if model.conditional else None
        noise = picture_noise(seed, numbers.tolist(), model.device)
        images = model.observed(part, noise)
        features = model.model.features(images, labels)
        walk = model.model.walk(FromPosterior(features, noise), labels, len(part))
        distortion = -model.model.likelihood(walk.head).log_prob(images)
        rows["distortion"].append(distortion.double().cpu().numpy())
        rate = torch.stack([drawn.rate() for drawn in walk.drawn], 1)
        rows["rate"].append(rate.double().cpu().numpy())
        rows["top"].append(walk.drawn[0].z.flatten(1).cpu().numpy())
        for sums, drawn in zip(spreads, walk.drawn, strict=True):
            mean = drawn.posterior.mean if drawn.posterior is not None else drawn.z
            if drawn.prior is not None:
                mean = mean - drawn.prior.mean
            values = mean.flatten(1).double().cpu().numpy()
            sums += np.stack([values.sum(0), np.square(values).sum(0)])
        if samples:
            weights = [
                _log_weight(model, images, features, labels, seed, numbers.tolist(), draw)
                for draw in range(samples)
            ]
            bound = torch.stack(weights).logsumexp(0) - math.log(samples)
            rows["iwae"].append(bound.cpu().numpy())
    totals = [joined(part[None]).sum(0) for part in spreads]
    return Bounds(
        distortion=_all(rows["distortion"], ()),
        rate=_all(rows["rate"], (len(spreads),)),
        iwae=_all(rows["iwae"], ()) if samples else None,
        top=_all(rows["top"], (math.prod(model.model.latent_shapes[0]),)),
        active=[_active(part, len(pictures)) for part in totals],
    )


def likelihood_figures(
    model: PictureModel,
    pictures: Tensor,
    counts: dict[str, int],
    *,
    seed: int,
    iwae: int,
    notes: list[str],
) -> list[Figure]:
    """Returns ELBO, IWAE, bits/dim, active units, KL of each rung and prior gap as figures.

    Args:
        model: to be measured; None of these is computed of an autoencoder.
        pictures: uint8 ``(N, C, H, W)``, held out if there are any.
        counts: pictures by role, for the record.
        seed: of the draws.
        iwae: importance samples; 0 leaves the bound out.
        notes: gets a sentence for what does not apply.
    """
    found = bounds(model, pictures, seed=seed, samples=iwae)
    head = model.model.likelihood

    def mean(name: str, values: np.ndarray, unit: str, better: Any) -> Figure:
        interval = bootstrap(lambda x: float(x.mean()), values, seed=seed)
        return Figure(name, float(values.mean()), unit, better, interval, counts)

    figures = [
        mean("elbo", found.elbo, "nats", "up"),
        mean("distortion", found.distortion, "nats", "down"),
        mean("rate", found.rate.sum(1), "nats", "down"),
    ]
    if found.iwae is not None:
        figures.append(mean(f"iwae_{iwae}", found.iwae, "nats", "up"))
    grey = _grey_coins(model, pictures)
    if head.discrete and not grey:
        best = found.elbo if found.iwae is None else found.iwae
        dims = math.prod(pictures.shape[1:])
        bits = head.bits_per_dim(torch.from_numpy(best), dims).numpy()
        figures.append(mean("bits_per_dim", bits, "bits", "down"))
    else:
        because = (
            "'bernoulli' is of black and white alone, and these pictures are grey; data.binarize "
            "true makes them so"
            if grey
            else f"{head.name!r} is a density, not discrete"
        )
        notes.append(f"bits/dim were left out: model.likelihood {because}")
    for number, (active, total) in enumerate(found.active):
        figures.append(mean(f"kl_rung_{number}", found.rate[:, number], "nats", "down"))
        units = f"of {total} latents"
        figures.append(Figure(f"active_units_rung_{number}", active, units, "up", None, counts))
    figures.append(prior_gap(found.top, counts))
    return figures


def _grey_coins(model: PictureModel, pictures: Tensor) -> bool:
    """Whether coin throws are asked about greys, of which they know nothing."""
    if model.model.likelihood.name != "bernoulli" or model.settings.data.binarize:
        return False
    return bool(((pictures > 0) & (pictures < 255)).any())


def prior_gap(top: np.ndarray, counts: dict[str, int]) -> Figure:
    """Returns the distance of the latents' Gaussian fit from N(0, I), a latent, as a figure.

    Samples from N(0, I) look worse than those of the fitted prior where it is not small.

    Args:
        top: latents of the top rung drawn for pictures, ``(N, D)``, N at least 2.
        counts: pictures by role, for the record.
    """
    dim = top.shape[1]
    standard = Moments(np.zeros(dim), np.eye(dim), len(top))
    distance = frechet_distance(moments(top), standard) / dim
    return Figure("prior_gap", distance, "squared distance a latent", "down", None, counts)


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
    weight: Tensor = model.model.likelihood(walk.head).log_prob(images).double()
    for drawn in walk.drawn:
        assert drawn.posterior is not None
        prior = drawn.prior or standard_like(drawn.z)
        weight = weight + (prior.log_prob(drawn.z) - drawn.posterior.log_prob(drawn.z)).double()
    return weight


def _active(sums: np.ndarray, count: int) -> tuple[int, int]:
    mean = sums[0] / count
    variance = sums[1] / count - mean**2
    return int((variance > ACTIVE).sum()), len(mean)


def _all(parts: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Returns the rows of all batches and processes; a process may have had none."""
    return joined(np.concatenate(parts) if parts else np.zeros((0, *shape)))
