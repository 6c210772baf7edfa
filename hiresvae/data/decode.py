"""One picture of any kind becomes a square of uint8 pixels, or a reason why it cannot."""

import contextlib
import io
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

MAX_PIXELS = 100_000_000
# Named, so that no file can reach a plugin that starts another program (EPS does).
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "ICO")
_WARNINGS = threading.Lock()  # what is done with warnings is one for all threads

One = bytes | np.ndarray
"""An encoded file, or pixels uint8 ``(H, W)`` or ``(C, H, W)``."""
Raw = One | tuple[One, One]
"""One picture, or a pair: the picture to be made and the corrupted one that the encoder sees."""


class UnreadableError(Exception):
    """A picture cannot be used; the message is the reason that the report lists."""


@dataclass(frozen=True)
class Framing:
    """How a picture becomes a square.

    Attributes:
        side: pixels.
        channels: 1, 3, or auto: 1 where red, green and blue are equal everywhere, else 3.
        crop: "none" scales the whole picture and pads it, "tiles" cuts its centre without scaling
            and pads that if it is short; all else scales the central square.
        pad: what fills the padding.
    """

    side: int
    channels: Literal["auto", 1, 3] = "auto"
    crop: Literal["center", "random", "none", "tiles"] = "center"
    pad: Literal["white", "black", "edge"] = "edge"


@dataclass(frozen=True)
class Decoded:
    """A picture ready to be stored.

    Attributes:
        pixels: uint8 ``(C, side, side)``, C = 1 or 3; of a pair ``(2C, side, side)``.
        size: width and height of the picture before framing.
    """

    pixels: np.ndarray
    size: tuple[int, int]


def decode(raw: Raw, framing: Framing) -> Decoded:
    """Returns the picture upright, on white where transparent, square and in 8 bits.

    Scaling is antialiased (Lanczos over the full support). Of an animation the first frame is
    taken. Sizes are judged from the header, before any pixel is decoded.

    Raises:
        UnreadableError: the file is empty, no picture, broken, or above 100 million pixels; or the
            two of a pair differ in size.
    """
    if isinstance(raw, tuple):
        return _paired(decode(raw[0], framing), decode(raw[1], framing))
    if not isinstance(raw, bytes) and _fits(raw, framing):
        planes = raw if raw.ndim == 3 else raw[None]
        return _decoded(planes, framing, (framing.side, framing.side))
    with _explained():
        image = _picture(raw, framing.channels)
        pixels = _frame(image, framing)
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


def whole(raw: One, channels: Literal["auto", 1, 3] = "auto", most: int = MAX_PIXELS) -> np.ndarray:
    """Returns the picture as `decode` does but neither cut nor scaled, uint8 ``(C, H, W)``.

    Args:
        raw: the file or its pixels.
        channels: 1, 3, or auto: as many as the file has.
        most: pixels that a file may have.

    Raises:
        UnreadableError: as `decode` does, or the file has more pixels.
    """
    with _explained():
        image = _picture(raw, channels, most)
        return np.array(_planes(image.convert("RGB") if channels == 3 else image), order="C")


def header_size(path: Path) -> tuple[int, int] | None:
    """Returns width and height by a file's header, None of no picture and of a gigantic one.

    Nothing is decoded: the picture may be broken all the same, and may lie on its side.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                return image.size if image.width * image.height <= MAX_PIXELS else None
    except Exception:  # Pillow's plugins raise nearly anything on a broken file
        return None


def brightness(raw: bytes) -> Image.Image:
    """Returns a picture's brightness alone, mode L, whatever is transparent in it.

    Raises:
        UnreadableError: as `decode` does.
    """
    with _explained():
        return _open(raw).convert("L")


def check_sizes(target: tuple[int, int], seen: tuple[int, int]) -> None:
    """Refuses a pair of pictures whose width and height differ.

    Raises:
        UnreadableError: they do.
    """
    if target != seen:
        (width, height), (other_width, other_height) = target, seen
        raise UnreadableError(
            f"{width} x {height} pixels, but the corrupted picture has "
            f"{other_width} x {other_height}"
        )


def _paired(target: Decoded, seen: Decoded) -> Decoded:
    check_sizes(target.size, seen.size)
    planes = max(len(target.pixels), len(seen.pixels))
    both = [half.pixels.repeat(planes // len(half.pixels), axis=0) for half in (target, seen)]
    return Decoded(np.concatenate(both), target.size)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns whatever a broken picture makes Pillow raise into the reason that the report lists."""
    try:
        yield
    except UnreadableError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableError("gigantic: more than 100 million pixels") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on a broken file
        raise UnreadableError(f"broken: {error or type(error).__name__}") from error


def _picture(raw: One, channels: Literal["auto", 1, 3], most: int = MAX_PIXELS) -> Image.Image:
    """Returns the picture upright in mode L or RGB, in mode L where one channel is wanted."""
    image = _plain(_upright(_open(raw, most)) if isinstance(raw, bytes) else _from_pixels(raw))
    return image.convert("L") if channels == 1 else image


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


def _open(raw: bytes, most: int = MAX_PIXELS) -> Image.Image:
    if not raw:
        raise UnreadableError("empty file")
    try:
        # Pillow warns of pictures that we take, and of those that we refuse in our own words.
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(raw), formats=_formats())
    except UnidentifiedImageError as error:
        raise UnreadableError("not a picture") from error
    if image.width * image.height > most:
        raise UnreadableError(
            f"gigantic: {image.width} x {image.height} pixels, more than {most // 10**6} million"
        )
    image.load()
    return image


def _formats() -> list[str]:
    """Returns those of `FORMATS` that this Pillow knows."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


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
    if framing.crop == "tiles":
        left, top = max(0, width - side) // 2, max(0, height - side) // 2
        box = (left, top, min(width, left + side), min(height, top + side))
        return _padded(_planes(image.crop(box)), framing)
    if framing.crop != "none":
        edge = min(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        box = (left, top, left + edge, top + edge)
        return _planes(image.resize((side, side), Image.Resampling.LANCZOS, box=box))
    scale = side / max(width, height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return _padded(_planes(image.resize(inner, Image.Resampling.LANCZOS)), framing)


def _padded(pixels: np.ndarray, framing: Framing) -> np.ndarray:
    """Returns pixels ``(C, h, w)`` of at most the side in the middle of ``(C, side, side)``."""
    side, (height, width) = framing.side, pixels.shape[1:]
    left, top = (side - width) // 2, (side - height) // 2
    margins = ((0, 0), (top, side - height - top), (left, side - width - left))
    if framing.pad == "edge":
        return np.pad(pixels, margins, mode="edge")
    return np.pad(pixels, margins, constant_values=255 if framing.pad == "white" else 0)


def _planes(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
