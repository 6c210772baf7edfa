"""Densities fitted to the aggregate posterior of the top rung, from which samples come.

The decoder only ever saw latents of training pictures, and their average over the training set is
not N(0, I). `fit` describes it after training; `RunningGaussian` follows it during training, so
that a critic can see pictures from where samples will be drawn.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hiresvae.devices import exact_products
from hiresvae.distributions.gaussian import LOG_2PI
from hiresvae.errors import UserError, nearest

KINDS = ("auto", "gaussian", "mixture", "standard")
SHRINKAGES = (0.0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
COUNTS = (2, 3, 5, 10, 20, 50, 100)
RIDGE = 1e-6  # added to variances, for latents that never move
MOST_NUMBERS = 1 << 22  # in the running covariances of all classes; beyond, they share one
ROUNDED = 1e-5  # of a second moment: what is left of it in float32 where nothing varies


@dataclass
class Density:
    """A mixture of full-covariance Gaussians over ``(n, D)``; a single Gaussian has M = 1.

    Computed in float64 on the CPU and returned in float32 on the device of the input, so that row i
    of a sample depends on row i of its noise alone, whatever the number of rows.

    Attributes:
        kind: standard, gaussian, mixture, or classes (component k is class k).
        log_weights: natural logs of the components' weights ``(M,)``.
        means: ``(M, D)``.
        scale_tril: lower triangular square roots of the covariances ``(M, D, D)``, or
            ``(1, D, D)`` where all components share one.
    """

    kind: str
    log_weights: Tensor
    means: Tensor
    scale_tril: Tensor

    def sample(
        self,
        noise: Tensor,
        choice: Tensor,
        temperature: float = 1.0,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Returns latents ``(n, D)``: a component's mean plus its scaled noise.

        Args:
            noise: standard normal numbers ``(n, D)``.
            choice: uniform numbers in [0, 1) ``(n,)`` that pick the component.
            temperature: scales the spread of each component; 0 gives its mean.
            labels: int64 ``(n,)``; takes the place of ``choice`` if the kind is classes, and is
                ignored otherwise.
        """
        if self.kind == "classes" and labels is not None:
            component = labels.cpu()
        else:
            edges = self.log_weights.double().exp().cumsum(0)
            component = torch.searchsorted(edges, choice.cpu().double(), right=True)
            component = component.clamp_max(len(edges) - 1)  # weights may add up to 1 - 1e-8
        tril, draws = self.scale_tril.double(), noise.cpu().double()
        spread = torch.empty_like(draws)
        for m in torch.unique(component).tolist():
            rows = component == m
            spread[rows] = draws[rows] @ tril[min(m, len(tril) - 1)].T
        return (self.means.double()[component] + temperature * spread).float().to(noise.device)

    def center(self, count: int, labels: Tensor | None = None) -> Tensor:
        """Returns the mean of the density ``(count, D)``; that of its class where rows have one."""
        means = self.means.double()
        if self.kind == "classes" and labels is not None:
            return means[labels.cpu()].float()
        shares = self.log_weights.double().softmax(0)
        return (shares @ means).float().expand(count, -1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log density of latents ``(n, D)`` in nats ``(n,)``, over all components."""
        points, tril = z.cpu().double(), self.scale_tril.double()
        terms = []
        for m, (weight, mean) in enumerate(
            zip(self.log_weights.double(), self.means.double(), strict=True)
        ):
            root = tril[min(m, len(tril) - 1)]
            white = torch.linalg.solve_triangular(root, (points - mean).T, upper=False)
            norm = root.diagonal().log().sum() + 0.5 * LOG_2PI * len(mean)
            terms.append(weight - norm - 0.5 * white.square().sum(0))
        return torch.stack(terms).logsumexp(0).float().to(z.device)

    def tensors(self) -> dict[str, Tensor]:
        """Returns all of it as a flat dict of tensors for a safetensors file."""
        return {
            "kind": torch.tensor(list(self.kind.encode()), dtype=torch.uint8),
            "log_weights": self.log_weights.contiguous(),
            "means": self.means.contiguous(),
            "scale_tril": self.scale_tril.contiguous(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Returns the density whose `tensors` these are.

        Raises:
            ValueError, LookupError, TypeError: they are none's, or do not fit one another.
        """
        fields = dict(tensors)
        found = cls(kind=bytes(fields.pop("kind").tolist()).decode(), **fields)
        if found.kind not in ("standard", "gaussian", "mixture", "classes"):
            raise ValueError(f"a prior of the kind {found.kind!r} is not known")
        if found.means.ndim != 2 or not len(found.means):
            raise ValueError(f"a prior's means of shape {tuple(found.means.shape)}")
        count, dim = found.means.shape
        roots = {(1, dim, dim), (count, dim, dim)}
        if tuple(found.log_weights.shape) != (count,) or tuple(found.scale_tril.shape) not in roots:
            raise ValueError(f"a prior's weights or covariances do not fit its {count} means")
        return found


def fit(
    latents: Tensor,
    held_out: Tensor,
    *,
    kind: str = "auto",
    components: int = 10,
    seed: int = 0,
    labels: Tensor | None = None,
    num_classes: int = 0,
) -> Density:
    """Returns a density of the latents, its freedom chosen by the likelihood of held-out ones.

    Covariances are shrunk, ``(1 - a) S + a diag(S)``, and those of components towards the shared
    one, with the a that explains the held-out latents best; so a thousand latents of 128 numbers
    still give a well-conditioned fit. More components must gain more than a standard error.

    Args:
        latents: draws of the posterior (mean plus noise: of means alone the spread would be too
            small) ``(N, D)``.
        held_out: the same of pictures not trained on ``(N', D)``; empty: a fifth of ``latents``
            takes their place.
        kind: auto (gaussian or mixture), gaussian, mixture, or standard: N(0, I).
        components: most components of a mixture.
        seed: of the mixture's first guess.
        labels: int64 classes of ``latents`` ``(N,)``; the density then has a component a class,
            whatever the kind, unless that is standard.
        num_classes: K; classes without pictures get the Gaussian of all.

    Raises:
        UserError: unknown kind, or no latents at all.

    Source: Ghosh et al. 2020 (RAE, arXiv 1903.12436), section 4, for the mixture after training.
    """
    if kind not in KINDS:
        raise UserError(f"prior.kind {kind!r} is not known; {nearest(kind, KINDS)}")
    dim = latents.shape[1]
    if kind == "standard":
        return Density("standard", torch.zeros(1), torch.zeros(1, dim), torch.eye(dim)[None])
    if len(latents) == 0:
        raise UserError("prior needs latents to fit but got 0; the nearest valid is 'standard'")
    z, held = latents.detach().cpu().double(), held_out.detach().cpu().double()
    groups = None if labels is None else _class_shares(labels.cpu(), num_classes)
    if len(held) == 0 and len(z) >= 5:
        order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
        held, rest = z[order[: len(z) // 5]], order[len(z) // 5 :]
        z, groups = z[rest], None if groups is None else groups[rest]
    elif len(held) == 0:
        held = z
    if groups is not None:
        return _shrunk("classes", z, groups, held)
    single = _shrunk("gaussian", z, torch.ones(len(z), 1, dtype=z.dtype), held)
    if kind == "gaussian" or len(z) < 4 or components < 2:
        return single
    mixture = _best_mixture(z, held, components, seed)
    if kind == "mixture":
        return mixture
    return mixture if _clearly_likelier(mixture, single, held) else single


def _best_mixture(z: Tensor, held_out: Tensor, components: int, seed: int) -> Density:
    """Returns the mixture with the best number of components, trying more while that helps."""
    best = None
    for count in sorted({*COUNTS, components}):
        if count > min(components, len(z) // 2):
            break
        density = _shrunk("mixture", z, _memberships(z, count, seed), held_out)
        if best is not None and not _clearly_likelier(density, best, held_out):
            break
        best = density
    assert best is not None  # the caller sees to it that two components are allowed
    return best


def _clearly_likelier(freer: Density, simpler: Density, held_out: Tensor) -> bool:
    """Returns whether the gain per held-out latent exceeds its own standard error."""
    gain = freer.log_prob(held_out) - simpler.log_prob(held_out)
    return bool(gain.mean() > gain.std(correction=0) / len(gain) ** 0.5)


def _memberships(z: Tensor, count: int, seed: int) -> Tensor:
    """Returns the share ``(N, M)`` that each component of a mixture has in each latent."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    scaled = ((z - z.mean(0)) / (z.std(0, correction=0) + RIDGE)).numpy()
    # A covariance of its own for each component needs many latents; below that EM shares one.
    shape = "full" if len(z) >= 10 * count * z.shape[1] else "tied"
    model = GaussianMixture(count, covariance_type=shape, reg_covar=1e-4, random_state=seed)
    with warnings.catch_warnings():
        # A fit that would still improve a little, or fewer distinct latents than components.
        warnings.simplefilter("ignore", ConvergenceWarning)
        shares = torch.from_numpy(model.fit(scaled).predict_proba(scaled)).to(z)
    return shares[:, shares.sum(0) >= 1]


def _class_shares(labels: Tensor, num_classes: int) -> Tensor:
    """Returns the share ``(N, K)`` of each class in each latent.

    Each class also owns one picture's worth of all: a class with few pictures leans on the whole.
    """
    return one_hot(labels.long(), num_classes).double() + 1 / len(labels)


def _shrunk(kind: str, z: Tensor, shares: Tensor, held_out: Tensor) -> Density:
    """Returns the components with those shares of the latents, shrunk as ``held_out`` likes best.

    First the covariance within components towards its diagonal, then each component's own towards
    that; the last step is left out where it does not help.
    """
    sizes = shares.sum(0)
    weights = sizes / sizes.sum()
    means = (shares.T @ z) / sizes[:, None]
    covariances = torch.stack([_covariance(z - m, s) for m, s in zip(means, shares.T, strict=True)])
    shared = (weights[:, None, None] * covariances).sum(0)

    def density(covariance: Tensor) -> Density:
        root = torch.linalg.cholesky(covariance)
        return Density(kind, weights.log().float(), means.float(), root.float())

    def pulled(source: Tensor, target: Tensor) -> Callable[[float], Tensor]:
        return lambda a: (1 - a) * source + a * target

    diagonal = pulled(shared, shared.diagonal().diag())
    shrinkage, best = _most_likely(SHRINKAGES, lambda a: density(diagonal(a)[None]), held_out)
    if len(means) == 1:
        return best
    own = pulled(covariances, diagonal(shrinkage))
    _, freer = _most_likely(SHRINKAGES[:-1], lambda a: density(own(a)), held_out)
    better = freer.log_prob(held_out).mean() > best.log_prob(held_out).mean()
    return freer if better else best


def _covariance(centred: Tensor, shares: Tensor) -> Tensor:
    """Returns the covariance ``(D, D)`` of centred latents ``(N, D)`` with weights ``(N,)``."""
    covariance = (centred * shares[:, None]).T @ centred / shares.sum()
    return covariance + RIDGE * torch.eye(centred.shape[1], dtype=centred.dtype)


def _most_likely(
    shrinkages: Iterable[float], density: Callable[[float], Density], held_out: Tensor
) -> tuple[float, Density]:
    """Returns the shrinkage, and its density, under which the held-out latents are likeliest."""
    candidates = [(a, density(a)) for a in shrinkages]
    return max(candidates, key=lambda pair: pair[1].log_prob(held_out).mean().item())


class RunningGaussian(nn.Module):
    """A Gaussian that follows the aggregate posterior during training; one for each class if K > 1.

    Keeps sums of z, z z^T and counts that fade with a half-life in images. Their ratios need no
    bias correction. A class with few latents leans on the covariance of all. All state is in
    buffers; nothing synchronises with the device.

    Args:
        dim: D.
        half_life: images after which an observation counts half.
        num_classes: K; above `MOST_NUMBERS` in all they share one covariance.
        refresh: observations between new square roots of the covariances.
    """

    num_observed: Tensor
    z_sum: Tensor
    outer_sum: Tensor
    count: Tensor
    means: Tensor
    scale_tril: Tensor

    def __init__(
        self, dim: int, half_life: float, *, num_classes: int = 1, refresh: int = 8
    ) -> None:
        super().__init__()
        self.half_life, self.refresh, self._observed = half_life, refresh, 0
        self.register_buffer("num_observed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("z_sum", torch.zeros(num_classes, dim))
        covariances = num_classes if num_classes * dim**2 <= MOST_NUMBERS else 1
        self.register_buffer("outer_sum", torch.zeros(covariances, dim, dim))
        self.register_buffer("count", torch.zeros(num_classes))
        self.register_buffer("means", torch.zeros(num_classes, dim))
        self.register_buffer("scale_tril", torch.eye(dim).repeat(covariances, 1, 1))
        self.register_load_state_dict_pre_hook(_each_its_own)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_read_clock)  # type: ignore[no-untyped-call]

    def sums(self, z: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns what `observe` takes, of these latents; add the sums of all processes up.

        Args:
            z: latents ``(N, D)``.
            labels: int64 ``(N,)``; needed if K > 1.

        Returns:
            Sum of z ``(K, D)``, sums of z z^T ``(K or 1, D, D)``, number of latents ``(K,)``.
        """
        z = z.detach().float()
        if labels is None:
            labels = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        members = one_hot(labels, len(self.count)).float()
        # What is left of the sums when the means are subtracted is small: no digit may be lost.
        with torch.autocast(z.device.type, enabled=False), exact_products():
            weights = members if len(self.outer_sum) > 1 else torch.ones_like(members[:, :1])
            outer = (weights.T[:, :, None] * z).mT @ z
            return members.T @ z, outer, members.sum(0)

    @torch.no_grad()
    def observe(self, z_sum: Tensor, outer_sum: Tensor, count: Tensor, images: int) -> None:
        """Takes in one step's global `sums`; sums that are not finite change nothing.

        Args:
            z_sum: ``(K, D)``.
            outer_sum: ``(K or 1, D, D)``.
            count: ``(K,)``.
            images: pictures in the step, over all processes.
        """
        # No product of two numbers is larger than the larger of their squares.
        squares = outer_sum.diagonal(dim1=1, dim2=2)
        usable = torch.isfinite(z_sum).all() & torch.isfinite(squares).all()
        fade = torch.where(usable, 0.5 ** (images / self.half_life), 1.0)
        for total, new in ((self.z_sum, z_sum), (self.outer_sum, outer_sum), (self.count, count)):
            total.mul_(fade).add_(torch.where(usable, new, 0.0))
        if self._observed % self.refresh == 0:
            self._refresh()
        self._observed += 1
        self.num_observed += 1

    def _refresh(self) -> None:
        """Works out means and the square roots of the covariances from the sums."""
        total = self.count.sum().clamp_min(1e-9)
        overall = self.z_sum.sum(0) / total
        # One picture's worth of the overall mean: for classes not seen yet.
        self.means.copy_((self.z_sum + overall) / (self.count[:, None] + 1))
        own = self.z_sum / self.count.clamp_min(1e-9)[:, None]
        with torch.autocast(self.z_sum.device.type, enabled=False), exact_products():
            moments = self.outer_sum.sum(0)
            pooled = (moments - self.z_sum.T @ own) / total
        variance = pooled.diagonal().clamp_min(0) + RIDGE
        # As many latents as numbers in one: half diagonal. The more latents, the less.
        dim = len(variance)
        shrinkage = (dim / (dim + total)).clamp_min(0.01)
        covariance = torch.lerp(pooled, variance.diag(), shrinkage)[None]
        if len(self.outer_sum) > 1:
            # Likewise a class: as many latents as numbers in one, half its own.
            # In place: with many classes these are the largest tensors of a small model's step.
            count = self.count[:, None, None]
            scatter = (self.z_sum[:, :, None] * own[:, None]).neg_().add_(self.outer_sum)
            each = scatter.div_(count.clamp_min(1e-9))
            covariance = each.lerp_(covariance, dim / (dim + count))
        # A difference of large sums has no root where next to nothing varies.
        least = moments.diagonal() / total * ROUNDED + RIDGE
        varied = covariance.diagonal(dim1=1, dim2=2)
        varied.copy_(torch.maximum(varied, least))
        # The _ex variant reports failure on the device; the last good root then stays.
        root, failed = torch.linalg.cholesky_ex(covariance)
        usable = (failed == 0) & (self.count.sum() > 0)
        self.scale_tril.copy_(torch.where(usable[:, None, None], root, self.scale_tril))

    def sample(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns latents ``(n, D)`` made of standard normal noise ``(n, D)``.

        Args:
            noise: passed through unchanged before the first observation.
            labels: int64 ``(n,)``; needed if K > 1.
        """
        mean = self.means[0] if labels is None else self.means[labels]
        with torch.autocast(noise.device.type, enabled=False):
            spread = noise.float() @ self.scale_tril.mT
        if labels is None or len(spread) == 1:
            return mean + spread[0]
        return mean + spread[labels, torch.arange(len(noise), device=labels.device)]


def _each_its_own(
    module: RunningGaussian, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Before loading, a state of version 0.1, whose classes share one covariance, is that of each.

    Sums are parted such that each class has the covariance within classes, and all have the sum.
    """
    names = [prefix + name for name in ("outer_sum", "scale_tril", "z_sum", "count")]
    if any(name not in state for name in names) or state[names[0]].ndim != 2:
        return
    outer, root, z_sum, count = (state[name] for name in names)
    own = z_sum / count.clamp_min(1e-9)[:, None]
    if len(module.outer_sum) == len(count) > 1:
        within = (outer - z_sum.T @ own) / count.sum().clamp_min(1e-9)
        outer = count[:, None, None] * within + z_sum[:, :, None] * own[:, None]
    state[names[0]] = outer.expand_as(module.outer_sum)
    state[names[1]] = root.expand_as(module.scale_tril)


def _read_clock(module: RunningGaussian, _: object) -> None:
    """After loading, the count that decides on refreshing is that of the saved state."""
    module._observed = int(module.num_observed)
