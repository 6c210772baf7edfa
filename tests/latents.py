"""Latents whose distribution is known."""

import torch
from torch import Tensor


def normal(n: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def uniform(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed))


def correlated(n: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Latents ``(n, D)``, their true mean and covariance."""
    root = torch.eye(dim) + 0.5 * normal(dim, dim, 99).tril(-1)
    mean = torch.linspace(-2, 2, dim)
    return mean + normal(n, dim, seed) @ root.T, mean, root @ root.T


def clusters(n: int, dim: int = 6) -> tuple[Tensor, Tensor]:
    """Latents of three clusters ``(n, D)`` and their labels."""
    labels = torch.arange(n) % 3
    return 5 * torch.eye(dim)[labels] + 0.5 * normal(n, dim), labels
