"""Distances in the features of pretrained networks, which are frozen and kept in no checkpoint."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiresvae.errors import UserError
from hiresvae.metrics.features import load_network
from hiresvae.metrics.perceptual import load_module

# The smallest side that each backbone can take.
SIDES = {"alex": 31, "vgg": 16, "squeeze": 17}


class Lpips:
    """LPIPS 0.1 of the package lpips, with a gradient wherever both pictures have features.

    The package's linear layers and a backbone from `load_module`. Smaller pictures than
    the backbone can take are enlarged (bilinear); grey is repeated to three channels.

    Args:
        net: alex, vgg or squeeze.
        device: where it runs.

    Source: Zhang et al. 2018 (arXiv 1801.03924).
    """

    def __init__(self, net: str, device: torch.device | str) -> None:
        self.side = SIDES[net]
        self.network = load_module(net)[0].to(device)

    def __call__(self, pictures: Tensor, targets: Tensor) -> Tensor:
        """Returns the distance ``(N,)`` of pictures ``(N, C, H, W)`` in [-1, 1]."""
        features = self._features(pictures)
        with torch.no_grad():
            expected = self._features(targets)
        layers = zip(self.network.lins, features, expected, strict=True)  # type: ignore[arg-type]
        return torch.stack(
            [lin((one - other).square()).mean((1, 2, 3)) for lin, one, other in layers]
        ).sum(0)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        height, width = pictures.shape[2:]
        if min(height, width) < self.side:
            scale = self.side / min(height, width)
            larger = [max(self.side, round(scale * side)) for side in (height, width)]
            pictures = F.interpolate(pictures, larger, mode="bilinear", align_corners=False)
        scaled = self.network.scaling_layer(pictures.expand(-1, 3, -1, -1))  # type: ignore[operator]
        return [_unit(layer) for layer in self.network.net(scaled)]  # type: ignore[operator]


def _unit(features: Tensor) -> Tensor:
    """Returns features of length 1 at each position, as the package has them.

    The package takes the root of a sum that is 0 where no channel is active, and the gradient
    there is NaN.
    """
    length = features.square().sum(1, keepdim=True).clamp_min(1e-20).sqrt()
    return features / (length + 1e-10)


def load_features(file: str, device: torch.device | str) -> nn.Module:
    """Returns a TorchScript network, frozen and in evaluation mode.

    Raises:
        UserError: there is no such file, or it is no TorchScript.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"terms.features {file!r} does not exist; name a TorchScript file")
    network = load_network(str(path), device).call
    assert isinstance(network, nn.Module), "a file's own network is called as it is"
    for parameter in network.parameters():  # a scripted module has no requires_grad_
        parameter.requires_grad_(False)
    return network


def feature_distance(network: nn.Module, kind: str, pictures: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean distance of features ``(N,)``.

    Args:
        network: float ``(N, 3, H, W)`` in [0, 255] to ``(N, ...)``.
        kind: l1, absolute differences; l2, squared ones.
        pictures: ``(N, C, H, W)`` in [-1, 1]; grey is repeated to three channels.
        targets: the same; constants.
    """

    def features(images: Tensor) -> Tensor:
        found: Tensor = network((images.expand(-1, 3, -1, -1) + 1) * 127.5)
        return found.float().flatten(1)

    with torch.no_grad():
        expected = features(targets)
    difference = features(pictures) - expected
    return (difference.abs() if kind == "l1" else difference.square()).mean(1)
