"""One picture of any kind becomes a square of uint8 pixels, or a reason why it cannot."""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

MAX_PIXELS = 100_000_000
# Named, so that no file can reach a plugin that starts another program (EPS does).
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "ICO")

Raw = bytes | np.ndarray
"""An encoded file, or pixels uint8 ``(H, W)`` or ``(C, H, W)``."""


class UnreadableError(Exception):
    """A picture cannot be used; the message is the reason that the report lists."""


@dataclass(frozen=True)
class Framing:
    """How a picture becomes a square.

    Attributes:
        side: pixels.
        channels: 1, 3, or auto: 1 where red, green and blue are equal everywhere, else 3.
        crop: "none" scales the whole picture and pads it; all else takes the central square.
        pad: what fills the padding.
    """

    side: int
    channels: Literal["auto", 1, 3] = "auto"
    crop: Literal["center", "random", "none"] = "center"
    pad: Literal["white", "black", "edge"] = "edge"


@dataclass(frozen=True)
class Decoded:
    """A picture ready to be stored.

    Attributes:
        pixels: uint8 ``(C, side, side)``, C = 1 or 3.
        size: width and height of the picture before framing.
    """

    pixels: np.ndarray
    size: tuple[int, int]


def decode(raw: Raw, framing: Framing) -> Decoded:
    """Returns the picture upright, on white where transparent, square and in 8 bits.

    Scaling is antialiased (Lanczos over the full support). Of an animation the first frame is
    taken. Sizes are judged from the header, before any pixel is decoded.

    Raises:
        UnreadableError: the file is empty, no picture, broken, or above 100 million pixels.
    """
    if not isinstance(raw, bytes) and _fits(raw, framing):
        planes = raw if raw.ndim == 3 else raw[None]
        return _decoded(planes, framing, (framing.side, framing.side))
    try:
        image = _upright(_open(raw)) if isinstance(raw, bytes) else _from_pixels(raw)
        image = _plain(image)
        if framing.channels == 1:
            image = image.convert("L")
        pixels = _frame(image, framing)
    except UnreadableError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableError("gigantic: more than 100 million pixels") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on a broken file
        raise UnreadableError(f"broken: {error or type(error).__name__}") from error
    return _decoded(pixels, framing, image.size)


def attempt(read: Callable[[], Raw], framing: Framing) -> Decoded | str:
    """Returns the picture that ``read`` gives, or in words why there is none."""
    try:
        return decode(read(), framing)
    except UnreadableError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error or type(error).__name__}"
    except Exception as error:  # an archive's member can be broken in as many ways as a file
        return f"cannot be read: {error or type(error).__name__}"


def _fits(pixels: np.ndarray, framing: Framing) -> bool:
    """Says whether pixels are the square already: resizing would give the very same."""
    colours = len(pixels) if pixels.ndim == 3 else 1
    known = colours == 1 or (colours == 3 and framing.channels != 1)
    square = pixels.shape[-2:] == (framing.side, framing.side)
    return known and square and pixels.ndim in (2, 3) and pixels.dtype == np.uint8


def _decoded(pixels: np.ndarray, framing: Framing, size: tuple[int, int]) -> Decoded:
    """Returns framed pixels ``(C, side, side)`` with as many channels as are wanted."""
    grey = len(pixels) == 1 or bool((pixels == pixels[:1]).all())
    if framing.channels == 3:
        pixels = np.broadcast_to(pixels, (3, *pixels.shape[1:]))
    elif grey:
        pixels = pixels[:1]
    return Decoded(np.ascontiguousarray(pixels), size)


def _open(raw: bytes) -> Image.Image:
    if not raw:
        raise UnreadableError("empty file")
    Image.init()
    try:
        built_in = [name for name in FORMATS if name in Image.OPEN]
        image = Image.open(io.BytesIO(raw), formats=built_in)
    except UnidentifiedImageError as error:
        raise UnreadableError("not a picture") from error
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableError(f"gigantic: {image.width} x {image.height} pixels")
    image.load()
    return image


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, zlib.error):
        return image  # the note is broken, the picture is not


def _plain(image: Image.Image) -> Image.Image:
    """Returns the picture in mode L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode))
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        to_rgb = ImageCms.buildTransformFromOpenProfiles(*profiles, "LAB", "RGB")
        return to_rgb.apply(image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Returns deep grey ``(H, W)`` as uint8.

    16-bit formats say what white is. 32-bit integers and floats do not: the smallest usual white
    (1 for floats, 255, 65535) that holds every value is taken.
    """
    deep = values.astype(np.float64)
    if not np.isfinite(deep).all():
        raise UnreadableError("broken: pixels that are not finite")
    if mode.startswith("I;16"):
        white = 65535.0
    else:
        whites = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
        white = next((white for white in whites if deep.max() <= white), 0.0)
        if not white or deep.min() < 0:
            raise UnreadableError("values outside of 0 to 65535")
    return np.rint(deep * (255.0 / white)).astype(np.uint8)


def _frame(image: Image.Image, framing: Framing) -> np.ndarray:
    """Returns the square of a picture in mode L or RGB, uint8 ``(C, side, side)``."""
    side, (width, height) = framing.side, image.size
    if framing.crop != "none":
        edge = min(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        box = (left, top, left + edge, top + edge)
        return _planes(image.resize((side, side), Image.Resampling.LANCZOS, box=box))
    scale = side / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = _planes(image.resize(inner, Image.Resampling.LANCZOS))
    left, top = (side - inner[0]) // 2, (side - inner[1]) // 2
    margins = ((0, 0), (top, side - inner[1] - top), (left, side - inner[0] - left))
    if framing.pad == "edge":
        return np.pad(pixels, margins, mode="edge")
    return np.pad(pixels, margins, constant_values=255 if framing.pad == "white" else 0)


def _planes(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def whole(raw: bytes, channels: Literal[1, 3]) -> np.ndarray:
    """Returns a picture at its own size, uint8 ``(C, H, W)``, else as `decode` has it.

    Raises:
        UnreadableError: as `decode` does.
    """
    decode(raw, Framing(8, channels))  # says what is wrong with it, if anything
    image = _plain(_upright(_open(raw))).convert("L" if channels == 1 else "RGB")
    return np.array(_planes(image), order="C")
