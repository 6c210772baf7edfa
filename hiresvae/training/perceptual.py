"""Distances in the features of pretrained networks, which are frozen and kept in no checkpoint."""

import os
import warnings
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiresvae.errors import UserError
from hiresvae.metrics.features import cache_folder, load_network

# By the name in lpips: torchvision's name, megabytes of its file, the smallest side it can take.
BACKBONES = {
    "alex": ("alexnet", 233, 31),
    "vgg": ("vgg16", 528, 16),
    "squeeze": ("squeezenet1_1", 5, 17),
}


class Lpips:
    """LPIPS 0.1 of the package lpips, with a gradient wherever both pictures have features.

    The package's linear layers and a backbone from :func:`find_backbone`. Smaller pictures than
    the backbone can take are enlarged (bilinear); grey is repeated to three channels.

    Args:
        net: alex, vgg or squeeze.
        device: where it runs.

    Source: Zhang et al. 2018 (arXiv 1801.03924).
    """

    def __init__(self, net: str, device: torch.device | str) -> None:
        self.side = BACKBONES[net][2]
        self.network = load_lpips(net).to(device)

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


def load_lpips(net: str) -> nn.Module:
    """Returns the package's network, frozen, in evaluation mode and on the CPU.

    Raises:
        UserError: the backbone's weights are nowhere, broken or of another network.
    """
    path = find_backbone(net)
    import lpips

    # What is drawn here is overwritten, and must not move the numbers of what is drawn later.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The package calls torchvision as older versions wanted it.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.")
        network: nn.Module = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        # The package cuts torchvision's layers into slices and keeps their numbers.
        backbone: nn.Module = network.net  # type: ignore[assignment]
        found = {
            name: stored[f"features.{name.split('.', 1)[1]}"] for name in backbone.state_dict()
        }
        backbone.load_state_dict(found)
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, UnpicklingError) as error:
        raise UserError(
            f"{path} cannot be read as the weights of LPIPS's {net}: is the file whole?"
        ) from error
    return network.requires_grad_(False).eval()


def find_backbone(net: str) -> Path:
    """Returns the file with torchvision's weights of a backbone.

    Looked for in the folder ``HIRESVAE_WEIGHTS``, in the cache and in torchvision's own cache;
    then torchvision's address is asked.

    Raises:
        UserError: it is nowhere.
    """
    from torchvision.models import get_model_weights

    name, megabytes, _ = BACKBONES[net]
    url: str = get_model_weights(name)["IMAGENET1K_V1"].url
    file = url.rsplit("/", 1)[1]
    cache, own = cache_folder("weights"), Path(torch.hub.get_dir()) / "checkpoints"
    named = os.environ.get("HIRESVAE_WEIGHTS")
    for folder in [*([Path(named).expanduser()] if named else []), cache, own]:
        if (folder / file).is_file():
            return folder / file
    try:
        own.mkdir(parents=True, exist_ok=True)
        # The end of the name is the beginning of the hash.
        digest = Path(file).stem.rsplit("-", 1)[1]
        torch.hub.download_url_to_file(url, str(own / file), digest, progress=False)
    except (OSError, RuntimeError) as error:  # no network, or a file that is not the right one
        raise UserError(
            f"terms.lpips with lpips_net '{net}' needs the file {file} ({megabytes} MB), and its "
            f"download failed ({type(error).__name__}): put it into {cache} or into the folder "
            "named by HIRESVAE_WEIGHTS, or set terms.lpips to 0; terms.focal_frequency, "
            "terms.laplacian and the adversary run without it"
        ) from error
    return own / file


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
