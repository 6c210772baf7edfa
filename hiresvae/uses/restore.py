"""Takes noise, stains and holes out of pictures, and says how sure the model is.

Without a mask a picture is projected onto what the model can make; a model that was trained to
denoise makes the clean one. With a mask, the hole is filled: encode, decode, put the known pixels
back, again; from several starts, each followed by a search for the latents that explain the known
pixels best; its colours are moved to join those around it. A model that was trained to fill blank
places is shown one. Pictures larger than the model's are worked on in overlapping tiles that are
blended, so that no seam is left.

How sure the model is, is how little its answers differ: draws of a model with noise; of one without
what it makes of other views of the picture, see `hiresvae.uses.views`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hiresvae.batching import in_batches
from hiresvae.data.tiles import starts
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.images import to_float, to_uint8
from hiresvae.models.draws import FromPosterior, FromPrior, Given
from hiresvae.seeding import picture_noise
from hiresvae.training.corruption import BLANK
from hiresvae.uses.blend import joined
from hiresvae.uses.views import continued, views

LARGEST = 64_000_000
"""Pixels of the largest picture that is worked on."""


@dataclass(frozen=True)
class Restored:
    """What was made of a picture.

    Attributes:
        picture: float32 ``(C, H, W)`` in [-1, 1]: the mean of the answers; of a model without noise
            the first of them, which is of the picture as it is.
        spread: standard deviation over the answers, averaged over channels ``(H, W)``; of a model
            without noise that over other views of the picture.
        answers: ``(n, C, H, W)``, not cut to [-1, 1]; at most as many as were asked for.
    """

    picture: Tensor
    spread: Tensor
    answers: Tensor


def window(side: int) -> Tensor:
    """Returns the weight of a tile's pixels ``(side, side)``: a pyramid with its peak at 1."""
    place = torch.arange(side, dtype=torch.float64)
    rise = (1 + torch.minimum(place, side - 1 - place)) / ((side + 1) // 2)
    return (rise[:, None] * rise[None]).float()


def tiled(
    picture: Tensor,
    side: int,
    work: Callable[[Tensor, Tensor], Tensor],
    batch: int = 16,
    less: str = "smaller tiles",
) -> Tensor:
    """Returns a picture put together from what ``work`` makes of its tiles ``(D, H, W)``.

    Where tiles overlap, their weighted mean is taken, and weights fall to the tiles' edges, so that
    a tile that differs from its neighbour leaves no line. A picture smaller than a tile is
    continued by its mirror image.

    Args:
        picture: ``(C, H, W)``.
        side: of the tiles.
        work: ``(tiles (n, C, side, side), numbers (n,)) -> (n, D, side, side)``.
        batch: most tiles at a time.
        less: what needs less memory than a single tile.
    """
    height, width = picture.shape[1:]
    short = max(0, side - height), max(0, side - width)
    whole = continued(picture, *short)
    places = [(y, x) for y in starts(whole.shape[1], side) for x in starts(whole.shape[2], side)]
    weight = window(side).to(picture.device)
    total = weight.new_zeros(whole.shape[1:])
    result: Tensor | None = None

    def of(rows: slice) -> tuple[list[tuple[int, int]], Tensor]:
        part = places[rows]
        tiles = torch.stack([whole[:, y : y + side, x : x + side] for y, x in part])
        return part, work(tiles, torch.arange(rows.start, rows.stop))

    for part, made in in_batches(slice(0, len(places)), batch, of, less):
        if result is None:
            result = made.new_zeros(made.shape[1], *whole.shape[1:])
        for (y, x), one in zip(part, made, strict=True):
            result[:, y : y + side, x : x + side] += weight * one
            total[y : y + side, x : x + side] += weight
    assert result is not None
    return (result / total)[:, :height, :width]


def restore(
    painter: PictureModel,
    picture: Tensor,
    mask: Tensor | None = None,
    *,
    answers: int = 4,
    rounds: int = 20,
    steps: int = 0,
    seed: int = 0,
) -> Restored:
    """Returns a picture without noise and stains, or with a hole filled.

    Args:
        painter: the model.
        picture: uint8 ``(C, H, W)``, any height and width.
        mask: bool ``(H, W)``, true where the picture is to be filled in; what is known stays as it
            is to the last bit. None: all of it is cleaned.
        answers: different answers, whose mean and spread are taken: draws of the model, or of one
            without noise what it makes of other views (`hiresvae.uses.views`), for the spread.
        rounds: of encoding, decoding and putting known pixels back.
        steps: of gradient descent on the latents after that, at a rate of 0.05.
        seed: of the answers.

    Raises:
        UserError: the mask or the number of channels does not fit, or a search is to explain the
            noise that a denoising model was trained to leave out.

    Source: Rezende et al. 2014 (arXiv 1401.4082), section 6.3, for the rounds.
    """
    model = painter.model
    if picture.shape[0] != model.channels or picture[0].numel() > LARGEST:
        raise UserError(
            f"a picture of shape {tuple(picture.shape)} does not fit: this model takes "
            f"{model.channels} channels and at most {LARGEST // 10**6} million pixels"
        )
    if mask is not None and tuple(mask.shape) != tuple(picture.shape[1:]):
        raise UserError(
            f"the mask has {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"the picture {picture.shape[2]} x {picture.shape[1]}"
        )
    corruption = painter.settings.corruption
    if mask is None and steps and corruption is not None:
        raise UserError(
            f"steps is {steps}, but this model was trained to denoise ({corruption.kind}): latents "
            "that explain the noisy pixels better would bring the noise back; nearest valid: 0"
        )
    image = to_float(picture[None].to(painter.device))[0]
    unknown = torch.zeros_like(image[:1]) if mask is None else mask[None].to(image)
    both = torch.cat([image, unknown])
    made = []
    for k, view in enumerate(views(painter, answers, seed)):

        def work(tiles: Tensor, numbers: Tensor, k: int = k) -> Tensor:
            images, hole = tiles[:, :-1], tiles[:, -1:]
            if mask is None:
                return _projected(painter, images, None, steps, numbers, seed + k)
            return _filled(painter, images, hole, rounds, steps, numbers, seed + k)

        count, less = painter.at_once(), painter.less_memory
        made.append(view.back(tiled(view.of(both), model.size, work, count, less)))
    if mask is not None:
        made = [joined(one, image, unknown[0] > 0) for one in made]
    stacked = torch.stack(made)
    answer = (stacked.mean(0) if model.settings.stochastic else stacked[0]).clamp(-1, 1)
    spread = stacked.std(0, correction=0).mean(0)
    if mask is not None:
        # To the last bit: a mean of equal numbers may differ from them.
        answer, spread = torch.where(unknown > 0, answer, image), spread * unknown[0]
    return Restored(answer.cpu(), spread.cpu(), stacked.cpu())


def _labels(painter: PictureModel, images: Tensor) -> Tensor | None:
    return painter.guess_labels(to_uint8(images)) if painter.conditional else None


def _projected(
    painter: PictureModel,
    images: Tensor,
    known: Tensor | None,
    steps: int,
    numbers: Tensor,
    seed: int,
) -> Tensor:
    """Returns pictures ``(n, C, S, S)`` decoded from a draw of the posterior, then improved."""
    model = painter.model
    with torch.inference_mode():
        labels = _labels(painter, images)
        noise = picture_noise(seed, numbers.tolist(), painter.device)
        drawn = noise if model.settings.stochastic else None
        draw = FromPosterior(model.features(images, labels), drawn)
        walk = model.walk(draw, labels, len(images))
        latents = [one.z for one in walk.drawn]
        mean = model.likelihood(walk.head).mean
    if steps == 0:
        return mean
    return _searched(painter, images, known, [z.clone() for z in latents], labels, steps)


def _searched(
    painter: PictureModel,
    images: Tensor,
    known: Tensor | None,
    latents: list[Tensor],
    labels: Tensor | None,
    steps: int,
) -> Tensor:
    """Returns pictures whose latents explain the known pixels best, the prior considered.

    Minimises ``sum known |x - G(z)|^2 / (2 s^2) + |z|^2 / 2`` with s^2 the mean squared error at
    the start, so that it weighs what the model leaves unexplained; of lower rungs the prior is left
    out, whose mean is where they begin.
    """
    model = painter.model
    # Copies: tensors of inference mode may not take part in gradients.
    images = images.clone()
    known = torch.ones_like(images[:, :1]) if known is None else known.clone()
    labels = None if labels is None else labels.clone()
    free = [z.requires_grad_(True) for z in latents]
    optimizer = torch.optim.Adam(free, lr=0.05)

    def made() -> Tensor:
        walk = model.walk(Given([*free], FromPrior(None)), labels, len(images))
        return model.likelihood(walk.head).mean

    variance: Tensor | None = None
    with torch.enable_grad():
        for _ in range(steps):
            squares = ((made() - images).square() * known).flatten(1).sum(1)
            if variance is None:
                count = known.flatten(1).sum(1) * images.shape[1]
                variance = (squares.detach() / count.clamp_min(1)).clamp_min(1e-4)
            loss = (squares / (2 * variance)).sum() + 0.5 * free[0].square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return made()


def _filled(
    painter: PictureModel,
    images: Tensor,
    hole: Tensor,
    rounds: int,
    steps: int,
    numbers: Tensor,
    seed: int,
) -> Tensor:
    """Returns what the model makes of pictures ``(n, C, S, S)`` with holes ``(n, 1, S, S)``."""
    known = 1 - hole
    count = (known.flatten(1).sum(1) * images.shape[1]).clamp_min(1)[:, None, None, None]
    # The first guess of a hole: the colour of the rest, and noise that makes each start another.
    colour = (images * known).sum((2, 3), keepdim=True) * images.shape[1] / count
    noise = picture_noise(seed, numbers.tolist(), painter.device)("hole", *images.shape[1:])
    current = known * images + hole * (colour + 0.3 * noise).clamp(-1, 1)
    corruption = painter.settings.corruption
    if corruption is not None and corruption.kind == "masking":
        # It learnt what belongs into a blank place; a guess there would be taken for the truth.
        current, rounds = known * images + hole * BLANK, 0
    for number in range(rounds):
        made = _projected(painter, current, None, 0, numbers, seed + 104729 * (number + 1))
        current = known * images + hole * made.clamp(-1, 1)
    return _projected(painter, current, known, steps, numbers, seed)
