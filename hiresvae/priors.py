"""Densities fitted to the aggregate posterior of the top rungs, from which samples come.

The decoder only ever saw latents of training pictures, and their average over the training set is
not N(0, I). `fit` describes it after training; during training
`hiresvae.training.running_prior.RunningGaussian` follows it.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hiresvae.distributions.gaussian import LOG_2PI
from hiresvae.errors import UserError, nearest

KINDS = ("auto", "gaussian", "mixture", "standard")
SHRINKAGES = (0.0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
COUNTS = (2, 3, 5, 10, 20, 50, 100)
RIDGE = 1e-6  # added to variances, for latents that never move


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
        labels: Tensor | None = None,
    ) -> Tensor:
        """Returns latents ``(n, D)``: a component's mean plus its scaled noise.

        Args:
            noise: standard normal numbers ``(n, D)``; scaled, they narrow each component, and 0
                gives its mean.
            choice: uniform numbers in [0, 1) ``(n,)`` that pick the component.
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
        return (self.means.double()[component] + spread).float().to(noise.device)

    def complete(
        self,
        known: Tensor,
        noise: Tensor,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Returns the rest of latents of which the first numbers are known, drawn to fit them.

        Args:
            known: ``(n, d)``.
            noise: standard normal numbers ``(n, D - d)``; scaled, they narrow what is left open.
            labels: int64 ``(n,)`` of the components, if the kind is classes; else each row's is the
                one under which the known numbers are likeliest.
        """
        first = known.shape[1]
        head = Density(
            self.kind, self.log_weights, self.means[:, :first], self.scale_tril[:, :first, :first]
        )
        given, draws = known.cpu().double(), noise.cpu().double()
        if self.kind == "classes" and labels is not None:
            component = labels.cpu()
        else:
            component = head.log_probs(known).argmax(0).cpu()
        rest = torch.empty_like(draws)
        for m in torch.unique(component).tolist():
            rows, mean = component == m, self.means[m].double()
            root = self.scale_tril[min(m, len(self.scale_tril) - 1)].double()
            off = (given[rows] - mean[:first]).T
            white = torch.linalg.solve_triangular(root[:first, :first], off, upper=False)
            spread = draws[rows] @ root[first:, first:].T
            rest[rows] = mean[first:] + white.T @ root[first:, :first].T + spread
        return rest.float().to(noise.device)

    def center(self, count: int, labels: Tensor | None = None) -> Tensor:
        """Returns the mean of the density ``(count, D)``; that of its class where rows have one."""
        means = self.means.double()
        if self.kind == "classes" and labels is not None:
            return means[labels.cpu()].float()
        shares = self.log_weights.double().softmax(0)
        return (shares @ means).float().expand(count, -1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log density of latents ``(n, D)`` in nats ``(n,)``, over all components."""
        return self.log_probs(z).logsumexp(0).float().to(z.device)

    def log_probs(self, z: Tensor) -> Tensor:
        """Returns each component's log density, weight and all, float64 ``(M, n)`` on the CPU."""
        points, tril = z.cpu().double(), self.scale_tril.double()
        terms = []
        for m, (weight, mean) in enumerate(
            zip(self.log_weights.double(), self.means.double(), strict=True)
        ):
            root = tril[min(m, len(tril) - 1)]
            white = torch.linalg.solve_triangular(root, (points - mean).T, upper=False)
            norm = root.diagonal().log().sum() + 0.5 * LOG_2PI * len(mean)
            terms.append(weight - norm - 0.5 * white.square().sum(0))
        return torch.stack(terms)

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
