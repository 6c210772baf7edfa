"""Whether two pictures show the same person, by a face-recognition network.

The network is MobileFaceNet as TorchScript, which wants an aligned, tight face: pictures are cut to
a box before. The distance is that of directions, 1 - cosine: 0 for a face and itself, about 1 for
two that have nothing in common.

Measured on the 118 people of LFW of whom there are two pictures, at 128 pixels: 0.26 on average
(95 % below 0.55) for two pictures of a person, 0.99 (95 % above 0.74, 99 % above 0.65) for those of
two people; of a pair of each kind the same person is nearer in 99.98 %. The box of LFW is the best
of sixteen: with the whole picture it is 99.6 %, with 0.76 of its side 98 to 99.5 %.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiresvae.devices import exact_products
from hiresvae.errors import UserError
from hiresvae.images import to_pil
from hiresvae.metrics.cache import keep, recall
from hiresvae.metrics.features import (
    FEATURES,
    FeatureNetwork,
    extract,
    features_key,
    known_picture,
    load_network,
)
from hiresvae.metrics.weights import at_home, find_weights

IDENTITY = "mobilefacenet_features.pt"
# What the published network says of `known_picture(256)`: its first numbers.
ANSWER = (-0.00539, 0.02682, 0.01694, 0.00400, -0.05242, 0.01291)
# What face networks of the family of ArcFace take.
SIDE = 112

Box = tuple[float, float, float]
"""Left, top and side of a square, in shares of the picture's side."""

BOXES: dict[str, Box] = {
    "lfw": (0.07, 0.03, 0.86),
    # From where its authors put eyes and mouth, after the middle square is cut; not measured.
    "celeba": (0.16, 0.20, 0.68),
    # Drawn for it, and so framed: this box tells drawn faces apart as well as any.
    "embedded:faces": (0.07, 0.03, 0.86),
}
"""What of a picture is the face, by the source of data; these sources show nothing but faces."""


@dataclass(frozen=True)
class IdentityNetwork:
    """A network that turns pictures of faces into directions.

    Attributes:
        network: as `load_network` gives it; pictures of any side.
        box: what of a picture it sees, brought to 112 pixels; None: pictures as they are.
    """

    network: FeatureNetwork
    box: Box | None

    def __call__(self, pictures: Tensor, *, stored: bool = False) -> Tensor:
        """Returns features of unit length, float32 ``(N, D)``, of uint8 ``(N, C, S, S)``.

        Args:
            pictures: uint8, grey or colour.
            stored: whether features that an earlier call computed may be taken from the cache.
        """
        faces = pictures if self.box is None else cut(pictures, self.box)
        key = features_key(faces, self.network)
        found = recall(FEATURES, key, len(faces)) if stored else None
        if found is None:
            found = extract(faces, self.network, progress=False)
            if stored:
                keep(FEATURES, key, found)
        return torch.nn.functional.normalize(torch.from_numpy(found).float().flatten(1), dim=1)

    def to_json(self) -> dict[str, object]:
        """Returns what a figure says about its network."""
        return {**self.network.to_json(), "box": None if self.box is None else list(self.box)}


def load_identity(
    features: str = "auto", *, box: Box | None = None, device: torch.device | str = "cpu"
) -> IdentityNetwork:
    """Returns a network for identity that is ready to run.

    Args:
        features: ``auto`` for MobileFaceNet from the folder ``HIRESVAE_WEIGHTS`` or the cache, or
            the path of a TorchScript file that maps float ``(N, 3, H, W)`` in [0, 255] to
            ``(N, D)``.
        box: what of a picture is the face; None: for MobileFaceNet that of LFW, other networks see
            pictures as they are.
        device: where to run it.

    Raises:
        UserError: the weights are nowhere, the file is no TorchScript, what was found under
            MobileFaceNet's name is another network, or the box reaches beyond the picture.
    """
    if box is not None:
        check_box(box)
    if features != "auto":
        return IdentityNetwork(load_network(features, device), box)
    path = find_identity()
    network = load_network(str(path), device)
    if not answers_as_mobilefacenet(network):
        raise UserError(
            f"{at_home(path)} is not the MobileFaceNet that its name says: it answers a known "
            "picture otherwise; put the right file in its place, or name your own by --features"
        )
    return IdentityNetwork(network, box or BOXES["lfw"])


def find_identity() -> Path:
    """Returns the file of MobileFaceNet; it has no public address, so it is not downloaded.

    Raises:
        UserError: it is nowhere.
    """
    return find_weights(
        IDENTITY,
        f"whether a face stays the same person needs the file {IDENTITY} (3 MB)",
        "or name a TorchScript face network by --features; all else is reported without it",
        fetch=None,
    )


def answers_as_mobilefacenet(network: FeatureNetwork) -> bool:
    """Returns whether a network has MobileFaceNet's features, by one known picture."""
    with torch.inference_mode(), exact_products():
        try:
            found = network.call(known_picture(256).to(network.device)).float().cpu().flatten()
        except RuntimeError:  # layers of other shapes
            return False
    first = torch.tensor(ANSWER)
    return len(found) == 192 and torch.allclose(found[: len(first)], first, atol=1e-3)


def check_box(box: Box) -> None:
    """Refuses a box that is empty or reaches beyond the picture.

    Raises:
        UserError: it does.
    """
    left, top, side = box
    # Asked so that NaN is not inside; a sum of decimals may miss 1 by a hair.
    if not (side > 0 and all(at >= 0 and at + side <= 1 + 1e-9 for at in (left, top))):
        raise UserError(
            f"the face's box {_words(box)} (left, top, side) must lie within the picture, whose "
            f"side is 1; nearest valid: {_words(BOXES['lfw'])}, or 0,0,1 for all of it"
        )


def _words(box: Box) -> str:
    return ",".join(f"{part:g}" for part in box)


def cut(pictures: Tensor, box: Box, side: int = SIDE) -> Tensor:
    """Returns what lies in a box, resized by Pillow's smoothing bicubic, uint8 ``(N, 3, s, s)``.

    The box's edges may lie between pixels: of small pictures whole pixels would be too coarse.

    Args:
        pictures: uint8 ``(N, C, S, S)``.
        box: left, top and side in shares of S.
        side: of the result, in pixels.
    """
    whole = pictures.shape[-1]
    left, top = box[0] * whole, box[1] * whole
    edges = (left, top, min(left + box[2] * whole, whole), min(top + box[2] * whole, whole))
    faces = [
        to_pil(picture).convert("RGB").resize((side, side), Image.Resampling.BICUBIC, box=edges)
        for picture in pictures
    ]
    return torch.from_numpy(np.stack([np.asarray(face) for face in faces])).permute(0, 3, 1, 2)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Returns 1 - cosine ``(N,)`` of features of unit length ``(N, D)``; 0 to 2."""
    return (1 - (one * other).sum(1)).clamp_min(0)  # rounding may pass 0


def strange_pairs(features: Tensor) -> Tensor:
    """Returns the distances of all pairs of different rows, float32 ``(N (N - 1) / 2,)``."""
    first, second = torch.triu_indices(len(features), len(features), 1)
    return distance(features[first], features[second])
