from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hiresvae.colour import lab as to_lab
from hiresvae.data import PictureData, open_data
from hiresvae.data.labels import cluster_features
from hiresvae.errors import UserError
from hiresvae.settings import DataSettings


def labelled(source: object, labels: str) -> PictureData:
    return open_data(DataSettings(source=str(source), size=16, labels=labels), progress=False)


def table(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_none(folder: Path) -> None:
    data = labelled(folder, "none")
    assert data.labels is None and data.classes == ()


def test_folders(folder: Path) -> None:
    data = labelled(folder, "folders")
    assert data.classes == ("cats", "dogs") and data.labels.dtype == np.int64
    assert data.labels.tolist() == [0] * 5 + [1] * 7
    assert data.report.classes == {"cats": 5, "dogs": 7}
    with pytest.raises(UserError, match="in no sub-folder"):
        labelled(folder / "cats", "folders")


def test_joined_folders_are_classes(folder: Path) -> None:
    data = labelled(f"{folder / 'cats'}+{folder / 'dogs'}", "folders")
    assert data.classes == ("cats", "dogs") and data.labels.sum() == 7


def test_set(folder: Path) -> None:
    with pytest.raises(UserError, match="no classes of its own"):
        labelled(folder, "set")
    settings = DataSettings(source="embedded:paintings", size=8, limit=10, labels="set")
    data = open_data(settings, progress=False)
    from hiresvae.data.embedded import paintings

    assert data.classes == tuple(paintings.CLASSES)
    assert data.labels.tolist() == [paintings.label(i, seed=0) for i in range(10)]


@pytest.mark.parametrize("form", ["{}/{:02}.png", "{:.0}{:02}.png"], ids=["whole", "bare"])
@pytest.mark.parametrize("key", ["file", "Image", "whatever"])
def test_a_column_of_a_table(folder: Path, tmp_path: Path, form: str, key: str) -> None:
    rows = [f"{form.format('cats' if i < 5 else 'dogs', i)},{i % 3}" for i in range(12)]
    path = table(tmp_path / "t.csv", f"{key},size of ears\n" + "\n".join(reversed(rows)))
    data = labelled(folder, f"csv:{path}:size of ears")
    assert data.classes == ("0", "1", "2")
    assert data.labels.tolist() == [i % 3 for i in range(12)]


def test_shares_are_cut_in_half_and_numbers_sorted_by_size(folder: Path, tmp_path: Path) -> None:
    head = "file,smiling,year\n"
    rows = "".join(f"{i:02}.png,{i / 12},{95 + i}\n" for i in range(12))
    path = table(tmp_path / "t.csv", head + rows)
    data = labelled(folder, f"csv:{path}:smiling")
    assert data.classes == ("not smiling", "smiling")
    assert data.labels.tolist() == [0] * 7 + [1] * 5
    assert labelled(folder, f"csv:{path}:year").labels.tolist() == list(range(12))


def test_mistakes_in_tables(folder: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "table.csv", "file,colour\n00.png,red\n")
    for spec, sentence in {
        f"csv:{path}:color": "did you mean 'colour'",
        f"csv:{path[:-5]}.csv:colour": r"did you mean '.*table\.csv'",
        f"csv:{path}:colour": "for 11 of 12 pictures, the first is 'cats/01.png'",
        "csv:colour": "needs a file and a column: 'csv:FILE:COLUMN'",
        "csv:~nobody-at-all/t.csv:colour": "data.labels '~nobody-at-all/t.csv' begins with a home",
        f"csv:{table(tmp_path / 'empty.csv', '')}:colour": r"empty\.csv is empty; its first line",
        f"csv:{table(tmp_path / 'blank.csv', chr(10) * 3)}:colour": r"blank\.csv is empty",
        "folder": "did you mean 'folders'",
        "clusters:many": "is missing or no number; nearest valid: 'clusters:8'",
        "clusters:13": "K must be 2 to 12",
        "clusters:1": "clusters may be 2 to 1000; nearest valid: 'clusters:2'",
    }.items():
        with pytest.raises(UserError, match=sentence):
            labelled(folder, spec)


def test_clusters_find_what_differs_and_count_from_dark_to_light(
    tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    folder = tmp_path / "colours"
    folder.mkdir()
    bright = {"a": (30, 20, 60), "b": (200, 210, 230), "c": (120, 90, 20)}
    for i in range(30):
        base = np.array(bright["abc"[i % 3]]) + rng.integers(-9, 10, (24, 24, 3))
        Image.fromarray(base.clip(0, 255).astype(np.uint8)).save(folder / f"{i:02}.png")
    data = labelled(folder, "clusters:3")
    assert data.classes == ("cluster 0", "cluster 1", "cluster 2")
    assert data.labels.tolist() == [(0, 2, 1)[i % 3] for i in range(30)]
    assert labelled(folder, "clusters:3").labels.tolist() == data.labels.tolist()


def test_clusters_are_kept_and_broken_ones_made_again(folder: Path, cache: Path) -> None:
    first = labelled(folder, "clusters:4").labels
    (path,) = cache.rglob("clusters_4.npy")
    np.save(path, first[::-1].copy())
    assert labelled(folder, "clusters:4").labels.tolist() == first[::-1].tolist()
    path.write_bytes(b"\x93NUMPY")
    assert labelled(folder, "clusters:4").labels.tolist() == first.tolist()


def test_features_know_colour_and_texture() -> None:
    import torch

    rgb = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]).view(3, 3, 1, 1)
    lab = to_lab(rgb).flatten(1)
    known = torch.tensor([[100.0, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]])
    assert torch.allclose(lab, known, atol=0.05), "CIE values of white, black and sRGB red"
    flat = np.full((1, 1, 16, 16), 128, np.uint8)
    rough = flat + np.random.default_rng(0).integers(-40, 40, flat.shape).astype(np.uint8)
    features = cluster_features(np.concatenate([flat, rough]))
    assert features.shape == (2, 50) and (features[1, 48:] > features[0, 48:] + 2).all()
