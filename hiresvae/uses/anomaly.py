"""How unlike the training data a picture is, and where.

The likelihood alone is no measure of that: plain pictures of another kind get a higher one than the
training data (Nalisnick et al. 2019, arXiv 1810.09136). What a general compressor needs for a
picture corrects for how plain it is; and a picture may be as unlike by too high a likelihood as by
too low a one, which is what `typical` asks.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiresvae.batching import in_batches
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.images import to_float, to_pil, to_uint8
from hiresvae.models.contract import Drawn
from hiresvae.models.draws import FromPosterior, FromPrior, Given
from hiresvae.models.vae import VAE
from hiresvae.seeding import picture_noise
from hiresvae.uses.bounds import importance_bound
from hiresvae.uses.codes import BATCH

SPREAD = 2
"""Usual pictures for each figure that `typical` compares, at least."""


@dataclass(frozen=True)
class Scores:
    """Figures of pictures, each ``(N,)`` but where told; higher is less like the training data.

    Those that rest on a likelihood are None of an autoencoder, which has none.

    Attributes:
        bits: upper bound of -log2 p(x) of an 8-bit picture: the importance weighted one.
        complexity: bits that a lossless compressor needs.
        score: ``bits - complexity``.
        error: mean squared error of the reconstruction in [-1, 1].
        rates: nats of each rung ``(N, L)``.
        errors: ``(N, L)``: mean squared error where the top 1, 2, ... L rungs are those of the
            picture and the rest are the prior's mean; the last is that of the reconstruction.
        squares: squared error by pixel, averaged over channels ``(N, S, S)``.
    """

    bits: Tensor | None
    complexity: Tensor
    score: Tensor | None
    error: Tensor
    rates: Tensor | None
    errors: Tensor | None
    squares: Tensor

    def figures(self) -> Tensor:
        """Returns what `typical` compares, float64 ``(N, K)``; logarithms of what has no sign."""
        columns = [self.complexity, self.error.clamp_min(1e-12).log()]
        if self.bits is not None and self.rates is not None:
            columns += [self.bits, *(1 + self.rates.clamp_min(0)).log().T]
        return torch.stack([column.double() for column in columns], 1)


def complexity(pictures: Tensor) -> Tensor:
    """Returns the bits that lossless compression needs, the least of PNG and WebP ``(N,)``.

    What a file of one colour needs is taken off: headers say nothing of the picture.

    Args:
        pictures: uint8 ``(N, C, S, S)``.
    """
    empty = _packed(to_pil(torch.zeros_like(pictures[0]))) if len(pictures) else 0
    sizes = [_packed(to_pil(picture)) - empty for picture in pictures]
    return 8 * torch.tensor(sizes, dtype=torch.float64)


def _packed(image: Image.Image) -> int:
    sizes = []
    for kind, option in (("PNG", "optimize"), ("WEBP", "lossless")):
        file = io.BytesIO()
        image.save(file, kind, **{option: True})
        sizes.append(file.tell())
    return min(sizes)


@torch.inference_mode()
def scores(painter: PictureModel, pictures: Tensor, *, draws: int = 8, seed: int = 0) -> Scores:
    """Returns how unlike the training data pictures are.

    ``score = -log2 p(x) - L(x)``, L the bits of a lossless compressor; p by importance weighting,
    see `hiresvae.uses.bounds.importance_bound`.

    Args:
        painter: the model.
        pictures: uint8 ``(N, C, S, S)``.
        draws: of the posterior, for the bound.
        seed: of the draws; picture i depends on (seed, i) only.

    Source: Serra et al. 2020 (arXiv 1909.11480), equation 1; Havtorn et al. 2021 (arXiv
    2102.08248) for keeping a ladder's top rungs and taking the prior for the rest.
    """
    model, noisy = painter.model, painter.settings.model.stochastic

    def found(rows: slice) -> tuple[Tensor, ...]:
        part, numbers = pictures[rows], list(range(rows.start, rows.stop))
        images = painter.observed(part, picture_noise(seed, numbers, painter.device))
        packed = complexity(to_uint8(images).cpu())
        labels = painter.guess_labels(part) if painter.conditional else None
        features = model.features(images, labels)
        mean = model.walk(FromPosterior(features, None), labels, len(part))
        picture = model.likelihood(mean.head).mean
        squares = (picture - images).square().mean(1).cpu()
        if not noisy:
            return squares, packed
        rates = torch.stack([drawn.rate() for drawn in mean.drawn], 1).cpu()
        bound = importance_bound(painter, images, features, labels, seed, numbers, draws)
        tops = [
            _error(model, images, mean.drawn[:kept], labels) for kept in range(1, len(mean.drawn))
        ]
        errors = torch.stack([*tops, squares.mean((1, 2))], 1)
        return squares, packed, bound, rates, errors

    parts = in_batches(slice(0, len(pictures)), painter.at_once(BATCH), found, painter.less_memory)
    squares, packed, *of_bound = (torch.cat(column) for column in zip(*parts, strict=True))
    error = squares.mean((1, 2))
    if not of_bound:
        return Scores(None, packed, None, error, None, None, squares)
    bound, rates, errors = of_bound
    bits = -bound / math.log(2)
    return Scores(bits, packed, bits - packed, error, rates, errors, squares)


def typical(got: Scores, usual: Scores) -> tuple[Tensor, Tensor]:
    """Returns how far pictures' figures lie from those of usual ones, on either side.

    The figures are bits, complexity, error and the nats of each rung; the distance is Mahalanobis',
    by mean and covariance of the usual pictures, each of which is held against the others.

    Args:
        got: of N pictures.
        usual: of M pictures, no fewer than `SPREAD` for each figure and two more.

    Returns:
        Distances of the pictures ``(N,)``, and of each usual one from the others ``(M,)``.

    Raises:
        UserError: there are too few usual pictures.

    Source: Morningstar et al. 2021 (DoSE, arXiv 2006.09273), with a Gaussian density of the
    figures.
    """
    known = usual.figures()
    count, kinds = known.shape
    if count < SPREAD * kinds + 2:
        raise UserError(
            f"typical compares {kinds} figures, for which it needs {SPREAD * kinds + 2} usual "
            f"pictures, and there are {count}; nearest valid: score"
        )
    scale = known.std(0).clamp_min(1e-9)
    center, known = known.mean(0), known / scale
    inverse = torch.linalg.pinv(torch.cov(known.T), rtol=1e-9, hermitian=True)

    def squared(figures: Tensor) -> Tensor:
        away = figures - center / scale
        return ((away @ inverse) * away).sum(1).clamp_min(0)

    # What it is without the picture itself follows from what it is with it.
    inside, n = squared(known), float(count)
    others = (n - 2) / (n - 1) * (n / (n - 1)) ** 2 * inside
    others = others / (1 - n * inside / (n - 1) ** 2).clamp_min(1e-9)
    return squared(got.figures() / scale).sqrt(), others.sqrt()


def _error(model: VAE, images: Tensor, kept: Sequence[Drawn], labels: Tensor | None) -> Tensor:
    """Returns the mean squared error ``(N,)`` where the rungs below those kept are the prior's."""
    latents: list[Tensor | None] = [drawn.z for drawn in kept]
    walk = model.walk(Given(latents, FromPrior(None)), labels, len(images))
    return (model.likelihood(walk.head).mean - images).square().mean((1, 2, 3)).cpu()


