"""Distances of a reconstruction to its picture that punish blur: for those who want no adversary.

Each is one value a picture ``(N,)``, unweighted; the training step adds ``weight * mean`` to a loss
in nats per dimension. All are paired: they sharpen what is there and cannot invent texture.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hiresvae.metrics.laplacian import laplacian_pyramid
from hiresvae.settings import TermSettings
from hiresvae.training.perceptual import Lpips, feature_distance, load_features

Distance = Callable[[Tensor, Tensor], Tensor]


def focal_frequency(pictures: Tensor, targets: Tensor, alpha: float = 1.0) -> Tensor:
    """Returns the mean squared difference of spectra ``(N,)``, far frequencies counting more.

    ``mean over u, v, c of w |F(x) - F(y)|^2``, ``w = |F(x) - F(y)|^alpha`` divided by its largest
    value in each channel and taken as a constant; F is the orthonormal Fourier transform.

    Args:
        pictures: ``(N, C, H, W)``; in [-1, 1] the value is four times that of [0, 1].
        targets: the same shape.
        alpha: 0 weighs all alike: by Parseval that is the mean squared error.

    Source: Jiang et al. 2021 (arXiv 2012.12821), equations 6 to 8, without patches.
    """
    spectrum = torch.fft.fft2(pictures.float() - targets.float(), norm="ortho")
    squared = torch.view_as_real(spectrum).square().sum(-1)
    weight = squared.detach() ** (alpha / 2)
    # Equal pictures have no largest difference to divide by, and need none.
    peak = weight.amax((2, 3), keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    return (weight / peak * squared).flatten(1).mean(1)


def laplacian(pictures: Tensor, targets: Tensor, levels: int) -> Tensor:
    """Returns the L1 distance of Laplacian pyramids ``(N,)`` per dimension of a picture.

    ``1/D * sum over j of 2^(2j) * |L_j(x) - L_j(y)|_1`` with j = 0 the finest and the norm a sum.
    A level has 2^(-2j) as many pixels, so each counts by its mean, whatever the side. What is
    below the last level is left to the likelihood.

    Args:
        pictures: ``(N, C, H, W)``.
        targets: the same shape.
        levels: most levels.

    Source: Bojanowski et al. 2018 (GLO, arXiv 1707.05776), section 3.2.
    """
    # The pyramid is linear: that of the difference is the difference of both.
    *bands, _ = laplacian_pyramid(pictures.float() - targets.float(), levels)
    sums = [4**j * band.abs().flatten(1).sum(1) for j, band in enumerate(bands)]
    return torch.stack(sums).sum(0) / pictures[0].numel()


class Sharpening:
    """The distances that the settings ask for, by name.

    Args:
        distances: ``(pictures, targets) -> (N,)`` by name, pictures in [-1, 1].
        weights: by the same names.
    """

    def __init__(self, distances: dict[str, Distance], weights: dict[str, float]) -> None:
        self.distances, self.weights = distances, weights
        self._checked = False

    def __call__(self, pictures: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Returns each distance ``(N,)``, unweighted and in float32.

        Args:
            pictures: ``(N, C, H, W)``; they may reach out of [-1, 1].
            targets: real pictures ``(N, C, H, W)`` in [-1, 1].

        Raises:
            ValueError: the first targets are on another scale, such as [0, 255].
        """
        if not self._checked:  # once: it waits for the device
            if not targets.is_floating_point() or targets.abs().amax() > 1.001:
                raise ValueError("distances are of float pictures in [-1, 1]")
            self._checked = True
        with torch.autocast(pictures.device.type, enabled=False):
            return {
                name: distance(pictures.float(), targets.float())
                for name, distance in self.distances.items()
            }

    def loss(self, distances: dict[str, Tensor]) -> Tensor:
        """Returns the weighted sum of the distances' means over the batch."""
        return torch.stack([self.weights[name] * d.mean() for name, d in distances.items()]).sum()


def make_sharpening(
    settings: TermSettings, device: torch.device | str, side: int
) -> Sharpening | None:
    """Returns what the section ``terms`` asks for, or None if that is nothing.

    Args:
        settings: the section.
        device: where networks run.
        side: of the pictures.

    Raises:
        UserError: a network's weights are nowhere or broken, or it teaches nothing.
    """
    distances: dict[str, Distance] = {}
    weights: dict[str, float] = {}
    if settings.lpips > 0:
        distances["lpips"] = Lpips(settings.lpips_net, device)
        weights["lpips"] = settings.lpips
    if settings.features is not None and settings.features_weight > 0:
        network = load_features(settings.features, device, side)
        distances["features"] = partial(feature_distance, network, settings.features_distance)
        weights["features"] = settings.features_weight
    if settings.focal_frequency > 0:
        distances["focal_frequency"] = partial(focal_frequency, alpha=settings.focal_alpha)
        weights["focal_frequency"] = settings.focal_frequency
    if settings.laplacian > 0:
        distances["laplacian"] = partial(laplacian, levels=settings.laplacian_levels)
        weights["laplacian"] = settings.laplacian
    return Sharpening(distances, weights) if distances else None
