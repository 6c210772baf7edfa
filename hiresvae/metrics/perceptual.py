"""LPIPS: how different a pair of pictures looks, by the package of that name.

Its linear heads come with the package; its backbone, SqueezeNet 1.1, is a file. The file is taken
from where our other weights lie, so that measuring needs no network where it was put before.
"""

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hiresvae.errors import UserError
from hiresvae.images import to_float
from hiresvae.metrics.cache import cache_folder
from hiresvae.metrics.features import file_sha256

BACKBONE = "squeezenet1_1-b8a52dc0.pth"
URL = f"https://download.pytorch.org/models/{BACKBONE}"
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
        return {"name": "lpips squeeze 0.1", "sha256": self.sha256}


def find_backbone(*, download: bool = True) -> Path:
    """Returns the file with the backbone's weights.

    Looked for in the folder ``HIRESVAE_WEIGHTS``, in the cache and where torch keeps its downloads;
    then it is downloaded from torchvision's address, where lpips has it from, into the cache.

    Args:
        download: whether the network may be asked.

    Raises:
        UserError: it is nowhere.
    """
    cache = cache_folder("weights")
    named = os.environ.get("HIRESVAE_WEIGHTS")
    folders = [Path(named).expanduser(), cache] if named else [cache]
    for folder in [*folders, Path(torch.hub.get_dir()) / "checkpoints"]:
        if (folder / BACKBONE).is_file():
            return folder / BACKBONE
    reason = "it was not found"
    if download:
        try:
            _download(cache)
            return cache / BACKBONE
        except (OSError, RuntimeError) as error:  # no network, or a file that is not the right one
            reason = f"its download failed ({type(error).__name__})"
    raise UserError(
        f"LPIPS needs the file {BACKBONE} (5 MB), and {reason}: put it into {cache} or into the "
        "folder named by HIRESVAE_WEIGHTS; PSNR and SSIM run without it"
    )


def load_lpips(device: torch.device | str = "cpu") -> PerceptualNetwork:
    """Returns LPIPS of the squeeze kind, in evaluation mode and frozen.

    Raises:
        UserError: the backbone's weights are nowhere or cannot be read.
    """
    path = find_backbone()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        with warnings.catch_warnings():
            # lpips asks torchvision in words that it has since replaced.
            warnings.simplefilter("ignore")
            import lpips

            module = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
        # The package cuts the backbone into slices but keeps the numbers of its layers.
        trunk = {
            name: state[f"features.{name.split('.', 1)[1]}"] for name in module.net.state_dict()
        }
        module.net.load_state_dict(trunk)
    except (RuntimeError, KeyError, EOFError, ValueError, TypeError, OSError) as error:
        raise UserError(f"{path} cannot be read as SqueezeNet 1.1: is the file whole?") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise UserError(f"{path} cannot be read as SqueezeNet 1.1: is the file whole?") from error
    device = torch.device(device)
    module = module.to(device).eval().requires_grad_(False)
    return PerceptualNetwork(module, file_sha256(path), device)


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
    out = []
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for pair in zip(pictures.split(CHUNK), originals.split(CHUNK), strict=True):
            a, b = (to_float(x).expand(-1, 3, -1, -1).to(network.device) for x in pair)
            out.append(network.module(a, b).reshape(-1).double().cpu())
    return torch.cat(out).numpy()


def _download(folder: Path) -> None:
    torch.hub.load_state_dict_from_url(
        URL, model_dir=str(folder), check_hash=True, progress=sys.stderr.isatty(), weights_only=True
    )
