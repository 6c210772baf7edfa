"""What can be measured of any picture without a network."""

from collections.abc import Callable

import torch
from torch import Tensor

from hiresvae.colour import lab


def brightness(pictures: Tensor) -> Tensor:
    """Returns the mean lightness L* ``(N,)``, 0 to 100, of uint8 pictures ``(N, C, H, W)``."""
    return _lab(pictures)[:, 0].mean((1, 2))


def colourfulness(pictures: Tensor) -> Tensor:
    """Returns the mean chroma ``(N,)``: the distance from grey in the plane of a* and b*."""
    return _lab(pictures)[:, 1:].norm(dim=1).mean((1, 2))


def skin_tone(pictures: Tensor) -> Tensor:
    """Returns the individual typology angle of the skin in degrees ``(N,)``.

    ``atan((L* - 50) / b*)``: above 55 very light, 41 to 55 light, 28 to 41 intermediate, 10 to 28
    tan, -30 to 10 brown, below dark. Taken from the median colour of those pixels of the middle
    (an ellipse of half the picture) whose hue is that of skin; of all of the middle where less than
    a tenth is. Light and camera are part of it.

    Args:
        pictures: uint8 ``(N, 3, H, W)``, a face in the middle.

    Source: Chardon et al. 1991, for the angle.
    """
    colours = _lab(pictures)
    height, width = colours.shape[2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    middle = (x / 0.5) ** 2 + (y / 0.6) ** 2 <= 1
    tones = []
    for light, red, yellow in colours:
        hue = torch.rad2deg(torch.atan2(yellow, red))
        # From the reddest to the yellowest skin, and neither black nor blown out.
        skin = middle & (hue > 15) & (hue < 85) & (light > 15) & (light < 95)
        chosen = skin if skin.sum() >= 0.1 * middle.sum() else middle
        lightness, warmth = light[chosen].median(), yellow[chosen].median()
        # At b* near 0 the angle would jump.
        tones.append(torch.rad2deg(torch.atan2(lightness - 50, warmth.clamp_min(1))))
    return torch.stack(tones)


def _lab(pictures: Tensor) -> Tensor:
    return lab(pictures.cpu().expand(-1, 3, -1, -1).float() / 255)


MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "brightness": brightness,
    "colourfulness": colourfulness,
    "skin_tone": skin_tone,
}


def measured(pictures: Tensor) -> dict[str, Tensor]:
    """Returns everything that can be measured, ``(N,)`` each, in parts of 256 pictures."""
    parts = [{k: f(part) for k, f in MEASURES.items()} for part in pictures.split(256)]
    return {name: torch.cat([part[name] for part in parts]) for name in MEASURES}
