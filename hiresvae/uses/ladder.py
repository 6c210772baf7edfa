"""What the rungs of a ladder say: coarse to fine, kept and drawn anew, mixed between pictures.

All work on codes, in which a lower rung is told in units of its prior: fine detail follows what is
changed above it.
"""

from dataclasses import replace

import torch
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.models.draws import Temperature, check_temperature
from hiresvae.seeding import picture_noise
from hiresvae.uses.codes import Codes, decode, drawn_grain


def check_keep(painter: PictureModel, keep: int) -> None:
    """Refuses to keep no rung or all of them.

    Raises:
        UserError: names the nearest valid number; or the model has one rung.
    """
    rungs = len(painter.model.latent_shapes)
    if rungs == 1:
        raise UserError(
            "this model has 1 rung, nothing to keep one and change another of; train a ladder, "
            "such as model.pyramid '1x1 4x2 8x2 ...'"
        )
    if not 1 <= keep < rungs:
        near = 1 if keep < 1 else rungs - 1
        raise UserError(
            f"to keep {keep} of {rungs} rungs leaves nothing to do; nearest valid: {near}"
        )


@torch.inference_mode()
def coarse_to_fine(painter: PictureModel, codes: Codes) -> Tensor:
    """Returns what each further rung adds, uint8 ``(N, L + 1, C, S, S)``.

    In column k the first k rungs are the picture's own, those below are at their priors' means; in
    column 0 the top rungs are at the centre of the fitted prior.

    Example:
        >>> coarse_to_fine(model, encode(model, pictures[:4])).shape  # doctest: +SKIP
        torch.Size([4, 6, 3, 64, 64])
    """
    labels = None if codes.labels is None else codes.labels.argmax(1)
    center = painter.prior.center(len(codes), labels).to(painter.device)
    top = painter.model.top_parts(center)
    still = [*top, *(torch.zeros_like(z) for z in codes.latents[len(top) :])]
    columns = [
        decode(painter, replace(codes, latents=[*codes.latents[:known], *still[known:]]))
        for known in range(len(still) + 1)
    ]
    return torch.stack(columns, 1)


@torch.inference_mode()
def resampled(
    painter: PictureModel,
    codes: Codes,
    keep: int,
    draws: int = 6,
    *,
    seed: int = 0,
    temperature: Temperature = 1.0,
) -> Tensor:
    """Returns pictures with the first rungs kept, the rest drawn: uint8 ``(N, draws, C, S, S)``.

    Draw j of picture i depends on (seed, i, j) only. Grain is drawn anew as well; below the top
    rungs it is all that differs where the others are at their likeliest (``model.fine_temperature``
    0).

    Args:
        painter: a model of two rungs or more.
        codes: of N pictures.
        keep: how many rungs stay, from the top.
        draws: pictures of each.
        seed: of the draws.
        temperature: scales the priors' standard deviations; of each rung from the top, if several.

    Raises:
        UserError: nothing would be kept, or nothing drawn.
    """
    check_keep(painter, keep)
    check_temperature(temperature, len(codes.latents))
    noise = picture_noise(seed, list(range(len(codes))), painter.device)
    spread, made = painter.model.temperatures(temperature), []
    for draw in range(draws):
        drawn = [
            noise(f"draw {draw} of rung {rung}", *codes.latents[rung].shape[1:])
            for rung in range(keep, len(codes.latents))
        ]
        drawn = [wide * z for wide, z in zip(spread[keep:], drawn, strict=True)]
        top = _suiting(painter, codes, keep, drawn)
        latents = [*codes.latents[:keep], *top, *drawn[len(top) :]]
        grain = drawn_grain(painter, noise, f"draw {draw} of ")
        made.append(decode(painter, replace(codes, latents=latents, grain=grain)))
    return torch.stack(made, 1)


def _suiting(painter: PictureModel, codes: Codes, keep: int, noise: list[Tensor]) -> list[Tensor]:
    """Returns latents of the rungs that the prior describes together with those that are kept."""
    count = max(0, painter.model.settings.top_rungs - keep)
    if not count:
        return []
    labels = None if codes.labels is None else codes.labels.argmax(1)
    kept, draws = codes.vector(keep), torch.cat([z.flatten(1) for z in noise[:count]], 1)
    rest = painter.prior.complete(kept, draws, labels)
    return painter.model.top_parts(torch.cat([kept, rest], 1))[keep:]


@torch.inference_mode()
def mixed(painter: PictureModel, codes: Codes, keep: int) -> Tensor:
    """Returns all pairings, uint8 ``(N, N, C, S, S)``: first rungs of row i, the rest of column j.

    What is coarse (composition, the label) comes from the row, what is fine (strokes, colour of
    detail, grain) from the column; the diagonal is the pictures themselves.

    Args:
        painter: a model of two rungs or more.
        codes: of N pictures.
        keep: how many rungs, from the top, are the row's.

    Raises:
        UserError: a row or a column would have nothing to say.
    """
    check_keep(painter, keep)
    count = len(codes)
    rows = torch.arange(count).repeat_interleave(count).to(painter.device)
    columns = torch.arange(count).repeat(count).to(painter.device)
    coarse, fine = codes[rows], codes[columns]
    latents = [*coarse.latents[:keep], *fine.latents[keep:]]
    pairs = Codes(latents, coarse.labels, fine.grain)
    return decode(painter, pairs).unflatten(0, (count, count))
