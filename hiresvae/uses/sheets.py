"""Sheets of pictures with words at their edges, and moving pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.images import to_pil
from hiresvae.paths import aside

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

INK, PALE = (40, 40, 40), (110, 110, 110)
STILL = ("png", "jpg", "webp")
LARGEST = 80_000_000
"""Pixels of the largest sheet: Pillow warns of larger pictures when they are opened again."""
LARGEST_FILM = 500_000_000
"""Pixels of all frames of a film together, which are held in memory."""


def enlarged(pictures: Tensor, scale: int) -> list[Image.Image]:
    """Returns uint8 pictures ``(N, C, H, W)`` for Pillow, in colour and ``scale`` times as large.

    Enlarging is smooth; a scale of 1 leaves every pixel as it is.
    """
    shown = [to_pil(picture).convert("RGB") for picture in pictures]
    if scale == 1:
        return shown
    return [
        image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
        for image in shown
    ]


def fitting_scale(side: int, wanted: int) -> int:
    """Returns the whole number of times that a side is enlarged to reach about ``wanted`` pixels.

    Example:
        >>> fitting_scale(32, 96), fitting_scale(256, 96)
        (3, 1)
    """
    return max(1, round(wanted / side))


def sheet(
    rows: Sequence[Sequence[Tensor | None]],
    *,
    headings: Sequence[str] = (),
    names: Sequence[str] = (),
    scale: int | None = None,
    gaps: Sequence[int] = (),
) -> Tensor:
    """Returns rows of pictures on white as one picture, uint8 ``(3, H', W')``.

    Args:
        rows: uint8 pictures ``(C, S, S)`` of one side; None leaves a place empty.
        headings: words above the columns.
        names: words left of the rows.
        scale: times to enlarge; None makes small pictures about 96 pixels wide.
        gaps: columns after which there is more room.

    Raises:
        UserError: it would be larger than any program shows.
    """
    side = next(cell.shape[-1] for row in rows for cell in row if cell is not None)
    scale = fitting_scale(side, 96) if scale is None else scale
    cell, gap, wide = side * scale, max(2, side * scale // 32), side * scale // 6
    letters = max(9, min(18, cell // 6))
    font = ImageFont.load_default(letters)
    columns = max(len(row) for row in rows)
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength
    shown_names = [_shortened(name, font, measure, 2 * cell) for name in names]
    left = int(max((measure(name, font) for name in shown_names), default=-8)) + 8
    left += gap if names else 0
    top = int(letters * 1.6) if headings else 0
    lefts = [left + i * (cell + gap) + wide * sum(g <= i for g in gaps) for i in range(columns)]
    width, height = lefts[-1] + cell, top + len(rows) * (cell + gap) - gap
    if width * height > LARGEST:
        raise UserError(
            f"a sheet of {width:,} x {height:,} pixels is larger than {LARGEST // 10**6} million; "
            "nearest valid: fewer pictures or steps, a smaller --scale, or (of interpolate) a film"
        )
    paper = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(paper)
    for x, words in zip(lefts, headings, strict=False):
        middle = (x + cell / 2, top / 2)
        pen.text(middle, _shortened(words, font, measure, cell), INK, font, anchor="mm")
    for i, row in enumerate(rows):
        y = top + i * (cell + gap)
        if i < len(shown_names):
            pen.text((left - 8, y + cell / 2), shown_names[i], PALE, font, anchor="rm")
        for x, picture in zip(lefts, row, strict=False):
            if picture is not None:
                paper.paste(enlarged(picture[None], scale)[0], (x, y))
    return torch.from_numpy(np.array(paper)).permute(2, 0, 1).contiguous()


def _shortened(words: str, font: Font, measure: Callable[..., float], width: int) -> str:
    """Returns words cut so that they are at most ``width`` pixels long."""
    if measure(words, font) <= width:
        return words
    while words and measure(f"{words}...", font) > width:
        words = words[:-1]
    return f"{words}..."


def save_movie(frames: Tensor, path: Path, *, fps: float = 20, scale: int = 1) -> None:
    """Writes frames as a GIF or, with the extra ``video``, as an MP4 that repeats.

    Args:
        frames: uint8 ``(N, C, H, W)``.
        path: ends in .gif or .mp4; written whole or not at all.
        fps: frames a second.
        scale: times to enlarge.

    Raises:
        UserError: an MP4 is asked for without the extra, or the film would fill the memory.
    """
    pixels = len(frames) * frames[0, 0].numel() * scale**2
    if pixels > LARGEST_FILM:
        raise UserError(
            f"a film of {pixels / 1e6:,.0f} million pixels is larger than "
            f"{LARGEST_FILM // 10**6} million; nearest valid: fewer --steps, or a smaller --scale"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    images = enlarged(frames, scale)
    with aside(path) as file:
        if path.suffix.lower() == ".gif":
            _save_gif(images, file, fps)
        else:
            _save_mp4(images, file, fps)


def _save_gif(images: list[Image.Image], path: Path, fps: float) -> None:
    # One palette for all frames: colours of their own would make what stands still flicker.
    chosen = images[:: max(1, len(images) // 16)]
    every = Image.new("RGB", (images[0].width, images[0].height * len(chosen)))
    for i, image in enumerate(chosen):
        every.paste(image, (0, i * image.height))
    palette = every.quantize(256, method=Image.Quantize.MEDIANCUT)
    dither = Image.Dither.FLOYDSTEINBERG
    first, *rest = [image.quantize(palette=palette, dither=dither) for image in images]
    # A GIF counts hundredths of a second.
    duration = max(20, round(100 / fps) * 10)
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0)


def _save_mp4(images: list[Image.Image], path: Path, fps: float) -> None:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UserError(
            "an .mp4 needs the extra 'video': pip install 'hiresvae[video]', or write a .gif"
        ) from error
    # The codec halves the colour's resolution: sides must be even.
    width, height = (side - side % 2 for side in images[0].size)
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, quality=8, macro_block_size=2
    )
    writer.send(None)
    try:
        for image in images:
            writer.send(np.ascontiguousarray(np.asarray(image)[:height, :width]))
    finally:
        writer.close()
