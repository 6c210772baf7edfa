"""``hiresvae reconstruct``: pictures beside what the model keeps of them."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import torch

from hiresvae import images
from hiresvae.data.reading import reason
from hiresvae.errors import UserError, printable
from hiresvae.generator import load
from hiresvae.metrics.paired import psnr
from hiresvae.run import explained, write_whole
from hiresvae.uses.codes import read

SHOWN = 64
"""Pictures in the sheet that shows originals and reconstructions together."""


def run(*, model: str, paths: list[Path], out: Path, device: str | None = None) -> Path:
    """Writes ``NAME_reconstruction.png`` a picture, a sheet, and ``reconstruct.json``.

    Args:
        model: run folder or model folder.
        paths: pictures, or folders and archives of pictures.
        out: folder of the result.
        device: None takes what there is.

    Returns:
        Path of the JSON file.
    """
    painter = load(model, device=device)
    found = [read(painter, path) for path in paths]
    names = distinct([name for part in found for name in part.names])
    skipped = [entry for part in found for entry in part.skipped]
    if not names:
        raise UserError(
            f"no pictures to reconstruct in {', '.join(map(str, paths))}{reason(skipped)}"
        )
    tell(skipped)
    originals = torch.cat([part.pictures for part in found])
    remade = painter.reconstruct(originals)
    errors = psnr(remade, originals)
    with explained("writing pictures", out):
        out.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, remade, strict=True):
            images.save(picture, out / f"{Path(name).stem}_reconstruction.png")
        pairs = torch.stack([originals, remade], 1).flatten(0, 1)[: 2 * SHOWN]
        images.save(images.grid(pairs, columns=8), out / "sheet.png")
    report = {
        "model": model,
        "unit": "psnr in dB of 8-bit values, higher is better",
        "mean_psnr_db": round(float(errors.mean()), 3),
        "pictures": {
            name: {"psnr_db": round(float(error), 3)}
            for name, error in zip(names, errors, strict=True)
        },
        "skipped": [{"name": name, "reason": words} for name, words in skipped],
    }
    write_whole(out / "reconstruct.json", json.dumps(report, indent=2) + "\n")
    print(f"{len(remade)} pictures, mean PSNR {errors.mean():.2f} dB; sheet in {out / 'sheet.png'}")
    return out / "reconstruct.json"


def tell(skipped: Iterable[tuple[str, str]]) -> None:
    """Prints names and reasons of what could not be used, a line each."""
    for name, words in skipped:
        print(printable(f"skipped {name}: {words}"))


def distinct(names: list[str]) -> list[str]:
    """Returns the names, with a number before the ending wherever a stem came before.

    Example:
        >>> distinct(["cats/1.png", "dogs/1.png"])
        ['cats/1.png', 'dogs/1_2.png']
    """
    taken: set[str] = set()
    found = []
    for name in map(Path, names):
        stems = (name.stem if i == 1 else f"{name.stem}_{i}" for i in itertools.count(1))
        stem = next(stem for stem in stems if stem not in taken)
        taken.add(stem)
        found.append(name.with_stem(stem).as_posix())
    return found
