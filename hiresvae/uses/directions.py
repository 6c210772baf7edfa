"""Which way in latent space an attribute grows.

A *unit* of an attribute is half the way between the two classes' means where it is yes or no, and
one standard deviation where it is a number; a direction moves latents by one unit.
"""

import torch
from torch import Tensor

from hiresvae.errors import UserError

METHODS = ("means", "normal")


def in_units(values: Tensor) -> Tensor:
    """Returns an attribute in units ``(N,)``: -1 and 1 for two values, else of mean 0 and std 1."""
    low, high = values.min(), values.max()
    if ((values == low) | (values == high)).all():
        return (2 * (values == high) - 1).to(values.dtype)
    return (values - values.mean()) / values.std()


def is_binary(values: Tensor) -> bool:
    """Returns whether an attribute has two values or fewer."""
    return bool(((values == values.min()) | (values == values.max())).all())


def varies(values: Tensor) -> bool:
    """Returns whether an attribute differs among pictures by more than rounding."""
    low, high = float(values.min()), float(values.max())
    return high - low > 1e-9 * max(abs(low), abs(high))


def direction(
    latents: Tensor, values: Tensor, others: Tensor | None = None, *, method: str = "means"
) -> Tensor:
    """Returns the step ``(D,)`` by which latents move for one unit more of an attribute.

    ``means``: how latents differ with the attribute while the others stay: the coefficient of the
    least squares fit ``z ~ 1 + values + others``. With yes or no and no others it is half the
    difference of the two class means. It stays among latents that occur.

    ``normal``: the normal of the plane that tells the two classes apart best (logistic
    regression), or of least squares for a number; made orthogonal to the normals of the others.

    Args:
        latents: ``(N, D)``.
        values: the attribute ``(N,)``.
        others: what shall stay, ``(N, A)``.
        method: one of METHODS.

    Raises:
        UserError: the attribute is the same for all, or there is too little to learn from.

    Source: Larsen et al. 2016 (arXiv 1512.09300), section 4.2, for means; Shen et al. 2020
    (InterFaceGAN, arXiv 1907.10786), section 3.2, for normals and their orthogonalisation.
    """
    z, y = latents.double(), in_units(values.double())
    if not varies(values):
        raise UserError(f"the attribute is {float(values[0]):g} for all {len(values)} pictures")
    if is_binary(values) and min(int((y > 0).sum()), int((y < 0).sum())) < 2:
        raise UserError("the attribute needs at least 2 pictures with it and 2 without")
    kept = _usable(others, y)
    if len(z) < 3 + kept.shape[1]:
        raise UserError(f"{len(z)} pictures are too few to keep {kept.shape[1]} other attributes")
    if method == "means":
        return _slopes(z, torch.cat([y[:, None], kept], 1))[0].to(latents)
    normal = _normal(z, y)
    if kept.shape[1]:
        span = torch.stack([_normal(z, kept[:, k]) for k in range(kept.shape[1])], 1)
        basis, _ = torch.linalg.qr(span)
        normal = normal - basis @ (basis.T @ normal)
    normal = normal / normal.norm().clamp_min(1e-12)
    # So long that the position along it changes as with one unit of the attribute.
    step = _slopes((z @ normal)[:, None], y[:, None])[0, 0]
    return (step.abs() * normal).to(latents)


def _usable(others: Tensor | None, y: Tensor) -> Tensor:
    """Returns the others in units, without those that say nothing or the same as ``y``."""
    if others is None:
        return y.new_zeros(len(y), 0)
    columns = [in_units(column) for column in others.double().T if varies(column)]
    columns = [column for column in columns if abs(_correlation(column, y)) < 0.98]
    return torch.stack(columns, 1) if columns else y.new_zeros(len(y), 0)


def _correlation(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([x, y]))[0, 1])


def _slopes(z: Tensor, x: Tensor) -> Tensor:
    """Returns the least squares coefficients ``(A, D)`` of ``z ~ 1 + x``."""
    design = torch.cat([torch.ones(len(x), 1, dtype=x.dtype), x], 1)
    return torch.linalg.lstsq(design, z, driver="gelsd").solution[1:]


def _normal(z: Tensor, y: Tensor) -> Tensor:
    """Returns the unit normal ``(D,)`` of a linear model that tells ``y`` from latents."""
    scale = z.std(0).mean().clamp_min(1e-9)
    scaled = ((z - z.mean(0)) / scale).numpy()
    if is_binary(y):
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=0.1, max_iter=500).fit(scaled, (y > 0).numpy())
        weights = torch.from_numpy(model.coef_[0])
    else:
        weights = ridge(torch.from_numpy(scaled), y[:, None])[0][:, 0]
    return weights / weights.norm().clamp_min(1e-12)


def ridge(z: Tensor, targets: Tensor, penalty: float = 0.01) -> tuple[Tensor, Tensor]:
    """Returns weights ``(D, A)`` and biases ``(A,)`` of ``targets ~ z w + b``, slightly shrunk.

    Args:
        z: ``(N, D)``.
        targets: ``(N, A)``.
        penalty: of the weights' squares, in shares of the latents' mean variance.
    """
    middle, aim = z.mean(0), targets.mean(0)
    centred, wanted = z - middle, (targets - aim) / len(z)
    shrink = penalty * centred.square().mean() + 1e-12
    # The same answer either way; of the two systems the smaller one is solved.
    by_numbers = z.shape[1] <= len(z)
    gram = (centred.T @ centred if by_numbers else centred @ centred.T) / len(z)
    gram.diagonal().add_(shrink)
    if by_numbers:
        weights = torch.linalg.solve(gram, centred.T @ wanted)
    else:
        weights = centred.T @ torch.linalg.solve(gram, wanted)
    return weights, aim - middle @ weights
