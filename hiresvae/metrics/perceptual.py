"""LPIPS: how different a pair of pictures looks, by the package of that name.

Its linear heads come with the package; its backbone is a file. The file is taken from where our
other weights lie, so that no network is needed where it was put before.
"""

import sys
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor, nn

from hiresvae.devices import exact_products
from hiresvae.errors import UserError
from hiresvae.images import to_float
from hiresvae.metrics.chunks import by_chunk
from hiresvae.metrics.features import file_sha256, known_picture
from hiresvae.metrics.weights import at_home, find_weights

# By the name in lpips: the file at torchvision's address, its megabytes.
BACKBONES = {
    "alex": ("alexnet-owt-7be5be79.pth", 233),
    "vgg": ("vgg16-397923af.pth", 528),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", 5),
}
ADDRESS = "https://download.pytorch.org/models"
# Sides of a known picture, and how far it is from its mirror image by the published backbone.
# Of the others no answer is known, and any file of the right shapes is taken.
ANSWERS = {"squeeze": ((256, 0.44789), (64, 0.35104))}
TOLERANCE = 2e-3
# What figures are of.
MEASURED = "squeeze"
# Below this side nothing is left of a picture before the backbone's last layer.
LEAST_SIDE = 20
CHUNK = 32


@dataclass(frozen=True)
class PerceptualNetwork:
    """LPIPS, ready to run.

    Attributes:
        module: two float ``(N, 3, H, W)`` in [-1, 1] to ``(N, 1, 1, 1)``; frozen.
        sha256: of the backbone's file.
        device: where it runs.
    """

    module: nn.Module
    sha256: str
    device: torch.device

    def to_json(self) -> dict[str, str]:
        """Returns what a figure says about its features."""
        return {"name": f"lpips {MEASURED} 0.1", "sha256": self.sha256}


def find_backbone(net: str, *, download: bool = True) -> Path:
    """Returns the file with torchvision's weights of a backbone.

    Looked for in the folder ``HIRESVAE_WEIGHTS``, in the cache and where torch keeps its downloads;
    then it is downloaded from torchvision's address, where lpips has it from, into the cache.

    Args:
        net: alex, vgg or squeeze.
        download: whether the network may be asked.

    Raises:
        UserError: it is nowhere.
    """
    file, megabytes = BACKBONES[net]
    return find_weights(
        file,
        f"LPIPS by {net} needs the file {file} ({megabytes} MB)",
        "or leave LPIPS out; PSNR, SSIM, terms.laplacian and terms.focal_frequency run without it",
        also=[Path(torch.hub.get_dir()) / "checkpoints" / file],
        fetch=partial(_download, file) if download else None,
    )


def load_module(net: str) -> tuple[nn.Module, Path]:
    """Returns the package's network, frozen, in evaluation mode and on the CPU, and its file.

    Raises:
        UserError: the backbone's weights are nowhere, broken or of another network, or they answer
            a known picture otherwise than the published ones.
    """
    path = find_backbone(net)
    import lpips

    # What is drawn here is overwritten, and must not move the numbers of what is drawn later.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The package calls torchvision as older versions wanted it.
        warnings.simplefilter("ignore")
        network: nn.Module = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        # The package cuts torchvision's layers into slices and keeps their numbers.
        backbone: nn.Module = network.net  # type: ignore[assignment]
        found = {
            name: stored[f"features.{name.split('.', 1)[1]}"] for name in backbone.state_dict()
        }
        backbone.load_state_dict(found)
    except (
        RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError, UnpicklingError,
    ) as error:  # fmt: skip
        raise UserError(
            f"{path} cannot be read as the weights of LPIPS's {net}: is the file whole?"
        ) from error
    network.requires_grad_(False).eval()
    if not answers_as_lpips(network, net):
        raise UserError(
            f"{at_home(path)} holds other weights than LPIPS's {net} is defined on: it answers a "
            f"known picture otherwise; put torchvision's {ADDRESS}/{path.name} in its place"
        )
    return network, path


def answers_as_lpips(network: nn.Module, net: str) -> bool:
    """Returns whether a network has LPIPS's distances, by a known picture and its mirror image.

    Random weights of the right shapes have distances, too, that nobody could tell from true ones.

    Args:
        network: two float ``(1, 3, H, W)`` in [-1, 1] to their distance; on the CPU.
        net: its backbone; one without a known answer is believed.
    """
    with torch.inference_mode():
        for side, answer in ANSWERS.get(net, ()):
            picture = known_picture(side) / 127.5 - 1
            # Not a number is not near, either.
            if not abs(float(network(picture, picture.flip(3))) - answer) < TOLERANCE:
                return False
    return True


def load_lpips(device: torch.device | str = "cpu") -> PerceptualNetwork:
    """Returns LPIPS of the kind that is measured.

    Raises:
        UserError: as `load_module` does.
    """
    module, path = load_module(MEASURED)
    device = torch.device(device)
    return PerceptualNetwork(module.to(device), file_sha256(path), device)


def lpips_distance(pictures: Tensor, originals: Tensor, network: PerceptualNetwork) -> np.ndarray:
    """Returns the perceptual distance ``(N,)`` of each pair, 0 for copies.

    Args:
        pictures: uint8 ``(N, C, H, W)``, at least 20 pixels a side; grey becomes three channels.
        originals: uint8, the same shape.
        network: from `load_lpips`.

    Raises:
        TypeError: the pictures are not uint8, so that no range can be mistaken for another.
        ValueError: the shapes differ, or the pictures are too small.

    Source: Zhang et al. 2018, arXiv 1801.03924.
    """
    if pictures.shape != originals.shape:
        shapes = f"{tuple(pictures.shape)} and {tuple(originals.shape)}"
        raise ValueError(f"pairs need equal shapes, got {shapes}")
    if min(pictures.shape[-2:]) < LEAST_SIDE:
        raise ValueError(f"LPIPS needs pictures of {LEAST_SIDE} pixels or more")

    def of(*pair: Tensor) -> Tensor:
        a, b = (to_float(x).expand(-1, 3, -1, -1).to(network.device) for x in pair)
        distances: Tensor = network.module(a, b)
        return distances.reshape(-1).double()

    with torch.inference_mode(), exact_products():
        return by_chunk(of, pictures, originals, size=CHUNK)


def _download(file: str, folder: Path) -> None:
    torch.hub.load_state_dict_from_url(
        f"{ADDRESS}/{file}",
        model_dir=str(folder),
        check_hash=True,
        progress=sys.stderr.isatty(),
        weights_only=True,
    )
