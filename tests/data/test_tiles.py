from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiresvae.data import open_data
from hiresvae.data.decode import Framing, decode, whole
from hiresvae.data.tiles import page_of, starts
from hiresvae.settings import DataSettings

RNG = np.random.default_rng(0)


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, np.ndarray]:
    """Twelve grey pages of different sizes, by name, and a file that is none."""
    folder = tmp_path / "pages"
    folder.mkdir()
    found = {}
    for i in range(12):
        found[f"{i:02}.png"] = RNG.integers(0, 256, (32 + i, 50 - i), dtype=np.uint8)
        Image.fromarray(found[f"{i:02}.png"]).save(folder / f"{i:02}.png")
    (folder / "text.png").write_text("hello")
    return found


def settings(tmp_path: Path, **more: object) -> DataSettings:
    return DataSettings(source=str(tmp_path / "pages"), size=8, crop="tiles", **more)


def test_tiles_are_the_pages_own_pixels(tmp_path: Path, pages: dict[str, np.ndarray]) -> None:
    data = open_data(settings(tmp_path))
    assert data.pictures.shape[1:] == (1, 16, 16)
    for name, tile in zip(data.names, data.pictures, strict=True):
        y, x = map(int, name.rpartition(" at ")[2].split(","))
        assert (pages[page_of(name)][y : y + 16, x : x + 16] == tile[0]).all()
    assert {page_of(name) for name in data.names} == set(pages)
    assert data.report.skipped == [("text.png", "not a picture")]


@pytest.mark.parametrize("length", [16, 17, 24, 33, 100])
def test_every_window_lies_whole_in_one_tile(length: int) -> None:
    tiles = [range(start, start + 16) for start in starts(length, 16)]
    assert tiles[-1].stop == length
    for place in range(length - 7):
        assert any(place in tile and place + 7 in tile for tile in tiles)


def test_the_tiles_of_a_page_are_on_one_side(tmp_path: Path, pages: dict) -> None:
    data = open_data(settings(tmp_path, held_out=0.3))
    train, held = ({page_of(data.names[i]) for i in part} for part in (data.train, data.held_out))
    assert train and held and not train & held
    assert len(train | held) == len(pages)


def test_a_tile_has_its_pages_label(tmp_path: Path, pages: dict) -> None:
    rows = "".join(f"{name},{'odd' if i % 2 else 'even'}\n" for i, name in enumerate(pages))
    (tmp_path / "kinds.csv").write_text("file,kind\n" + rows)
    data = open_data(settings(tmp_path, labels=f"csv:{tmp_path / 'kinds.csv'}:kind"))
    assert data.classes == ("even", "odd")
    assert data.labels.tolist() == [int(name[:2]) % 2 for name in data.names]


def test_a_name_that_looks_like_a_tile_is_its_own_page() -> None:
    assert page_of("a at 3,4.png") == "a at 3,4.png"
    assert page_of("a at 3,4.png at 0,8") == "a at 3,4.png"


def test_the_limit_counts_pages(tmp_path: Path, pages: dict) -> None:
    names = open_data(settings(tmp_path, limit=5)).names
    found = {page_of(name) for name in names}
    assert len(found) in (4, 5), "one of the five may be no picture"
    assert len(names) > 5


def test_a_small_picture_is_one_padded_tile(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    pixels = RNG.integers(0, 255, (10, 20), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pages/a.png")
    data = open_data(settings(tmp_path, pad="white", held_out=0.0))
    assert data.names == ("a.png at 0,0", "a.png at 0,4")
    assert (data.pictures[0, 0, 3:13] == pixels[:, :16]).all()
    assert (data.pictures[0, 0, :3] == 255).all() and (data.pictures[0, 0, 13:] == 255).all()


def test_a_picture_by_itself_is_cut_without_scaling() -> None:
    pixels = RNG.integers(0, 256, (30, 21), dtype=np.uint8)
    assert (decode(pixels, Framing(16, crop="tiles")).pixels[0] == pixels[7:23, 2:18]).all()


@pytest.mark.parametrize(("channels", "planes"), [("auto", 3), (1, 1), (3, 3)])
def test_whole_pictures_keep_their_size(channels, planes: int) -> None:
    pixels = RNG.integers(0, 256, (3, 9, 7), dtype=np.uint8)
    found = whole(pixels, channels)
    assert found.shape == (planes, 9, 7) and found.dtype == np.uint8
    assert planes == 1 or (found == pixels).all()
    assert whole(pixels[0], channels).shape[0] == (3 if channels == 3 else 1)
