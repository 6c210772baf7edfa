"""What a model says about pictures in nats, as figures."""

import math

import numpy as np
import torch
from torch import Tensor

from hiresvae.generator import PictureModel
from hiresvae.metrics.frechet import Moments, frechet_distance, moments
from hiresvae.metrics.results import Better, Figure
from hiresvae.seeding import generator
from hiresvae.uses.bounds import bounds, top_latents
from hiresvae.uses.figures import Counts, averaged


def likelihood_figures(
    model: PictureModel,
    pictures: Tensor,
    counts: Counts,
    *,
    seed: int,
    iwae: int,
    notes: list[str],
    train: Tensor | None = None,
    train_labels: np.ndarray | None = None,
) -> list[Figure]:
    """Returns ELBO, IWAE, bits/dim, active units, KL of each rung and prior gap as figures.

    ELBO, IWAE and distortion are of 8-bit pictures, so that they can be compared whatever the
    likelihood: of a density over [-1, 1], ln 127.5 is subtracted from ln p for every number of the
    picture. Those of coin throws that were asked about greys are of no picture, as their unit says.
    What is left of a density is an approximation and no bound, so bits/dim are given for discrete
    ones alone. ``bits_per_dim`` is of the ELBO, ``bits_per_dim_iwae_K`` of IWAE.

    Args:
        model: to be measured; None of these is computed of an autoencoder.
        pictures: uint8 ``(N, C, H, W)``, held out if there are any.
        counts: pictures by role, for the record.
        seed: of the draws.
        iwae: importance samples; 0 leaves the bound out.
        notes: gets a sentence for what does not apply.
        train: uint8 ``(M, C, H, W)``, further pictures whose latents tell the prior gap; or None.
        train_labels: int64 ``(M,)``; a conditional model that is given none guesses.

    Raises:
        UserError: the model has no noise, so no likelihood.
    """
    found = bounds(model, pictures, seed=seed, samples=iwae)
    grey = _grey_coins(model, pictures)
    unit = "nats of coin throws" if grey else "nats"

    def mean(name: str, values: np.ndarray, unit: str, better: Better) -> Figure:
        return averaged(name, values, unit, better, counts, seed)

    figures = [
        mean("elbo", found.elbo, unit, "up"),
        mean("distortion", found.distortion, unit, "down"),
        mean("rate", found.rate.sum(1), "nats", "none"),
    ]
    if model.conditional:
        figures.append(mean("rate_label", found.label, "nats", "none"))
    if found.iwae is not None:
        figures.append(mean(f"iwae_{iwae}", found.iwae, unit, "up"))
    head, dims = model.model.likelihood, math.prod(pictures.shape[1:])
    if head.discrete and not grey:
        of = {"bits_per_dim": found.elbo, f"bits_per_dim_iwae_{iwae}": found.iwae}
        for name, nats in of.items():
            if nats is not None:
                bits = head.bits_per_dim(torch.from_numpy(nats), dims).numpy()
                figures.append(mean(name, bits, "bits", "down"))
    else:
        because = (
            "'bernoulli' is of black and white alone, and these pictures are grey; data.binarize "
            "true makes them so"
            if grey
            else f"{head.name!r} is a density, not discrete"
        )
        notes.append(f"bits/dim were left out: model.likelihood {because}")
    for number, (active, total) in enumerate(found.active):
        figures.append(mean(f"kl_rung_{number}", found.rate[:, number], "nats", "none"))
        units = f"of {total} latents"
        figures.append(Figure(f"active_units_rung_{number}", active, units, "up", None, counts))
    top, used = found.top, counts
    if train is not None and len(train):
        top = np.concatenate([top, top_latents(model, train, train_labels, seed=seed)])
        used = {**counts, "train": len(train)}
    return figures + prior_gap(top, used, seed, notes)


def _grey_coins(model: PictureModel, pictures: Tensor) -> bool:
    """Whether coin throws are asked about greys, of which they know nothing."""
    if model.model.likelihood.name != "bernoulli" or model.settings.data.binarize:
        return False
    return bool(((pictures > 0) & (pictures < 255)).any())


def prior_gap(top: np.ndarray, counts: Counts, seed: int, notes: list[str]) -> list[Figure]:
    """Returns the distance of the latents' Gaussian fit from N(0, I), a latent, and its floor.

    Samples from N(0, I) look worse than those of the fitted prior where the gap is far above its
    floor, which is the same of as many draws from N(0, I) itself: with fewer pictures than latents
    nearly all of the gap is bias.

    Args:
        top: latents of the top rung drawn for pictures, ``(N, D)``.
        counts: pictures by role, for the record.
        seed: of the draws for the floor.
        notes: gets a sentence where there are too few pictures.
    """
    count, dim = top.shape
    if count < 2:
        notes.append(f"prior_gap was left out: it needs 2 pictures or more, and there is {count}")
        return []
    standard = Moments(np.zeros(dim), np.eye(dim), count)
    draws = torch.randn(count, dim, generator=generator(seed, "prior gap")).numpy()
    return [
        Figure(
            name, frechet_distance(moments(z), standard) / dim, "squared distance a latent", "down",
            None, counts,
        )
        for name, z in (("prior_gap", top), ("floor_prior_gap", draws))
    ]  # fmt: skip
