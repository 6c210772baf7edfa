"""``hiresvae restore``: pictures without noise, stains and holes, and how sure the model is."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiresvae import images
from hiresvae.commands.reconstruct import distinct, tell
from hiresvae.data.decode import UnreadableError, brightness, whole
from hiresvae.data.folders import read_file
from hiresvae.data.reading import reason
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.run import explained
from hiresvae.uses.codes import read
from hiresvae.uses.restore import LARGEST, restore

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def run(
    *,
    model: str,
    paths: list[Path],
    out: Path = Path("restored"),
    mask: Path | None = None,
    resize: bool = False,
    answers: int = 4,
    rounds: int = 20,
    steps: int = 0,
    seed: int = 0,
    device: str | None = None,
) -> list[Path]:
    """Writes ``NAME_restored.png`` and ``NAME_uncertainty.png`` a picture; returns the former.

    A single answer says nothing of how sure the model is: then there is no uncertainty. What fills
    a hole is the mean of the answers, so it is smoother than any: of several answers each is
    written as well, ``NAME_answer_1.png`` and so on.

    Args:
        model: run folder or model folder.
        paths: pictures, or folders of pictures.
        out: folder of the result.
        mask: picture that is white where the others are to be filled in; it is scaled to those of
            its shape, and those of another are skipped.
        resize: bring pictures to the model's size instead of working in tiles.
        answers: different answers, whose mean is taken and whose spread is the uncertainty; of a
            model without noise the first is taken and the others are of other views, see
            `hiresvae.uses.views`.
        rounds: of encoding, decoding and putting back what is known.
        steps: of searching for better latents.
        seed: of the answers.
        device: None takes what there is.
    """
    painter = load(model, device=device)
    files = files_in(paths)
    white = None if mask is None else _white(mask)
    written: list[Path] = []
    skipped: list[tuple[str, str]] = []
    for name, file in zip(distinct([path.name for path in files]), files, strict=True):
        try:
            picture = _resized(painter, file) if resize else whole_picture(painter, file)
            hole = None if white is None else _hole(white, picture.shape[2], picture.shape[1])
        except (UnreadableError, OSError) as error:
            skipped.append((str(file), str(error)))
            continue
        found = restore(
            painter, picture, hole, answers=answers, rounds=rounds, steps=steps, seed=seed
        )
        stem = Path(name).stem
        with explained("writing pictures", out):
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"{stem}_restored.png"
            images.save(_around(hole, found.picture, picture), path)
            if hole is not None and len(found.answers) > 1:
                for number, answer in enumerate(found.answers, 1):
                    of_one = out / f"{stem}_answer_{number}.png"
                    images.save(_around(hole, answer, picture), of_one)
            if len(found.answers) > 1:
                images.save(_uncertainty(found.spread), out / f"{stem}_uncertainty.png")
        written.append(path)
    tell(skipped)
    if not written:
        raise UserError(f"no pictures to restore in {', '.join(map(str, paths))}{reason(skipped)}")
    words = "; bright is unsure in NAME_uncertainty.png" if answers > 1 else ""
    if mask is not None and answers > 1:
        what = "the mean" if painter.model.settings.stochastic else "the first"
        words += f"; NAME_restored.png is {what} of the answers, NAME_answer_K.png are they"
    print(f"{len(written)} pictures restored in {out}{words}")
    return written


def _around(hole: Tensor | None, made: Tensor, picture: Tensor) -> Tensor:
    """Returns what was made, uint8 ``(C, H, W)``, around a hole the picture as it was."""
    answer = images.to_uint8(made[None])[0]
    return answer if hole is None else torch.where(hole[None], answer, picture)


def files_in(paths: list[Path]) -> list[Path]:
    """Returns the pictures at these paths: themselves, and those in folders by their endings.

    Raises:
        UserError: a path does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist; give a picture or a folder")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
        found += inside if path.is_dir() else [path]
    return found


def whole_picture(painter: PictureModel, file: Path) -> Tensor:
    """Returns a picture at its own size, uint8 ``(C, H, W)``.

    Raises:
        UnreadableError: it is none, or larger than what `hiresvae.uses.restore` works on.
        OSError: the file cannot be read.
    """
    raw = read_file(file)
    return torch.from_numpy(whole(raw, 1 if painter.model.channels == 1 else 3, LARGEST))


def _resized(painter: PictureModel, file: Path) -> Tensor:
    """Returns a picture as the model takes it, uint8 ``(C, S, S)``."""
    found = read(painter, file)
    if not found.names:
        raise UnreadableError(found.skipped[0][1] if found.skipped else "no picture")
    return found.pictures[0]


def _white(path: Path) -> Image.Image:
    """Returns a mask at its own size: 255 where it is white, else 0."""
    try:
        white = brightness(read_file(path)).point(lambda level: 255 * (level > 127))
    except (OSError, UnreadableError) as error:
        raise UserError(f"--mask {path} cannot be read as a picture ({error})") from error
    if white.getbbox() is None:
        raise UserError(f"--mask {path} has no white: white is what will be filled in")
    return white


def _hole(white: Image.Image, width: int, height: int) -> Tensor:
    """Returns where a mask is white, bool ``(H, W)``, scaled to a picture of its shape.

    Raises:
        UnreadableError: the picture is of another shape, or so small that no white is left.
    """
    wide, high = white.size
    # By a pixel of the mask: scaling has rounded one side of it.
    if min(abs(wide * height / width - high), abs(high * width / height - wide)) > 1:
        raise UnreadableError(
            f"--mask has {wide} x {high} pixels, and {width} x {height} are another shape; nearest "
            f"valid: a mask of {width} x {height}, or that at another scale"
        )
    hole = np.array(white.resize((width, height), Image.Resampling.NEAREST)) > 0
    if not hole.any():
        raise UnreadableError(f"--mask has no white left at {width} x {height} pixels")
    return torch.from_numpy(hole)


def _uncertainty(spread: Tensor) -> Tensor:
    """Returns a standard deviation ``(H, W)`` as a picture; full colour is a quarter of the range.

    The scale is fixed, so that pictures can be compared.
    """
    from matplotlib import colormaps

    colour = np.asarray(colormaps["magma"]((spread / 0.5).clamp(0, 1).sqrt().numpy()))[..., :3]
    return torch.from_numpy(np.rint(255 * colour).astype(np.uint8)).permute(2, 0, 1).contiguous()
