"""How much cleaner a denoising model makes held-out pictures than two classics do.

Compares the model (as `hiresvae restore` uses it) with a 3x3 median and with total variation, whose
weight is the best of a few on training pictures. Pictures that were trained on in tiles are
restored whole.

Usage:
    python benchmarks/denoise.py runs/fashion_denoise --out denoise.json --sheet denoise.png
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_line import parser_of
from scipy.ndimage import median_filter
from torch import Tensor

from hiresvae import images
from hiresvae.data import Batches
from hiresvae.data.decode import whole
from hiresvae.data.pictures import find_source
from hiresvae.data.sources import choose
from hiresvae.data.tiles import page_of
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.metrics.paired import psnr
from hiresvae.metrics.results import bootstrap
from hiresvae.run import write_whole
from hiresvae.training.corruption import as_seen, damaged
from hiresvae.uses.restore import restore

WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Of total variation, for pictures in [0, 1]."""
TUNED_ON = 8
"""Training pictures that decide the weight."""
SHOWN = 8
ROUNDS = 100

Pair = tuple[Tensor, Tensor]
"""A clean and a noisy picture, uint8 ``(C, H, W)``."""


def main() -> None:
    """Measures, prints the table and writes it."""
    parser = parser_of(__doc__)
    parser.add_argument("model", help="run folder or model folder of a denoising model")
    parser.add_argument("--out", type=Path, default=Path("denoise.json"))
    parser.add_argument("--sheet", type=Path, help="PNG of some pictures, a row each")
    parser.add_argument("--n", type=int, default=1000, help="most held-out pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")
    chosen = parser.parse_args()
    painter = load(chosen.model, device=chosen.device)
    held_out, training = pairs(painter, chosen.n, chosen.seed)
    weight = best_weight(training)
    made = {name: [f(noisy) for _, noisy in held_out] for name, f in makers(painter, weight)}
    report = {
        "model": chosen.model,
        "corruption": vars(painter.settings.corruption),
        "held_out_pictures": len(held_out),
        "size": sorted({f"{clean.shape[2]}x{clean.shape[1]}" for clean, _ in held_out}),
        "total_variation_weight": weight,
        "seed": chosen.seed,
        "figures": {name: figures(found, held_out) for name, found in made.items()},
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(chosen.out, json.dumps(report, indent=2, allow_nan=False) + "\n")
    for name, row in report["figures"].items():
        low, high = row["psnr_db_interval"]
        decibels = f"{row['psnr_db']:6.2f} dB ({low:.2f} to {high:.2f})"
        print(f"{name:16s} PSNR {decibels}, RMSE {row['rmse']:.4f}")
    if chosen.sheet is not None:
        images.save(sheet(held_out, made), chosen.sheet)


def pairs(painter: PictureModel, count: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Returns held-out pairs, evenly spread over the held-out part, and a few of training.

    Raises:
        UserError: the model was not trained to denoise, or nothing was held out.
    """
    settings, data = painter.settings, painter.data()
    if settings.corruption is None:
        raise UserError("this model was not trained to denoise: it has no section 'corruption'")
    if not len(data.held_out):
        raise UserError("nothing was held out (data.held_out), so nothing can be measured")
    if settings.data.crop == "tiles":
        held = {page_of(data.names[i]) for i in data.held_out}
        used = {page_of(name) for name in data.names}
        found = [(name in held, pair) for name, pair in pages(painter, used, seed)]
        parts = ([pair for inside, pair in found if inside is wanted] for wanted in (True, False))
        unseen, training = parts
        return unseen[:count], training[:TUNED_ON]
    batches = Batches(
        data, size=painter.model.size, mirror=False, crop="center", seed=0, device="cpu"
    )

    def some(indices: np.ndarray, most: int) -> list[Pair]:
        places = np.linspace(0, len(indices) - 1, min(most, len(indices))).round().astype(int)
        rows = indices[places]
        noisy = as_seen(settings.corruption, batches, rows, seed)
        return list(zip(batches.pictures(rows), noisy, strict=True))

    return some(data.held_out, count), some(data.train, TUNED_ON)


def pages(painter: PictureModel, used: set[str], seed: int) -> list[tuple[str, Pair]]:
    """Returns whole pictures of the model's data, of these names, with the names."""
    settings, found = painter.settings, []
    assert settings.corruption is not None
    items = choose(find_source(settings.data, settings.inputs).items(), settings.data.limit)
    for number, item in enumerate(items):
        if item.name not in used:
            continue  # it could not be read in training either
        raw = item.read()
        clean, *rest = (
            torch.from_numpy(whole(one, 1 if painter.model.channels == 1 else 3))
            for one in (raw if isinstance(raw, tuple) else (raw,))
        )
        noisy = rest or damaged(clean[None], settings.corruption, [number], seed)
        found.append((item.name, (clean, noisy[0])))
    return found


def makers(painter: PictureModel, weight: float) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
    """Returns what is compared, by name: each takes and gives uint8 ``(C, H, W)``."""
    answers = 4 if painter.model.settings.stochastic else 1

    def by_model(noisy: Tensor) -> Tensor:
        return images.to_uint8(restore(painter, noisy, answers=answers).picture[None])[0]

    return [
        ("noisy", lambda noisy: noisy),
        ("median_3x3", median),
        ("total_variation", lambda noisy: smooth(noisy, weight)),
        ("model", by_model),
    ]


def median(noisy: Tensor) -> Tensor:
    """Returns the median of 3 x 3 pixels, the border mirrored."""
    return torch.from_numpy(median_filter(noisy.numpy(), size=(1, 3, 3), mode="reflect"))


def smooth(noisy: Tensor, weight: float) -> Tensor:
    """Returns a uint8 picture denoised by total variation."""
    made = total_variation(noisy.float() / 255, weight)
    return made.mul(255).round().clamp(0, 255).to(torch.uint8)


def total_variation(picture: Tensor, weight: float, rounds: int = ROUNDS) -> Tensor:
    """Returns the u that minimises ``TV(u) + |u - picture|^2 / (2 weight)``, channel by channel.

    Args:
        picture: float ``(C, H, W)`` in [0, 1].
        weight: more is smoother.
        rounds: of the fixed point iteration.

    Source: Chambolle 2004, An algorithm for total variation minimization and applications, JMIV
    20, equation 9, with the step of 1/4 that it finds to work.
    """
    dual = picture.new_zeros(2, *picture.shape)
    for _ in range(rounds):
        slope = gradient(divergence(dual) - picture / weight)
        dual = (dual + 0.25 * slope) / (1 + 0.25 * slope.square().sum(0).sqrt())
    return picture - weight * divergence(dual)


def gradient(u: Tensor) -> Tensor:
    """Returns forward differences ``(2, C, H, W)`` of ``(C, H, W)``, 0 at the far border."""
    down, right = torch.zeros_like(u), torch.zeros_like(u)
    down[:, :-1] = u.diff(dim=1)
    right[:, :, :-1] = u.diff(dim=2)
    return torch.stack([down, right])


def divergence(p: Tensor) -> Tensor:
    """Returns ``(C, H, W)``: the negative adjoint of `gradient`."""
    down, right = p[0].clone(), p[1].clone()
    down[:, -1], right[:, :, -1] = 0, 0
    down[:, 1:] -= down[:, :-1].clone()
    right[:, :, 1:] -= right[:, :, :-1].clone()
    return down + right


def best_weight(training: list[Pair]) -> float:
    """Returns the weight of total variation that fits training pictures best."""

    def error(weight: float) -> float:
        return sum(
            (smooth(noisy, weight).float() - clean.float()).square().mean().item()
            for clean, noisy in training
        )

    return min(WEIGHTS, key=error)


def figures(made: list[Tensor], held_out: list[Pair]) -> dict[str, Any]:
    """Returns mean PSNR in dB with its 95 % interval, and the RMSE of all pixels on [0, 1]."""
    both = list(zip(made, (clean for clean, _ in held_out), strict=True))
    values = np.concatenate([psnr(one[None], clean[None]) for one, clean in both])
    squares = sum((one.double() - clean.double()).square().sum().item() for one, clean in both)
    pixels = sum(one.numel() for one in made)
    return {
        "psnr_db": round(float(values.mean()), 3),
        "psnr_db_interval": [
            round(bound, 3) for bound in bootstrap(lambda x: float(x.mean()), values)
        ],
        "rmse": round(float(np.sqrt(squares / pixels)) / 255, 5),
    }


def sheet(held_out: list[Pair], made: dict[str, list[Tensor]]) -> Tensor:
    """Returns some pictures of equal size as one: a row each, as compared, then the clean one."""
    size = held_out[0][0].shape
    most = SHOWN if size[1] <= 128 else 2
    rows = [i for i, (clean, _) in enumerate(held_out) if clean.shape == size][:most]
    cells = [torch.stack([*(found[i] for found in made.values()), held_out[i][0]]) for i in rows]
    return images.grid(torch.cat(cells), columns=len(made) + 1)


if __name__ == "__main__":
    main()
