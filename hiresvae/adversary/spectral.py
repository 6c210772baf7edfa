"""Spectral norm: no layer of the critic may enlarge what it is shown.

Miyato et al. 2018 (arXiv 1802.05957) divide each weight by its largest singular value; here only
the part above 1 is divided off (as Gouk et al. 2018, arXiv 1804.04368, do), because a residual
block's last layer starts at zero, which has no direction to be scaled along.

The singular vectors are followed by one power iteration a step, after the optimiser's, and not in
the forward as torch's own does: so real and made pictures are judged by the very same weights, and
so are all parts of a batch on all processes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

FIRST_ITERATIONS = 20


class Bounded(nn.Module):
    """``W / max(1, s)`` with s the largest singular value of W as a matrix ``(rows, columns)``.

    A convolution is taken as the matrix ``(c_out, c_in * k * k)``; its true slope is at most k
    times that matrix's (each pixel is in k * k windows).
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("v", normalize(torch.randn(matrix.shape[1]), dim=0))
        for _ in range(FIRST_ITERATIONS):
            self.follow(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weight, scaled down where it would enlarge."""
        return weight / self.norm(weight).clamp_min(1.0)

    def norm(self, weight: Tensor) -> Tensor:
        """Returns the largest singular value ``()`` along the vectors that are followed."""
        # Copies: wrapped for several processes, a forward writes buffers that backward still needs.
        u, v = self.u.clone(), self.v.clone()
        with torch.autocast(weight.device.type, enabled=False):
            return u @ (weight.flatten(1) @ v)

    @torch.no_grad()
    def follow(self, weight: Tensor, skip: Tensor | None = None) -> None:
        """Does one power iteration; a weight of zeros, which has no direction, changes nothing.

        Args:
            weight: has moved.
            skip: bool ``()``, whether the step was skipped, so that nothing is to change.
        """
        matrix = weight.detach().flatten(1)
        for own, other, side in ((self.v, self.u, matrix.T), (self.u, self.v, matrix)):
            new = side @ other
            norm = new.norm()
            moved = norm > 0 if skip is None else (norm > 0) & ~skip
            own.copy_(torch.where(moved, new / norm.clamp_min(1e-30), own))


def bound(module: nn.Module) -> None:
    """Bounds the weight of every convolution, linear layer and table in a module."""
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Bounded(layer.weight))


def follow(module: nn.Module, skip: Tensor | None = None) -> None:
    """Follows the weights of a module's bounded layers, after they moved, unless the step did not.

    Args:
        module: of a network.
        skip: bool ``()``, whether the step was skipped.
    """
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            weight = layer.parametrizations.weight  # type: ignore[union-attr]
            weight[0].follow(weight.original, skip)  # type: ignore[index,union-attr]
