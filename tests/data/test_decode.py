import io
import os
import struct
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from hiresvae.data.decode import (
    Decoded,
    Framing,
    UnreadableError,
    attempt,
    decode,
    header_size,
    whole,
)

RNG = np.random.default_rng(0)


def save(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def flat(mode: str, colour: object, size: tuple[int, int] = (10, 10)) -> Image.Image:
    return Image.new(mode, size, colour)


def colour_of(raw: bytes, **framing: object) -> list[int]:
    """The colour of a picture that has only one."""
    pixels = decode(raw, Framing(8, **framing)).pixels
    assert pixels.dtype == np.uint8 and pixels.shape[1:] == (8, 8)
    assert (pixels == pixels[:, :1, :1]).all()
    return pixels[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (save(flat("L", 77)), [77]),
        (save(flat("1", 1)), [255]),
        (save(flat("RGB", (10, 20, 30))), [10, 20, 30]),
        (save(flat("RGB", (9, 9, 9))), [9]),
        (save(flat("P", 0).convert("RGB").quantize(4)), [0]),
        (save(flat("RGB", (200, 100, 0)).quantize(4)), [200, 100, 0]),
        (save(flat("RGBA", (0, 0, 0, 0))), [255]),
        (save(flat("RGBA", (255, 0, 0, 51))), [255, 204, 204]),
        (save(flat("LA", (0, 102))), [153]),
        (save(flat("L", 0), transparency=0), [255]),
        (save(flat("RGB", (1, 2, 3)), transparency=(1, 2, 3)), [255]),
        (save(flat("P", 0), transparency=bytes([0])), [255]),
        (save(flat("RGBA", (10, 20, 30, 255)), "WEBP", lossless=True), [10, 20, 30]),
        (save(flat("RGB", (10, 20, 30)), "GIF"), [10, 20, 30]),
        (save(flat("RGB", (10, 20, 30)), "BMP"), [10, 20, 30]),
        (save(flat("RGB", (10, 20, 30)), "TIFF"), [10, 20, 30]),
        (save(flat("CMYK", (0, 0, 0, 255)), "TIFF"), [0]),
        (save(flat("CMYK", (255, 0, 0, 0)), "TIFF"), [0, 255, 255]),
        (save(Image.fromarray(np.full((9, 9), 65535, np.uint16))), [255]),
        (save(Image.fromarray(np.full((9, 9), 257 * 100, np.uint16))), [100]),
        (save(Image.fromarray(np.full((9, 9), 257 * 100, np.uint16)), "TIFF"), [100]),
        (save(Image.fromarray(np.full((9, 9), 0.2, np.float32)), "TIFF"), [51]),
        (save(Image.fromarray(np.full((9, 9), 200.0, np.float32)), "TIFF"), [200]),
        (save(Image.fromarray(np.full((9, 9), 257 * 7, np.int32)), "TIFF"), [7]),
    ],
)
def test_every_mode_becomes_eight_bits(raw: bytes, expected: list[int]) -> None:
    assert colour_of(raw) == expected


def test_lab_and_cmyk_jpeg_keep_their_colour() -> None:
    lab = flat("LAB", (128, 128, 128))
    assert all(abs(value - 119) < 12 for value in colour_of(save(lab, "TIFF")))
    cmyk = colour_of(save(flat("CMYK", (255, 0, 0, 0)), "JPEG", quality=100))
    assert cmyk[0] < 5 and min(cmyk[1:]) > 250


def test_exif_rotation_is_undone() -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise
    decoded = decode(save(Image.fromarray(pixels), exif=exif), Framing(8, crop="none"))
    assert decoded.size == (8, 16)
    assert decoded.pixels[0, 0].mean() > 250 and decoded.pixels[0, -1].mean() < 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_note_does_not_cost_the_picture() -> None:
    raw = save(flat("RGB", (10, 20, 30)), exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    assert colour_of(raw) == [10, 20, 30]


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [flat("RGB", colour) for colour in ((255, 0, 0), (0, 0, 255))]
    raw = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colour_of(raw) == [255, 0, 0]


def test_central_square_is_taken() -> None:
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 200
    assert (decode(pixels, Framing(10)).pixels == 200).all()


@pytest.mark.parametrize(("pad", "outside"), [("white", 255), ("black", 0), ("edge", 90)])
def test_whole_picture_is_padded(pad: str, outside: int) -> None:
    raw = np.full((10, 40), 90, np.uint8)
    pixels = decode(raw, Framing(16, crop="none", pad=pad)).pixels[0]
    assert (pixels[6:10] == 90).all()
    assert (pixels[:6] == outside).all() and (pixels[10:] == outside).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_tiny_and_thin_pictures(size: tuple[int, int], crop: str) -> None:
    raw = save(flat("RGB", (10, 20, 30), size))
    assert colour_of(raw, crop=crop) == [10, 20, 30]


def test_scaling_is_antialiased() -> None:
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode(stripes, Framing(32)).pixels[0, :, 2:-2].astype(float)
    assert abs(pixels - 127.5).max() < 3, "a stripe pattern above Nyquist becomes flat grey"


def test_pictures_at_their_size_are_not_touched() -> None:
    pixels = RNG.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    assert (decode(pixels, Framing(16)).pixels == pixels).all()


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (3, 16, 16)])
@pytest.mark.parametrize("channels", ["auto", 1, 3])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_pixels_at_their_size_decode_as_files_do(
    shape: tuple[int, ...], channels: Literal["auto", 1, 3], crop: Literal["center", "none"]
) -> None:
    for pixels in (RNG.integers(0, 256, shape, dtype=np.uint8), np.full(shape, 9, np.uint8)):
        planes = pixels.transpose(1, 2, 0) if shape[0] == 3 else pixels.reshape(16, 16)
        raw = save(Image.fromarray(np.ascontiguousarray(planes)))
        framing = Framing(16, channels, crop)
        one, other = decode(pixels, framing), decode(raw, framing)
        assert one.pixels.shape == other.pixels.shape and (one.pixels == other.pixels).all()
        assert one.size == other.size == (16, 16)


