"""Distances in the features of pretrained networks, which are frozen and kept in no checkpoint."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiresvae.errors import UserError, is_out_of_memory
from hiresvae.metrics.features import FAILURES, fault_of, load_network, reason
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


def load_features(file: str, device: torch.device | str, side: int) -> nn.Module:
    """Returns a TorchScript network, frozen and in evaluation mode.

    Args:
        file: its path.
        device: where it runs.
        side: of the pictures that it will be shown.

    Raises:
        UserError: there is no such file, it is no TorchScript, or what it says of pictures of that
            side teaches nothing: no tensor, not finite, or without a gradient.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"terms.features {file!r} does not exist; name a TorchScript file")
    network = load_network(str(path), device).call
    assert isinstance(network, nn.Module), "a file's own network is called as it is"
    for parameter in network.parameters():  # a scripted module has no requires_grad_
        parameter.requires_grad_(False)
    _try_out(network, file, device, side)
    return network


def _try_out(network: nn.Module, file: str, device: torch.device | str, side: int) -> None:
    """Has a network look at two pictures of noise, and asks for the gradient that it is there for.

    Raises:
        UserError: there is none.
    """
    wanted = (
        f"terms.features {file!r} must map float pictures (N, 3, H, W) in [0, 255], here (2, 3, "
        f"{side}, {side}), to finite float features (N, ...) that have a gradient"
    )
    random = torch.Generator().manual_seed(0)
    pictures = (255 * torch.rand(2, 3, side, side, generator=random)).to(device).requires_grad_()
    try:
        found = network(pictures)
        fault = fault_of(found, len(pictures))
        if not fault and not found.requires_grad:
            fault = "features without a gradient"
        if not fault:
            # Along a random direction: features of a fixed length have no pull along themselves.
            some = torch.rand(found.shape, generator=random).to(found.device)
            pull = torch.autograd.grad((found * some).sum(), pictures, allow_unused=True)[0]
            if pull is None or not pull.isfinite().all() or not pull.any():
                fault = "features whose gradient is nothing, or not finite"
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise UserError(f"{wanted}; it failed: {reason(error)}") from error
    if fault:
        raise UserError(f"{wanted}; it gave {fault}")


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
