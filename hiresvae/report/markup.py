"""HTML by the standard library: text is escaped unless it is markup already."""

import base64
import html
import io
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiresvae.images import to_pil

VOID = {"img", "meta", "br", "hr"}


class Html(str):
    """Text that is markup already; any other text is escaped where it enters a page."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """Returns an element; an attribute of None is left out.

    Args:
        name: such as ``td``.
        children: text, which is escaped, or markup.
        **attributes: ``class_`` and ``aria_label`` become ``class`` and ``aria-label``.

    Example:
        >>> tag("p", "a < b", tag("br"), class_="note")
        '<p class="note">a &lt; b<br></p>'
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{words}>")
    return Html(f"<{name}{words}>{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Html:
    """Returns parts one after the other, escaped where they are no markup."""
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def table(
    caption: str,
    head: Iterable[Html],
    bodies: Iterable[Html],
    *,
    class_: str | None = None,
) -> Html:
    """Returns a table in a region that scrolls sideways, also by the keyboard.

    Args:
        caption: what the table shows.
        head: rows of the head.
        bodies: ``tbody`` elements.
        class_: of the table.
    """
    whole = tag(
        "table",
        tag("caption", caption),
        tag("thead", *head),
        *bodies,
        class_=class_,
    )
    return scrolling(whole, caption)


def scrolling(content: Html, words: str) -> Html:
    """Returns content in a region that scrolls by itself and can be reached by the keyboard."""
    return tag("div", content, class_="scroll", role="region", aria_label=words, tabindex=0)


def picture(pixels: Tensor, alt: str, *, side: int, exact: bool = True) -> Html:
    """Returns a picture within the page, its pixels enlarged a whole number of times.

    Args:
        pixels: uint8 ``(C, H, W)``.
        alt: what it shows, in words.
        side: about how wide it shall be, in pixels of the page; never made smaller than it is.
        exact: keep its size on narrow screens, so that every pixel stays a square.
    """
    return _embedded(to_pil(pixels), alt, max(1, side // pixels.shape[-1]), exact)


def mosaic(pictures: Tensor, alt: str, *, columns: int, side: int) -> Html:
    """Returns pictures side by side as one, the gaps between them transparent.

    Args:
        pictures: uint8 ``(N, C, H, W)``.
        alt: what they show, in words.
        columns: pictures in a row.
        side: about how wide each shall be, in pixels of the page.
    """
    n, _, h, w = pictures.shape
    gap = max(1, w // 32)
    rows = -(-n // columns)
    size = (columns * (w + gap) - gap, rows * (h + gap) - gap)
    paper = Image.new("RGBA", size, (0, 0, 0, 0))
    for i, one in enumerate(pictures):
        paper.paste(to_pil(one), (i % columns * (w + gap), i // columns * (h + gap)))
    return _embedded(paper, alt, max(1, side // w), exact=False)


def detailed_square(pixels: Tensor, side: int) -> tuple[int, int]:
    """Returns top and left of the square of a picture that has most detail.

    Args:
        pixels: uint8 ``(C, H, W)``.
        side: of the square in pixels, at most the picture's.
    """
    y = pixels.float().mean(0)
    detail = torch.zeros_like(y)
    around = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    detail[1:-1, 1:-1] = (around - 4 * y[1:-1, 1:-1]).square()
    # Sums over all squares from sums over all rectangles from the corner.
    sums = np.pad(detail.double().numpy().cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    found = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(found.argmax(), found.shape)
    return int(top), int(left)


def _embedded(image: Image.Image, alt: str, scale: int, exact: bool) -> Html:
    file = io.BytesIO()
    # Without loss: whoever compares sharpness must not look at a compression's work.
    image.save(file, "WEBP", lossless=True, quality=70, method=4)
    data = base64.b64encode(file.getvalue()).decode()
    return tag(
        "img",
        src=f"data:image/webp;base64,{data}",
        alt=alt,
        width=image.width * scale,
        height=image.height * scale,
        class_=" ".join(["fit"] * (not exact) + ["exact"] * (exact or scale > 1)),
    )
