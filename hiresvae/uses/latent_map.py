"""Figures of a model's latent space: what is used, how it lies, what each number does."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hiresvae.batching import in_batches
from hiresvae.distributions.gaussian import ACTIVE
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel
from hiresvae.models.draws import FromPosterior
from hiresvae.uses.codes import BATCH, Codes, decode

Projection = Literal["pca", "tsne", "umap"]


@dataclass(frozen=True)
class Posteriors:
    """The top rung's posteriors of many pictures.

    Attributes:
        means: ``(N, D)``.
        stds: ``(N, D)``.
        kl: nats per latent, averaged over the pictures ``(D,)``.
        rates: nats per rung, averaged over the pictures ``(L,)``.
    """

    means: Tensor
    stds: Tensor
    kl: Tensor
    rates: Tensor

    @property
    def active(self) -> Tensor:
        """Which latents are active, bool ``(D,)``.

        Source: Burda et al. 2016 (arXiv 1509.00519), section 5.2.
        """
        return self.means.var(0, correction=0) > ACTIVE

    def figures(self) -> dict[str, Any]:
        """Returns how much is used and how the aggregate posterior differs from N(0, I)."""
        variance = self.means.var(0, correction=0) + self.stds.square().mean(0)
        return {
            "pictures": len(self.means),
            "latents": self.means.shape[1],
            "active_units": int(self.active.sum()),
            "rate_nats": round(float(self.rates.sum()), 3),
            "rate_nats_by_rung": [round(float(rate), 3) for rate in self.rates],
            "kl_nats_by_latent": [round(float(kl), 4) for kl in self.kl],
            "aggregate_mean_norm": round(float(self.means.mean(0).norm()), 4),
            "aggregate_std_smallest": round(float(variance.min().sqrt()), 4),
            "aggregate_std_largest": round(float(variance.max().sqrt()), 4),
        }


@torch.inference_mode()
def posteriors(painter: PictureModel, pictures: Tensor, labels: Tensor | None = None) -> Posteriors:
    """Returns the top rung's posteriors of pictures.

    Args:
        painter: the model.
        pictures: uint8 ``(N, C, S, S)``.
        labels: int64 ``(N,)``; a conditional model that is given none guesses.
    """
    model = painter.model

    def found(rows: slice) -> tuple[Tensor, ...]:
        part, chosen = pictures[rows], None
        if painter.conditional:
            given = labels[rows].to(painter.device) if labels is not None else None
            chosen = painter.guess_labels(part) if given is None else given
        walk = model.walk(
            FromPosterior(model.features(painter.check(part), chosen), None), chosen, len(part)
        )
        top = walk.drawn[0].posterior
        assert top is not None
        rates = torch.stack([drawn.rate() for drawn in walk.drawn], 1)
        return (*(x.flatten(1).cpu() for x in (top.mean, top.std, top.kl())), rates.cpu())

    parts = in_batches(slice(0, len(pictures)), painter.at_once(BATCH), found, painter.less_memory)
    means, stds, kl, rates = (torch.cat(column) for column in zip(*parts, strict=True))
    return Posteriors(means, stds, kl.mean(0), rates.mean(0))


def projected(vectors: Tensor, method: Projection, seed: int = 0) -> tuple[np.ndarray, str]:
    """Returns latents ``(N, D)`` in the plane, ``(N, 2)``, and what the axes are.

    Two latents are shown as they are.

    Raises:
        UserError: umap is asked for without the extra, or there are too few pictures.
    """
    z = vectors.double().numpy()
    if z.shape[1] == 2:
        return z, "latent"
    if len(z) < 5:
        raise UserError(f"{len(z)} pictures are too few to draw a map; 5 are needed")
    if z.shape[1] == 1:
        return np.concatenate([z, np.zeros_like(z)], 1), "latent"
    if method == "pca":
        from sklearn.decomposition import PCA

        found = PCA(2, random_state=seed).fit(z)
        share = 100 * found.explained_variance_ratio_.sum()
        return found.transform(z), f"principal component ({share:.0f}% of the variance in both)"
    if method == "tsne":
        from sklearn.manifold import TSNE

        around = min(30.0, (len(z) - 1) / 3)
        return TSNE(2, perplexity=around, init="pca", random_state=seed).fit_transform(z), "t-SNE"
    try:
        import umap
    except ImportError as error:
        raise UserError(
            "umap needs the extra 'umap': pip install 'hiresvae[umap]', or take pca or tsne"
        ) from error
    return np.asarray(umap.UMAP(random_state=seed, n_jobs=1).fit_transform(z)), "UMAP"


def quantiles(count: int) -> Tensor:
    """Returns the middles of ``count`` equally likely parts of N(0, 1) ``(count,)``.

    Example:
        >>> quantiles(3).round(decimals=2).tolist()
        [-0.9700000286102295, 0.0, 0.9700000286102295]
    """
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count).float()


def _still(painter: PictureModel, tops: Tensor, label: int | None) -> Codes:
    """Returns codes with these latents on top ``(N, D)``, the rest at their priors' means."""
    shapes = painter.model.latent_shapes
    tops = tops.to(painter.device)
    lower = [tops.new_zeros(len(tops), *shape) for shape in shapes[1:]]
    labels = None
    if painter.conditional:
        labels = tops.new_zeros(len(tops), painter.model.classes)
        labels[:, label or 0] = 1
    return Codes([tops.view(-1, *shapes[0]), *lower], labels)


def plane(painter: PictureModel, found: Posteriors, side: int, label: int | None = None) -> Tensor:
    """Returns a sheet over two dimensions of the latent space, uint8 ``(side^2, C, S, S)``.

    With two latents over these, by the quantiles of N(0, 1); with more over the first two
    principal components of the aggregate posterior, by the quantiles of a Gaussian of its spread.
    Rows from top to bottom: second dimension from high to low.

    Args:
        painter: the model.
        found: the data's posteriors.
        side: pictures a row.
        label: of a conditional model.
    """
    steps = quantiles(side)
    y, x = torch.meshgrid(-steps, steps, indexing="ij")
    grid = torch.stack([x.flatten(), y.flatten()], 1)
    if found.means.shape[1] == 2:
        return decode(painter, _still(painter, grid, label))
    middle = found.means.mean(0)
    _, spread, axes = torch.linalg.svd(found.means - middle, full_matrices=False)
    scaled = spread[:2] / len(found.means) ** 0.5
    axes = axes[: len(scaled)]
    return decode(painter, _still(painter, middle + (grid[:, : len(axes)] * scaled) @ axes, label))


def traversals(
    painter: PictureModel, found: Posteriors, rows: int, steps: int, label: int | None = None
) -> tuple[Tensor, list[int]]:
    """Returns what single latents do, uint8 ``(rows, steps, C, S, S)``, and which they are.

    The latents with the largest KL, each from -3 to 3 standard deviations of its aggregate
    posterior, the others at their mean.
    """
    order = found.kl.argsort(descending=True)[:rows].tolist()
    middle = found.means.mean(0)
    spread = (found.means.var(0, correction=0) + found.stds.square().mean(0)).sqrt()
    tops = []
    for number in order:
        moved = middle.repeat(steps, 1)
        moved[:, number] += torch.linspace(-3, 3, steps) * spread[number]
        tops.append(moved)
    made = decode(painter, _still(painter, torch.cat(tops), label))
    return made.unflatten(0, (len(order), steps)), order
