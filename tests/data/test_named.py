import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiresvae.data import download, named
from hiresvae.data.named import named_source
from hiresvae.errors import UserError

NOWHERE = "http://127.0.0.1:9/file"


def idx(values: np.ndarray) -> bytes:
    sides = np.array(values.shape, ">u4").tobytes()
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + sides + values.tobytes())


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIRESVAE_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(named, "MONET_URL", NOWHERE)
    monkeypatch.setattr(named, "LFW_URL", NOWHERE)
    monkeypatch.setattr(named, "DEBIAN_FASHION", Path("nowhere"))
    from torchvision import datasets

    monkeypatch.setattr(datasets.MNIST, "mirrors", [NOWHERE + "/"])
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [NOWHERE + "/"])
    monkeypatch.setattr(datasets.CIFAR10, "url", NOWHERE)
    monkeypatch.setattr(datasets.DTD, "_URL", NOWHERE)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", sorted(set(named.SETS) - {"celeba", "documents"}))
def test_without_network_one_sentence_says_what_to_do(
    name: str, cache: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(UserError) as caught:
        named_source(name, cache)
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} is not on this machine")
    assert "$HIRESVAE_DATA/" in sentence and "embedded:paintings" in sentence
    assert not capsys.readouterr().out, "libraries' chatter must not reach stdout"


def test_documents_are_not_downloaded(cache: Path) -> None:
    with pytest.raises(UserError, match=r"put .* by hand"):
        named_source("documents", cache)


def test_monet_in_the_data_folder(data: Path, cache: Path, encoded: Callable[..., bytes]) -> None:
    (data / "monet/train").mkdir(parents=True)
    (data / "monet/test").mkdir()
    (data / "monet/train/a.jpg").write_bytes(encoded(0, format="JPEG"))
    (data / "monet/test/b.jpg").write_bytes(encoded(1, format="JPEG"))
    assert [item.name for item in named_source("monet", cache).items()] == ["a.jpg"]


@pytest.mark.parametrize("count", [3, 2])
def test_a_downloaded_monet_is_counted(
    cache: Path, monkeypatch: pytest.MonkeyPatch, encoded: Callable[..., bytes], count: int
) -> None:
    path = cache / "sets/monet/monet2photo.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for part, number in (("trainA", count), ("trainB", 2), ("testA", 1)):
            for i in range(number):
                archive.writestr(f"monet2photo/{part}/{i}.jpg", encoded(i, format="JPEG"))
    monkeypatch.setattr(named, "MONET_COUNT", 3)
    monkeypatch.setattr(named, "MONET_URL", NOWHERE)
    if count == 3:
        items = list(named_source("monet", cache).items())
        assert [item.name for item in items] == ["0.jpg", "1.jpg", "2.jpg"]
    else:
        with pytest.raises(UserError, match="has 2 pictures, not 3; it has been removed"):
            named_source("monet", cache)
        assert not path.exists()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files(data: Path, cache: Path, name: str) -> None:
    pictures = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    (data / name).mkdir()
    (data / name / "train-images-idx3-ubyte.gz").write_bytes(idx(pictures))
    (data / name / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.array([3, 0, 9], np.uint8)))
    source = named_source(name, cache)
    items = list(source.items())
    assert [item.name for item in items] == [f"{name} train {i}" for i in range(3)]
    assert [source.classes.index(item.label) for item in items] == [3, 0, 9]
    assert (items[2].read() == pictures[2]).all()
    (data / name / "train-labels-idx1-ubyte.gz").write_bytes(b"junk")
    with pytest.raises(UserError, match="broken"):
        named_source(name, cache).items()
    (data / name / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match="missing"):
        named_source(name, cache)


def test_celeba_with_attributes(data: Path, cache: Path) -> None:
    (data / "celeba/img_align_celeba").mkdir(parents=True)
    for i in range(2):
        Image.new("RGB", (4, 4)).save(data / f"celeba/img_align_celeba/{i}.jpg")
    table = "2\nMale Smiling Young\n0.jpg  1 -1 1\n1.jpg -1  1 1\n"
    (data / "celeba/list_attr_celeba.txt").write_text(table)
    items = named_source("celeba", cache).items()
    assert [item.label for item in items] == ["not smiling", "smiling"]


@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [("monet", 1192, 0), ("lfw", 5767, 2), ("mnist", 60_000, 10), ("cifar10", 10_000, 10),
     ("textures", 4253, 10), ("documents", 82, 2)],
)  # fmt: skip
def test_real_sets(
    real_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, count: int, classes: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("HIRESVAE_DATA", str(real_data))
    source = named_source(name, cache)
    items = list(source.items())
    assert len(items) == count
    assert len({item.label for item in items} - {""}) == classes
    assert len(items[0].read()) > 0
    if name == "lfw":
        assert sum(item.label == "smiling" for item in items) == 1808


def test_an_empty_folder_of_a_failed_download_is_as_good_as_none(tmp_path: Path) -> None:
    from hiresvae.data.named import _filled

    assert _filled(tmp_path) is None
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    assert _filled(tmp_path) == tmp_path
