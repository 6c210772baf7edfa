"""``hiresvae sample``: new pictures, one file each, and a grid."""

from collections.abc import Sequence
from pathlib import Path

from hiresvae import images
from hiresvae.errors import UserError
from hiresvae.generator import PriorName, Which, load
from hiresvae.models.draws import check_temperature
from hiresvae.run import explained

GRID_LIMIT = 256
"""More pictures than this make a grid that nobody can look at."""


def run(
    *,
    model: str,
    n: int,
    out: Path,
    seed: int = 0,
    temperature: float | Sequence[float] = 1.0,
    truncation: float = 1.0,
    prior: PriorName = "fitted",
    label: str | None = None,
    grid: Path | None = None,
    format: str = "png",
    device: str | None = None,
    which: Which = "last",
) -> Path:
    """Draws pictures and returns the path of the grid.

    Pictures of an earlier call stay where they are not drawn anew; a sentence says so.

    Args:
        model: run folder or model folder.
        n: how many pictures.
        out: folder for ``000000.png`` and so on.
        seed: picture i depends on (seed, i) only.
        temperature: scales the spread of the latents, of all rungs or of each from the top.
        truncation: share of the way from the prior's mean at which the top latents stay.
        prior: "fitted" or "standard".
        label: name of the label to draw.
        grid: file of the grid; None is ``OUT_grid.png`` beside ``out``: within, whoever measures
            the folder would count it.
        format: png, jpg or webp.
        device: None takes what there is.
        which: of a run folder the "last" model, or the "best" by held-out pictures.
    """
    from hiresvae.data.progress import bar

    grid = grid or _beside(out)
    if grid.suffix.lstrip(".").lower() not in images.FORMATS:
        raise UserError(f"--grid {grid}: the ending must be .png, .jpg or .webp")
    painter = load(model, device=device, which=which)
    check_temperature(temperature, len(painter.model.latent_shapes))
    side = painter.model.size
    images.check_side(grid, max(images.grid_shape(min(n, GRID_LIMIT), side, side)))
    shown = []
    with explained("writing pictures", out), bar(True) as progress:
        out.mkdir(parents=True, exist_ok=True)
        task = progress.add_task("sampling", total=n)
        number = 0
        for batch in painter.sample_batches(
            n, seed=seed, prior=prior, temperature=temperature, truncation=truncation, label=label
        ):
            for picture in batch:
                images.save(picture, out / f"{number:06d}.{format}")
                if number < GRID_LIMIT:
                    shown.append(picture)
                number += 1
                progress.advance(task)
        import torch

        images.save(images.grid(torch.stack(shown)), grid)
    print(f"{n} pictures in {out}, a grid of {len(shown)} in {grid}")
    if older := _others(out, {grid.name, *(f"{i:06d}.{format}" for i in range(n))}):
        print(
            f"careful: {out} also holds {len(older)} pictures not of this call, such as {older[0]}"
        )
    return grid


def _beside(out: Path) -> Path:
    """Returns the file of the grid beside a folder, also where the folder is ``.`` or ``..``."""
    folder = out if out.name not in ("", "..") else out.resolve()
    return folder.parent / f"{folder.name}_grid.png"


def _others(folder: Path, drawn: set[str]) -> list[str]:
    """Returns the names of the pictures in a folder that are not among those just drawn."""
    endings = {f".{ending}" for ending in (*images.FORMATS, "jpeg")}
    names = (path.name for path in folder.iterdir() if path.suffix.lower() in endings)
    return sorted(set(names) - drawn)
