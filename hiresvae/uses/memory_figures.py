"""How near made pictures are to those that were trained on: copies, or news?"""

import math
from collections.abc import Iterable

import numpy as np
from torch import Tensor

from hiresvae.metrics.features import FeatureNetwork
from hiresvae.metrics.neighbours import cosine_to_nearest, memorisation, nearest_of_all
from hiresvae.metrics.results import NOTHING, Figure, bootstrap
from hiresvae.uses.feature_figures import network_words
from hiresvae.uses.figures import THUMBNAIL, Counts, averaged, thumbnails
from hiresvae.uses.processes import by_share

# Nearer to a training picture than all but this share of unseen pictures is suspicious.
RARE = 0.01


def memory(
    role: str,
    fakes: np.ndarray,
    train: np.ndarray,
    unseen: np.ndarray | None,
    network: FeatureNetwork,
    counts: Counts,
    seed: int,
    frechet: float | None = None,
) -> list[Figure]:
    """Returns how near made pictures are to training ones in features, and MiFID.

    Args:
        role: ends the figures' names.
        fakes: features of made pictures ``(N, D)``.
        train: features of all the pictures trained on: in a part of them copies of the others are
            not found.
        unseen: features of held-out pictures, as near to the training ones as news are; or None.
        network: which features.
        counts: pictures by role, for the record.
        seed: of the intervals.
        frechet: the Fréchet distance of the same features, for MiFID.
    """
    of, near = network.to_json(), cosine_to_nearest(fakes, train)
    far = None if unseen is None else cosine_to_nearest(unseen, train)
    figures = _nearness("", role, near, far, "1 - cosine", counts, seed, of)
    if frechet is not None:
        name, value = f"gmi{network_words(network)[0]}_{role}", frechet / memorisation(near)
        figures.append(Figure(name, value, "squared distance", "down", None, counts, of))
    return figures


def memory_pixels(
    role: str,
    fakes: Tensor,
    train: Iterable[Tensor],
    unseen: Tensor | None,
    counts: Counts,
    seed: int,
) -> list[Figure]:
    """Returns how near made pictures are to training ones in pixels; needs no network.

    Args:
        role: ends the figures' names.
        fakes: uint8 ``(N, C, H, W)``.
        train: all the pictures trained on, uint8 ``(m, C, H, W)`` at a time; looked at once.
        unseen: uint8 pictures never trained on, or None.
        counts: pictures by role, for the record.
        seed: of the interval.
    """
    sought = by_share(thumbnails, fakes)
    if unseen is not None:
        sought = np.concatenate([sought, by_share(thumbnails, unseen)])
    nearest = nearest_of_all(sought, (thumbnails(part) for part in train))
    nearest *= 255 / np.sqrt(sought.shape[1])
    near, far = nearest[: len(fakes)], nearest[len(fakes) :]
    unit = f"levels of 255 at {THUMBNAIL} px"
    return _nearness("pixels_", role, near, far, unit, counts, seed, None)


def _nearness(
    space: str,
    role: str,
    near: np.ndarray,
    far: np.ndarray | None,
    unit: str,
    counts: Counts,
    seed: int,
    of: dict[str, str] | None,
) -> list[Figure]:
    """Returns the distances to the nearest training picture, by themselves and beside unseen ones.

    The median over that of unseen pictures is well below 1 where most are copies. Where some are,
    the share tells that is nearer than all but 1 % of the unseen ones: 0.01 of news.

    Args:
        space: begins the end of the names.
        role: ends them.
        near: of made pictures ``(N,)``.
        far: of unseen pictures ``(M,)``; fewer than two, or None: there is nothing to compare with.
        unit: of both.
        counts: pictures by role, for the record.
        seed: of the intervals.
        of: the feature network's name and hash; None: pixels.
    """

    def ratio(x: np.ndarray, y: np.ndarray) -> float:
        usual = np.median(y)
        return float(np.median(x) / usual) if usual > NOTHING else math.nan

    def share(x: np.ndarray, y: np.ndarray) -> float:
        return float((x <= np.quantile(y, RARE)).mean())

    figures = [averaged(f"nearest_{space}{role}", near, unit, "none", counts, seed, of)]
    if far is None or len(far) < 2:
        return figures
    beside, copied = (bootstrap(f, near, far, seed=seed) for f in (ratio, share))
    name = f"nearest_{space}ratio_{role}"
    figures.append(Figure(name, ratio(near, far), "ratio", "one", beside, counts, of))
    name, unit = f"copies_{space}share_{role}", f"share, {RARE:g} of unseen ones"
    figures.append(Figure(name, share(near, far), unit, "down", copied, counts, of))
    return figures
