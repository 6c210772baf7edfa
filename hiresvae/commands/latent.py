"""``hiresvae latent``: maps of the latent space."""

import json
from pathlib import Path

from torch import Tensor

from hiresvae import images
from hiresvae.generator import load
from hiresvae.run import explained, write_whole
from hiresvae.uses.attributes import of_data
from hiresvae.uses.latent_map import Projection, plane, posteriors, projected, traversals
from hiresvae.uses.sheets import fitting_scale, sheet


def run(
    *,
    model: str,
    out: Path,
    method: Projection = "pca",
    side: int = 15,
    rows: int = 10,
    limit: int = 2000,
    source: str | None = None,
    label: str | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Path:
    """Writes ``sheet.png scatter.png traversals.png posterior.png latent.json``.

    Args:
        model: run folder or model folder.
        out: folder of the result.
        method: pca, tsne or umap, for the scatter.
        side: pictures in a row of the sheet.
        rows: latents in the traversals.
        limit: pictures encoded at most.
        source: whose pictures, as ``data.source``; None: those it was trained on.
        label: label of the pictures of sheet and traversals, for a conditional model; None: the
            first.
        seed: of t-SNE and UMAP.
        device: None takes what there is.

    Returns:
        Path of the JSON file.
    """
    from hiresvae.uses.latent_plots import posterior_against_prior, scatter

    painter = load(model, device=device)
    chosen = None if label is None else painter.label(label)
    examples = of_data(painter, source=source, limit=limit)
    found = posteriors(painter, examples.pictures, examples.labels)
    points, axes = projected(found.means, method, seed)
    names = [name for name in painter.classes if name in examples.columns]
    classes = None
    if names:
        stacked = [examples.columns[name].numpy() for name in names]
        classes = sum(k * column for k, column in enumerate(stacked)).astype(int)  # type: ignore
    size = painter.model.size
    with explained("writing maps", out):
        out.mkdir(parents=True, exist_ok=True)
        scatter(points, classes, names, axes, out / "scatter.png")
        posterior_against_prior(found, out / "posterior.png")
        made = plane(painter, found, side, chosen)
        images.save(images.grid(made, columns=side, gap=0), out / "sheet.png")
        strips, numbers = traversals(painter, found, rows, 9, chosen)
        words = [
            f"{step:+.2g}" if step else "0"
            for step in (-3, -2.25, -1.5, -0.75, 0, 0.75, 1.5, 2.25, 3)
        ]
        shown: list[list[Tensor | None]] = [list(strip) for strip in strips]
        images.save(
            sheet(
                shown,
                headings=words,
                names=[f"latent {number}" for number in numbers],
                scale=fitting_scale(size, 72),
            ),
            out / "traversals.png",
        )
    figures = {"model": model, **found.figures(), "sheet": _sheet_words(found.means.shape[1])}
    write_whole(out / "latent.json", json.dumps(figures, indent=2) + "\n")
    print(
        f"{figures['active_units']} of {figures['latents']} latents active, "
        f"{figures['rate_nats']:.1f} nats a picture; maps in {out}"
    )
    return out / "latent.json"


def _sheet_words(latents: int) -> str:
    if latents == 2:
        return "the two latents by quantiles of N(0, 1)"
    return "first two principal components of the aggregate posterior by Gaussian quantiles"