def test_an_attempt_gives_the_picture_or_the_reason() -> None:
    def locked() -> bytes:
        raise PermissionError(13, "Permission denied", "/home/somebody/a.png")

    def encrypted() -> bytes:
        raise RuntimeError("File 'a.png' is encrypted, password required for extraction")

    found = attempt(lambda: np.full((16, 16), 7, np.uint8), Framing(16))
    assert isinstance(found, Decoded) and (found.pixels == 7).all()
    assert attempt(lambda: b"", Framing(16)) == "empty file"
    assert attempt(locked, Framing(16)) == "cannot be read: Permission denied"
    assert "is encrypted" in str(attempt(encrypted, Framing(16)))


def test_channels_can_be_forced(encoded: Callable[..., bytes]) -> None:
    assert decode(encoded(0), Framing(8, channels=1)).pixels.shape == (1, 8, 8)
    grey = decode(encoded(0, "L"), Framing(8, channels=3)).pixels
    assert grey.shape == (3, 8, 8) and (grey == grey[:1]).all()


def png(width: int, height: int) -> bytes:
    """A header that announces a picture, and little more."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 12_000, 60_000])
def test_gigantic_pictures_are_refused_by_their_header(side: int) -> None:
    with pytest.raises(UnreadableError, match="gigantic"):
        decode(png(side, side), Framing(8))


def test_a_large_picture_is_judged_by_us_and_not_warned_of() -> None:
    with pytest.raises(UnreadableError, match="9700 x 9700 pixels, more than 64 million"):
        whole(png(9_700, 9_700), 3, 64_000_000)
    with pytest.raises(UnreadableError, match="truncated"):
        whole(png(9_700, 9_700), 1)


@pytest.mark.filterwarnings("ignore")
def test_forty_bad_files_have_reasons(encoded: Callable[..., bytes]) -> None:
    formats = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")
    whole = [encoded(0, "RGB", format, (64, 64)) for format in formats]
    bad = [raw[: len(raw) * part // 10] for raw in whole for part in (1, 3, 5, 7)]
    bad += [raw[:8] for raw in whole]
    bad += [b"", b"\0", b"just some text\n" * 20, b"%PDF-1.4", b"PK\x03\x04", b"GIF89a", b"BM"]
    bad += [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg xmlns=''/>", png(50, 50)]
    assert len(bad) >= 40
    for raw in bad:
        with pytest.raises(UnreadableError) as caught:
            decode(raw, Framing(8))
        assert str(caught.value)
    with pytest.raises(UnreadableError, match="empty file"):
        decode(b"", Framing(8))
    with pytest.raises(UnreadableError, match="not a picture"):
        decode(b"just some text", Framing(8))
    with pytest.raises(UnreadableError, match="not finite"):
        decode(save(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), Framing(8))


@pytest.mark.parametrize(
    ("image", "channels", "expected"),
    [
        (Image.fromarray(np.full((5, 9), 257 * 100, np.uint16)), 3, [100, 100, 100]),
        (Image.fromarray(np.full((5, 9), 257 * 100, np.uint16)), 1, [100]),
        (flat("RGBA", (255, 0, 0, 51), (9, 5)), 3, [255, 204, 204]),
        (flat("L", 7, (9, 5)), 3, [7, 7, 7]),
    ],
)
def test_a_whole_picture_has_its_own_size(image: Image.Image, channels, expected) -> None:
    pixels = whole(save(image), channels)
    assert pixels.shape == (channels, 5, 9) and pixels.dtype == np.uint8
    assert pixels.flags.writeable and pixels.flags.c_contiguous
    assert pixels[:, 2, 3].tolist() == expected
    assert (pixels == pixels[:, :1, :1]).all()


def test_a_whole_picture_says_what_is_wrong_with_it() -> None:
    with pytest.raises(UnreadableError, match="empty file"):
        whole(b"", 3)


def test_a_header_tells_the_size_of_what_may_be_broken(tmp_path):
    file = tmp_path / "a.png"
    Image.new("RGB", (40, 30)).save(file)
    assert header_size(file) == (40, 30)
    file.write_bytes(file.read_bytes()[:-20])
    assert header_size(file) == (40, 30)
    file.write_text("words")
    os.mkfifo(tmp_path / "pipe")
    for other in (file, tmp_path, tmp_path / "pipe", tmp_path / "nowhere"):
        assert header_size(other) is None
