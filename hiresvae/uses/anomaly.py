"""How unlike the training data a picture is, and where.

The likelihood alone is no measure of that: plain pictures of another kind get a higher one than the
training data (Nalisnick et al. 2019, arXiv 1810.09136). What a general compressor needs for a
picture corrects for how plain it is.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, picture_noise
from hiresvae.images import to_float, to_pil
from hiresvae.models.draws import FromPosterior
from hiresvae.uses.codes import BATCH

LEVELS = 127.5
"""A level of 8 bits is 1 / 127.5 on the scale of [-1, 1]."""


@dataclass(frozen=True)
class Scores:
    """Figures of pictures, each ``(N,)`` but where told; higher is less like the training data.

    Attributes:
        bits: upper bound of -log2 p(x): the importance weighted negative ELBO.
        complexity: bits that a lossless compressor needs.
        score: ``bits - complexity``.
        error: mean squared error of the reconstruction in [-1, 1].
        rates: nats of each rung ``(N, L)``.
        squares: squared error by pixel, averaged over channels ``(N, S, S)``.
    """

    bits: Tensor
    complexity: Tensor
    score: Tensor
    error: Tensor
    rates: Tensor
    squares: Tensor


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
    ``logsumexp_k [ln p(x | z_k) + ln p(z_k) - ln q(z_k | x)] - ln K``. A density over [-1, 1] is
    turned into one over 256 levels by the width of a level.

    Args:
        painter: the model.
        pictures: uint8 ``(N, C, S, S)``.
        draws: K.
        seed: of the draws; picture i depends on (seed, i) only.

    Source: Serra et al. 2020 (arXiv 1909.11480), equation 1; Burda et al. 2016 (arXiv 1509.00519).
    """
    model = painter.model
    dims = pictures[0].numel()
    nats, rates, squares = [], [], []
    for rows in torch.arange(len(pictures)).split(BATCH):
        part = pictures[rows]
        images = painter.check(part)
        labels = painter.guess_labels(part) if painter.conditional else None
        features = model.features(images, labels)
        mean = model.walk(FromPosterior(features, None), labels, len(part))
        picture = model.likelihood(mean.head).mean
        squares.append((picture - images).square().mean(1).cpu())
        rates.append(torch.stack([drawn.rate() for drawn in mean.drawn], 1).cpu())
        weights = []
        for k in range(draws):
            noise = picture_noise(seed + 7919 * k, rows.tolist(), painter.device)
            walk = model.walk(FromPosterior(features, noise), labels, len(part))
            weight = model.likelihood(walk.head).log_prob(images)
            for drawn in walk.drawn:
                assert drawn.posterior is not None
                weight = weight - drawn.posterior.log_prob(drawn.z)
                weight = weight + _prior_log_prob(drawn.prior, drawn.z)
            weights.append(weight)
        nats.append((math.log(draws) - torch.stack(weights).logsumexp(0)).cpu())
    total = torch.cat(nats).double()
    if not model.likelihood.discrete:
        total = total + dims * math.log(LEVELS)
    bits, packed = total / math.log(2), complexity(pictures)
    by_pixel = torch.cat(squares)
    return Scores(bits, packed, bits - packed, by_pixel.mean((1, 2)), torch.cat(rates), by_pixel)


def _prior_log_prob(prior: object, z: Tensor) -> Tensor:
    from hiresvae.distributions.gaussian import DiagonalGaussian, standard_like

    normal = prior if isinstance(prior, DiagonalGaussian) else standard_like(z)
    return normal.log_prob(z)


def threshold(held_out: Tensor, quantile: float) -> float:
    """Returns the score that a share ``quantile`` of held-out pictures stays below.

    Raises:
        UserError: the quantile is no share.
    """
    if not 0 < quantile < 1:
        raise UserError(f"--quantile {quantile} must lie between 0 and 1, such as 0.95")
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
