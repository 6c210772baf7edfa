"""The Laplacian pyramid: a picture as bands of detail, each of twice the size of the one before.

Source: Burt and Adelson 1983, kernel (1, 4, 6, 4, 1) / 16, mirrored borders.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

LEAST = 3
"""The smallest side that can be blurred: two pixels are mirrored over the border."""


def laplacian_pyramid(
    images: Tensor, levels: int | None = None, smallest: int = LEAST
) -> list[Tensor]:
    """Returns bands ``(N, C, h, w)``, finest first; the last is what is left below them.

    Adding each band to the `enlarged` next one gives the pictures back. Differentiable.

    Args:
        images: float ``(N, C, H, W)``.
        levels: most bands beside the rest; None: as many as there are.
        smallest: sides below this have no band.
    """
    bands: list[Tensor] = []
    while min(images.shape[-2:]) >= smallest and (levels is None or len(bands) < levels):
        small = _blur(images)[..., ::2, ::2]
        bands.append(images - enlarged(small, images.shape[-2], images.shape[-1]))
        images = small
    return [*bands, images]


def enlarged(images: Tensor, h: int, w: int) -> Tensor:
    """Returns images ``(N, C, ceil(h / 2), ceil(w / 2))`` at ``h x w``, smoothly."""
    wide = images.new_zeros(*images.shape[:2], h, w)
    wide[..., ::2, ::2] = images
    return _blur(wide) * 4


def _blur(images: Tensor) -> Tensor:
    # 1, 4, 6, 4, 1 by their distance from the middle: a list would have to be sent to the device.
    d = (torch.arange(5, device=images.device, dtype=images.dtype) - 2).abs()
    row = (6 - 1.5 * d - 0.5 * d * d) / 16
    c = images.shape[1]
    kernel = torch.outer(row, row).expand(c, 1, 5, 5)
    return conv2d(pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=c)