def check_quantile(quantile: float) -> None:
    """Refuses what is no share of pictures.

    Raises:
        UserError: it is none.
    """
    if not 0 < quantile < 1:
        raise UserError(f"--quantile {quantile} must lie between 0 and 1, such as 0.95")


def threshold(held_out: Tensor, quantile: float) -> float:
    """Returns the score that a share ``quantile`` of held-out pictures stays below.

    Raises:
        UserError: the quantile is no share.
    """
    check_quantile(quantile)
    return float(torch.quantile(held_out.double(), quantile))


def heat(squares: Tensor, usual: Tensor) -> Tensor:
    """Returns where pictures are unusual ``(N, S, S)``: 1 is as wrong as usual there.

    The error by pixel, smoothed over three pixels, over what it is on held-out pictures.

    Args:
        squares: squared errors ``(N, S, S)``.
        usual: the same of held-out pictures ``(M, S, S)``.
    """
    from torch.nn.functional import avg_pool2d

    def smooth(x: Tensor) -> Tensor:
        for _ in range(2):
            x = avg_pool2d(x[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        return x

    # Half of it is the mean of all pixels: where held-out pictures never err, a little is no alarm.
    norm = smooth(usual.mean(0, keepdim=True))
    return smooth(squares) / (0.5 * norm + 0.5 * norm.mean()).clamp_min(1e-9)


def overlay(picture: Tensor, heated: Tensor, top: float = 8.0) -> Tensor:
    """Returns a grey picture with what is unusual in colour, uint8 ``(3, S, S)``.

    Args:
        picture: uint8 ``(C, S, S)``.
        heated: of `heat` ``(S, S)``.
        top: heat that is shown in full colour; up to 2 nothing is shown.
    """
    from matplotlib import colormaps

    share = ((heated - 2) / (top - 2)).clamp(0, 1)
    colour = torch.from_numpy(np.asarray(colormaps["inferno"](share.numpy())))[..., :3]
    grey = to_float(picture[None])[0].mean(0, keepdim=True).add(1).mul(0.5).expand(3, -1, -1)
    visible = share.sqrt()
    mixed = (1 - 0.85 * visible) * grey + 0.85 * visible * colour.permute(2, 0, 1).float()
    return (255 * mixed).round().clamp(0, 255).to(torch.uint8)
