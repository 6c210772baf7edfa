import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hiresvae import images
from hiresvae.errors import UserError


def test_bytes_survive_the_way_to_the_network_and_back():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    there = images.to_float(every)
    assert there.dtype == torch.float32
    assert (there.min(), there.max()) == (-1, 1)
    assert torch.equal(images.to_uint8(there), every)


def test_pictures_handed_over_are_not_written_to():
    pictures = torch.full((1, 3, 2, 2), 7, dtype=torch.uint8)
    floats = images.to_float(pictures)
    before = floats.clone()
    images.to_uint8(floats)
    assert (pictures == 7).all()
    assert torch.equal(floats, before)


@given(st.floats(-1, 1), st.floats(0, 0.1))
def test_a_grey_image_stays_grey(level, spread):
    """The range is fixed: neither is one value stretched, nor a batch to its own extremes."""
    flat = torch.full((2, 3, 2, 2), level)
    flat[1] += spread
    made = images.to_uint8(flat).int()
    assert made[0].unique().numel() == 1
    assert abs(made[0, 0, 0, 0].item() - (level + 1) * 127.5) <= 0.51
    assert (made[1] - made[0]).max() <= spread * 127.5 + 1


def test_what_lies_outside_is_clipped():
    assert images.to_uint8(torch.tensor([[-9.0, 9.0]])).tolist() == [[0, 255]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_nothing_is_rescaled_twice(dtype):
    with pytest.raises(TypeError, match="must be uint8"):
        images.to_float(torch.zeros(1, 3, 2, 2, dtype=dtype))


def test_a_grid_has_each_picture_in_its_place_on_white():
    pictures = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 4, 6)
    sheet = images.grid(pictures)
    assert sheet.shape == (3, 2 * 4 + 2, 3 * 6 + 2 * 2), "about square: three columns"
    for i in range(5):
        y, x = i // 3 * 6, i % 3 * 8
        assert (sheet[:, y : y + 4, x : x + 6] == i).all()
    assert (sheet[:, 4:6] == 255).all()
    assert (sheet[:, 6:, 16:] == 255).all(), "the last place is empty"


def test_a_grid_has_as_many_columns_as_asked_and_as_there_are():
    pictures = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    assert images.grid(pictures, columns=1).shape == (1, 10, 2)
    assert images.grid(pictures, columns=8).shape == (1, 2, 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_same_bytes(tmp_path, channels):
    picture = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    path = tmp_path / "new" / "a.png"
    images.save(picture, path)
    with Image.open(path) as file:
        assert file.mode == {1: "L", 3: "RGB"}[channels]
        array = np.asarray(file)
    assert (array.reshape(5, 7, channels).transpose(2, 0, 1) == picture.numpy()).all()
    assert [p.name for p in path.parent.iterdir()] == ["a.png"], "nothing is left beside it"


@pytest.mark.parametrize(("ending", "most"), [("webp", 16_383), ("jpg", 65_500), ("jpeg", 65_500)])
def test_a_picture_that_its_format_cannot_hold_is_a_sentence(tmp_path, ending, most):
    path = tmp_path / "new" / f"grid.{ending}"
    with pytest.raises(UserError, match=rf"{most + 1} pixels long, .* {most} at most; .*grid\.png"):
        images.save(torch.zeros(1, 1, most + 1, dtype=torch.uint8), path)
    assert not path.parent.exists()
    images.save(torch.zeros(1, 1, most, dtype=torch.uint8), path)
    with Image.open(path) as file:
        assert file.size == (most, 1)
    images.check_side(tmp_path / "a.png", 10**9)


@given(st.integers(1, 30), st.integers(1, 9), st.none() | st.integers(1, 40))
def test_the_shape_of_a_grid_is_known_before(count, side, columns):
    pictures = torch.zeros(count, 1, side, side + 1, dtype=torch.uint8)
    shape = images.grid(pictures, columns).shape
    assert shape[1:] == images.grid_shape(count, side, side + 1, columns)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_other_formats_are_what_their_ending_says(tmp_path, ending):
    images.save(torch.full((3, 16, 16), 99, dtype=torch.uint8), tmp_path / f"a.{ending}")
    with Image.open(tmp_path / f"a.{ending}") as file:
        assert file.format == {"jpg": "JPEG", "webp": "WEBP"}[ending]
        assert abs(np.asarray(file).astype(int) - 99).max() <= 3
