"""What cheap tricks on a plain VAE's samples win, figure by figure.

The samples are sharpened or given noise until their Laplacian variance is that of real pictures, or
given noise of exactly the power that they lack at each frequency. All are measured as `hiresvae
evaluate` measures, against one half of the real pictures; the other half is the floor, and the
samples of a model with an adversary are what the tricks must not beat.

Usage:
    python benchmarks/tricks.py runs/monet_vae runs/monet_cvaegan --out tricks.json \
        --sheet tricks.webp
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from asked import refuse_unmeasurable
from command_line import parser_of
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from hiresvae import images
from hiresvae.cli_common import in_words
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.metrics.kernel import kernel_estimate
from hiresvae.metrics.results import Figure
from hiresvae.metrics.sharpness import laplacian_variance
from hiresvae.metrics.textures import standardised, texture_features
from hiresvae.run import write_json
from hiresvae.seeding import generator
from hiresvae.uses.evaluate import feature_network, versions
from hiresvae.uses.groups import (
    RealFeatures,
    feature_groups,
    features_of,
    pixel_groups,
    real_features,
)
from hiresvae.uses.plan import LEAST_PICTURES, Plan, chosen_groups
from hiresvae.uses.verdict import nearest, winner

METRICS = "texture,patches,diversity,distance,coverage"
REAL, PLAIN, RIVAL = "real", "plain VAE", "with adversary"
SHOWN = 8
STEPS = 30

Figures = Mapping[str, Any]


def unsharp(pictures: Tensor, amount: float, sigma: float = 1.0) -> Tensor:
    """Returns uint8 pictures ``(N, C, H, W)`` plus a multiple of what a blur takes from them."""
    x = pictures.float()
    taps = 2 * math.ceil(3 * sigma) + 1
    return as_uint8(x + amount * (x - gaussian_blur(x, taps, sigma)))


def white_noise(pictures: Tensor, levels: float, seed: int = 0) -> Tensor:
    """Returns pictures plus independent normal noise of so many levels of 255."""
    noise = torch.randn(pictures.shape, generator=generator(seed, "tricks", "white"))
    return as_uint8(pictures + levels * noise)


def missing_noise(pictures: Tensor, reals: Tensor, seed: int = 0) -> Tensor:
    """Returns pictures plus normal noise of the power that they lack, at each frequency and colour.

    Noise that is made so has in the mean the very spectrum of real pictures, its colours correlated
    as theirs, wherever the pictures have less power than they. No noise can mend more.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)``.
        seed: of the noise.
    """
    lacking = _cross_power(reals) - _cross_power(pictures)
    power, way = torch.linalg.eigh(lacking)
    root = way * power.clamp(min=0).sqrt()[..., None, :]  # (H, W, C, C)
    noise = torch.randn(pictures.shape, generator=generator(seed, "tricks", "missing"))
    coloured = torch.einsum("hwcd,ndhw->nchw", root, torch.fft.fft2(noise.double()).to(root.dtype))
    return as_uint8(pictures + torch.fft.ifft2(coloured).real)


def _cross_power(pictures: Tensor) -> Tensor:
    """Returns the mean power of each pair of channels at each frequency, complex ``(H, W, C, C)``.

    In squared levels: white noise of variance v has power v. Windowed as the metric's spectrum is.
    """
    c, h, w = pictures.shape[1:]
    window = torch.outer(torch.hann_window(h), torch.hann_window(w)).double()
    total = torch.zeros(h, w, c, c, dtype=torch.complex128)
    for part in pictures.split(64):
        x = part.double()
        found = torch.fft.fft2((x - x.mean((2, 3), keepdim=True)) * window)
        total += torch.einsum("nchw,ndhw->hwcd", found, found.conj())
    return total / (len(pictures) * window.square().sum())


def until_sharp(trick: Callable[[float], Tensor], reals: Tensor) -> tuple[Tensor, float]:
    """Returns what a trick makes of the strength at which the sharpness ratio is 1, and that.

    Args:
        trick: makes uint8 pictures; more strength gives them more Laplacian variance.
        reals: uint8 ``(M, C, H, W)``.

    Raises:
        UserError: no strength below 1000 is enough.
    """
    aim = laplacian_variance(reals).mean()

    def enough(strength: float) -> bool:
        return bool(laplacian_variance(trick(strength)).mean() >= aim)

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
        if high > 1000:
            raise UserError("no strength of this trick reaches the sharpness of the real pictures")
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return trick(high), high


def as_uint8(x: Tensor) -> Tensor:
    """Returns values in 0..255 as whole ones; what lies outside is clipped."""
    return x.round().clamp(0, 255).to(torch.uint8)


def tricked(samples: Tensor, reals: Tensor, seed: int = 0) -> tuple[dict[str, Tensor], Figures]:
    """Returns the tricks' pictures by name, and the strengths that were found.

    Args:
        samples: of a plain VAE, uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)``, which the tricks may look at.
        seed: of noise.
    """
    masked, amount = until_sharp(lambda a: unsharp(samples, a), reals)
    noisy, levels = until_sharp(lambda s: white_noise(samples, s, seed), reals)
    made = {
        "unsharp mask": masked,
        "white noise": noisy,
        "missing noise": missing_noise(samples, reals, seed),
    }
    return made, {"unsharp_amount": round(amount, 3), "white_noise_levels": round(levels, 3)}


def measured(made: Tensor, reals: Tensor, plan: Plan) -> dict[str, Any]:
    """Returns the figures of made pictures beside real ones, named as those of a model's samples.

    Args:
        made: uint8 ``(N, C, H, W)``.
        reals: uint8 ``(M, C, H, W)``.
        plan: what is wanted.
    """
    counts = {"samples": len(made), "reference": len(reals)}
    figures = pixel_groups("samples", made, reals, counts, plan)
    figures.append(textures(made, reals, counts))
    if plan.network is not None:
        known = RealFeatures(real_features(reals, plan.network), None, complete=False)
        found = features_of(made, plan.network)
        figures += feature_groups("fitted", found, known, plan.network, counts, plan)
    return {figure.name: figure.to_json() for figure in figures}


def textures(made: Tensor, reals: Tensor, counts: dict[str, int]) -> Figure:
    """Returns the score by which a training keeps its best model, as a figure."""
    scale = texture_features(reals)
    a, b = (standardised(x, scale).numpy() for x in (texture_features(made), scale))
    found = kernel_estimate(a, b)
    name, unit = "textures_samples", "squared MMD"
    return Figure(name, found.value, unit, "down", found.interval, counts)


def words(every: Mapping[str, Figures]) -> str:
    """Returns a table of all figures: values, who is best, and who is marked as better."""
    head = f"{'figure':30}" + "".join(f"{who:>16}" for who in every)
    lines = [f"{head}  {'best value':16}marked as better"]
    models = {who: figures for who, figures in every.items() if who != REAL}
    for name in every[PLAIN]:
        values = "".join(f"{figures[name]['value']:16.4g}" for figures in every.values())
        found = nearest([figures[name] for figures in models.values()])
        marked = winner(name, list(models.values()))
        first, better = ("-" if i is None else list(models)[i] for i in (found, marked))
        lines.append(f"{name:30}{values}  {first:16}{better}")
    return "\n".join(lines)


def halves(
    painter: PictureModel, reference: Path | None, most: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Returns two halves of the real pictures, uint8 ``(N, C, S, S)``, drawn at random.

    Args:
        painter: decides side, channels and, without a reference, the pictures.
        reference: folder of real pictures, or None.
        most: pictures of a half.
        seed: of the draw.

    Raises:
        UserError: there are too few.
    """
    from hiresvae.data import open_data
    from hiresvae.data.catalogue import as_source

    if reference is None:
        data = painter.data()
    else:
        new = {"source": as_source(reference), "labels": "none", "limit": None, "held_out": 0.0}
        new["channels"] = painter.model.channels
        data = open_data(painter.settings.data.model_copy(update=new))
    order = torch.randperm(len(data.pictures), generator=generator(seed, "tricks", "halves"))
    half = min(len(order) // 2, most)
    if half < LEAST_PICTURES:
        raise UserError(
            f"{len(order)} real pictures are too few: take {2 * LEAST_PICTURES} or more"
        )
    first, second = (order[i * half : (i + 1) * half].sort().values.numpy() for i in (0, 1))
    return tuple(data.middles(rows, painter.model.size) for rows in (first, second))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Returns the arguments of the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("plain", help="run or model folder of a plain VAE")
    parser.add_argument("rival", help="run or model folder of a model with an adversary")
    parser.add_argument("--reference", type=Path, help="folder of real pictures; else the run's")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--reals", type=int, default=2000, help="most real pictures of a half")
    parser.add_argument("--features", default="auto", help="as in hiresvae evaluate")
    parser.add_argument("--metrics", default=METRICS, help="groups, as in hiresvae evaluate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")
    parser.add_argument("--out", type=Path, default=Path("tricks.json"))
    parser.add_argument("--sheet", type=Path, help="picture of some of each, a row each")
    return parser.parse_args(words)


@in_words()
def main(words_given: Sequence[str] | None = None) -> None:
    """Makes the variants, measures them, prints the table and writes it."""
    asked = parse(words_given)
    refuse_unmeasurable(asked.samples, asked.features, asked.metrics)
    painter, rival = (load(name, device=asked.device) for name in (asked.plain, asked.rival))
    if (painter.model.size, painter.model.channels) != (rival.model.size, rival.model.channels):
        raise UserError(f"{asked.plain} and {asked.rival} make pictures of different shapes")
    reals, others = halves(painter, asked.reference, asked.reals, asked.seed)
    samples = painter.sample(asked.samples, seed=asked.seed)
    made, strengths = tricked(samples, reals, asked.seed)
    made = {PLAIN: samples, **made, RIVAL: rival.sample(asked.samples, seed=asked.seed)}
    made[REAL] = others[: asked.samples]
    if asked.sheet is not None:
        shown = torch.cat([pictures[:SHOWN] for pictures in made.values()])
        images.save(images.grid(shown, columns=SHOWN), asked.sheet)
    plan = Plan(chosen_groups(asked.metrics), asked.samples, asked.seed)
    plan.network = feature_network(asked.features, asked.device or "cpu", plan)
    every = {}
    for who, pictures in made.items():
        every[who] = measured(pictures, reals, plan)
    content = {
        "models": {PLAIN: asked.plain, RIVAL: asked.rival},
        "counts": {"samples": asked.samples, "reference": len(reals), REAL: len(made[REAL])},
        "strengths": strengths,
        "seed": asked.seed,
        "notes": plan.notes,
        "versions": versions(),
        "variants": {who: {"figures": figures} for who, figures in every.items()},
    }
    write_json(asked.out, content)
    print(*plan.notes, words(every), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
