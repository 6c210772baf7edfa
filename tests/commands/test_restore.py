"""What is skipped and what is refused; what it makes of pictures is in `test_uses.py`."""

import numpy as np
import pytest
from PIL import Image

from hiresvae.commands.restore import _hole, run
from hiresvae.data.decode import UnreadableError


@pytest.fixture
def flat(tmp_path):
    Image.new("RGB", (20, 12), "teal").save(tmp_path / "flat.png")
    return tmp_path / "flat.png"


def mask(tmp_path, size, box=None):
    """A picture with a white box; without one it is white."""
    made = Image.new("L", size, 255 if box is None else 0)
    if box is not None:
        made.paste(255, box)
    made.save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.mark.parametrize("side", [9_000, 9_700, 12_000])
def test_a_picture_too_large_is_skipped_by_name(trained, flat, tmp_path, capsys, huge, side):
    out = tmp_path / "out"
    asked = {"model": str(trained), "out": out, "answers": 1, "device": "cpu"}
    assert run(paths=[huge(side, side), flat], **asked) == [out / "flat_restored.png"]
    assert f"huge.png: gigantic: {side} x {side} pixels, more than" in capsys.readouterr().out


@pytest.mark.parametrize("resize", [False, True])
def test_what_is_no_picture_has_its_reason(trained, tmp_path, refused, resize):
    (tmp_path / "bad.png").write_text("no picture")
    with refused("no pictures to restore in", "bad.png: not a picture"):
        run(
            model=str(trained), paths=[tmp_path / "bad.png"], out=tmp_path / "out", resize=resize,
            device="cpu",
        )  # fmt: skip


def test_a_mask_of_another_shape_is_refused(trained, flat, tmp_path, refused, capsys):
    square = tmp_path / "square.png"
    Image.new("RGB", (16, 16), "teal").save(square)
    asked = {"model": str(trained), "rounds": 1, "answers": 1, "device": "cpu"}
    asked |= {"mask": mask(tmp_path, (64, 64), (0, 0, 32, 32)), "out": tmp_path / "out"}
    with refused("64 x 64 pixels", "20 x 12 are another", "nearest valid: a mask of 20 x 12"):
        run(paths=[flat], **asked)
    assert not (tmp_path / "out").exists()
    assert run(paths=[flat, square], **asked) == [tmp_path / "out" / "square_restored.png"]
    assert "flat.png: --mask has 64 x 64" in capsys.readouterr().out


def test_a_mask_without_white_is_refused_before_anything(trained, flat, tmp_path, refused):
    black = mask(tmp_path, (20, 12), (0, 0, 0, 0))
    with refused("has no white"):
        run(model=str(trained), paths=[flat], mask=black, out=tmp_path / "out", device="cpu")
    with refused("cannot be read as a picture (not a picture)"):
        black.write_text("no picture")
        run(model=str(trained), paths=[flat], mask=black, out=tmp_path / "out", device="cpu")


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ((200, 60), True), ((400, 120), True), ((100, 30), True), ((33, 10), True),
        ((64, 64), False), ((60, 200), False), ((200, 80), False), ((100, 32), False),
    ],
)  # fmt: skip
def test_a_mask_is_scaled_to_pictures_of_its_shape(size, fits):
    white = Image.new("L", size)
    white.paste(255, (0, 0, size[0] // 2, size[1]))
    if not fits:
        with pytest.raises(UnreadableError, match="another shape"):
            _hole(white, 200, 60)
        return
    hole = _hole(white, 200, 60).numpy()
    assert hole.shape == (60, 200) and hole[:, :90].all() and not hole[:, 110:].any()


def test_white_that_scaling_loses_is_told():
    white = Image.new("L", (1000, 1000))
    white.putpixel((1, 1), 255)
    with pytest.raises(UnreadableError, match="no white left at 10 x 10"):
        _hole(white, 10, 10)
    assert np.asarray(_hole(white, 1000, 1000)).sum() == 1
