"""``hiresvae interpolate``: a strip or a film from one picture to the next."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from hiresvae import images
from hiresvae.commands.reconstruct import tell
from hiresvae.errors import UserError
from hiresvae.generator import load
from hiresvae.run import explained
from hiresvae.uses.codes import Inputs, decode, gather
from hiresvae.uses.detail import give_back, give_back_between
from hiresvae.uses.interpolate import Way, interpolate
from hiresvae.uses.sheets import STILL, fitting_scale, save_movie, sheet

FILM = ("gif", "mp4")


def run(
    *,
    model: str,
    keys: list[str],
    out: Path,
    steps: int | None = None,
    way: Way = "spherical",
    rungs: str = "all",
    loop: bool = False,
    fps: float = 20.0,
    scale: int | None = None,
    temperature: float | Sequence[float] = 1.0,
    detail: float = 1.0,
    device: str | None = None,
) -> Path:
    """Writes a strip (png, jpg, webp) or a film (gif, mp4) and returns its path.

    Args:
        model: run folder or model folder.
        keys: pictures, or ``sample:SEED``, at least two.
        out: the file.
        steps: pictures from one key to the next; None is 9 in a strip and 24 in a film.
        way: linear or spherical.
        rungs: "all", a number (that rung moves alone, 0 is the top), or "each" (a row for each).
        loop: go back to the first key.
        fps: frames a second of a film.
        scale: times to enlarge; None makes small pictures large enough to be seen.
        temperature: of samples, of all rungs or of each from the top.
        detail: how much of what the model forgets of the pictures is given back near them, 0 to 1;
            see `hiresvae.uses.detail.give_back_between`. Where one rung moves, of the first alone.
        device: None takes what there is.
    """
    ending = out.suffix.lstrip(".").lower()
    if ending not in (*STILL, *FILM):
        raise UserError(f"--out {out}: the ending must be .png, .jpg, .webp, .gif or .mp4")
    if len(keys) < 2:
        raise UserError("interpolate needs two pictures or more, such as: sample:1 sample:2")
    painter = load(model, device=device)
    count = len(painter.model.latent_shapes)
    moving = _rungs(rungs, count)
    inputs = gather(painter, keys, temperature=temperature, each=True)
    tell(inputs.skipped)
    if loop:
        inputs = inputs.closed()
    steps = steps or (9 if ending in STILL else 24)
    remade, own = decode(painter, inputs.codes), inputs.pictures
    runs = []
    for rung in moving:
        legs = interpolate(painter, inputs.codes, steps, way=way, rung=rung)
        if rung is None:
            ends = [slice(i, i + 2) for i in range(len(legs))]
            whole = [
                give_back_between(leg, remade[pair], own[pair], detail)
                for leg, pair in zip(legs, ends, strict=True)
            ]
            runs.append(torch.stack(whole))
        else:  # All else stays the first key's.
            runs.append(give_back(legs, remade[:1, None], own[:1, None], detail))
    words = ["all" if rung is None else f"rung {rung}" for rung in moving]
    side = painter.model.size
    with explained("writing", out):
        if ending in STILL:
            images.save(_strip(runs, words, inputs, scale), out)
        else:
            # What moves apart stands below one another in the same film.
            joined = [
                torch.cat([legs[0], *(leg[1:] for leg in legs[1:])])[: -1 if loop else None]
                for legs in runs
            ]
            film = torch.cat(joined, 2)
            save_movie(film, out, fps=fps, scale=scale or fitting_scale(side, 256))
    print(f"{len(runs) * len(runs[0])} x {steps} pictures from {keys[0]} to {keys[-1]} in {out}")
    return out


def _rungs(words: str, count: int) -> list[int | None]:
    if words == "all":
        return [None]
    if words == "each":
        return [None, *range(count)] if count > 1 else [None]
    if words.isdecimal() and int(words) < count:
        return [int(words)]
    raise UserError(
        f"--rungs {words!r} must be all, each, or a number from 0 (the top) to {count - 1}: "
        f"this model has {count} rung{'s' if count > 1 else ''}"
    )


def _strip(runs: list[Tensor], words: list[str], inputs: Inputs, scale: int | None) -> Tensor:
    """Returns a row a leg; where the keys are real pictures, they stand at its ends."""
    rows: list[list[Tensor | None]] = []
    names = []
    real = any(inputs.real)
    for legs, moved in zip(runs, words, strict=True):
        for i, leg in enumerate(legs):
            ends = [
                inputs.pictures[j] if inputs.real[j] and moved == words[0] else None
                for j in (i, i + 1)
            ]
            rows.append([ends[0], *leg, ends[1]] if real else list(leg))
            names.append(moved)
    steps = len(runs[0][0])
    headings = ["original", *[""] * steps, "original"] if real else []
    return sheet(
        rows,
        headings=headings,
        names=names if len(words) > 1 else (),
        scale=scale,
        gaps=(1, steps + 1) if real else (),
    )
