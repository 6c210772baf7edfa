"""The groups of figures that a plan wants, of made pictures beside real ones."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hiresvae.metrics.features import FEATURES, FeatureNetwork, extract, features_key
from hiresvae.metrics.results import Figure
from hiresvae.uses.feature_figures import (
    covering,
    covering_floor,
    distances,
    diversity,
    floor,
    infinity,
)
from hiresvae.uses.figures import Counts, patches, texture, thumbnails
from hiresvae.uses.memory_figures import memory
from hiresvae.uses.plan import Plan
from hiresvae.uses.processes import by_share, remembered


@dataclass(frozen=True)
class RealFeatures:
    """Features of the real pictures, float32, with what else is known of these.

    Attributes:
        train: ``(N, D)``.
        unseen: of held-out pictures ``(M, D)``; None where there are none, or nothing needs them.
        complete: whether ``train`` are all that were trained on, so that a copy would be found.
        labels: int64 ``(N,)``, or None.
    """

    train: np.ndarray
    unseen: np.ndarray | None
    complete: bool
    labels: np.ndarray | None = None


def pixel_groups(role: str, made: Tensor, real: Tensor, counts: Counts, plan: Plan) -> list[Figure]:
    """Returns texture, patches and diversity in pixels of made pictures, where wanted.

    Args:
        role: what the made pictures are; ends the figures' names.
        made: uint8 ``(N, C, H, W)``.
        real: uint8 ``(M, C, H, W)``.
        counts: pictures by role, for the record.
        plan: what is wanted.
    """
    figures: list[Figure] = []
    if plan.wants("texture"):
        with plan.timed("texture"):
            figures += texture(role, made, real, counts, plan.seed)
    if plan.wants("patches"):
        with plan.timed("patches"):
            figures += patches(role, made, real, counts, plan.seed)
    if plan.wants("diversity") and role != "reconstructions":
        with plan.timed("diversity"):
            a, b = (by_share(thumbnails, x) for x in (made, real))
            figures += diversity(role, a, b, None, counts, plan.seed)
    return figures


def feature_groups(
    role: str,
    made: np.ndarray,
    real: RealFeatures,
    network: FeatureNetwork,
    counts: Counts,
    plan: Plan,
    labels: np.ndarray | None = None,
) -> list[Figure]:
    """Returns the figures of made pictures' features ``(N, D)`` beside real ones, where wanted.

    Args:
        role: what the made pictures are; ends the figures' names.
        made: features of made pictures.
        real: features of real ones.
        network: which features.
        counts: pictures by role, for the record.
        plan: what is wanted.
        labels: of the made pictures ``(N,)``, or None.
    """
    figures: list[Figure] = []
    frechet: float | None = None
    if plan.wants("distance"):
        with plan.timed("distance"):
            figures += distances(f"g{{}}_{role}", made, real.train, network, counts)
            frechet = figures[0].value
            figures += infinity(role, made, real.train, network, counts, plan.seed, plan.notes)
    if plan.wants("coverage"):
        with plan.timed("coverage"):
            figures += covering(role, made, real.train, network, counts, plan.seed)
    if plan.wants("diversity"):
        with plan.timed("diversity"):
            figures += diversity(
                role, made, real.train, network.to_json(), counts, plan.seed, labels, real.labels
            )
    if plan.wants("memory") and real.complete:
        with plan.timed("memory"):
            figures += memory(
                role, made, real.train, real.unseen, network, counts, plan.seed, frechet
            )
    return figures


def floors(reals: np.ndarray, network: FeatureNetwork, plan: Plan) -> list[Figure]:
    """Returns what real pictures' features ``(N, D)`` are beside others of them, where wanted."""
    figures: list[Figure] = []
    if plan.wants("distance"):
        with plan.timed("distance"):
            figures += floor(reals, network, plan.seed)
    if plan.wants("coverage"):
        with plan.timed("coverage"):
            figures += covering_floor(reals, network, plan.seed)
    return figures


def features_of(pictures: Tensor, network: FeatureNetwork) -> np.ndarray:
    """Returns the features of pictures, float32 ``(N, D)``, each process computing its share."""
    return by_share(lambda part: extract(part, network), pictures)


def real_features(pictures: Tensor, network: FeatureNetwork) -> np.ndarray:
    """Returns the features of real pictures, which every evaluation needs, from the cache."""
    key = features_key(pictures, network)
    return remembered(FEATURES, key, lambda: features_of(pictures, network), len(pictures))


def complete(have: int, total: int, plan: Plan) -> bool:
    """Returns whether the features are of all real pictures; notes it where memory needs that.

    Args:
        have: pictures whose features are computed.
        total: how many there are.
        plan: gets the sentence.
    """
    if have < total and plan.wants("memory"):
        plan.notes.append(
            f"nearest pictures in features, and MiFID, were left out: {have} of {total} pictures "
            f"have features, and copies of the others would count as news; --samples {total} takes "
            "them all, and nearest_pixels is of all"
        )
    return have == total
