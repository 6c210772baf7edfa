import dataclasses
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hiresvae.data import download, named, open_data
from hiresvae.data.decode import Framing
from hiresvae.data.named import named_source
from hiresvae.data.store import open_store
from hiresvae.errors import UserError
from hiresvae.settings import DataSettings

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
    celeba(data)
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


def celeba(data: Path) -> None:
    (data / "celeba/img_align_celeba").mkdir(parents=True)
    for i in range(2):
        Image.new("RGB", (4, 4)).save(data / f"celeba/img_align_celeba/{i}.jpg")
    table = "2\nMale Smiling Young\n0.jpg  1 -1 1\n1.jpg -1  1 1\n"
    (data / "celeba/list_attr_celeba.txt").write_text(table)


def test_another_table_of_attributes_is_another_set(data: Path, cache: Path) -> None:
    celeba(data)
    before = named_source("celeba", cache).identity
    with (data / "celeba/list_attr_celeba.txt").open("a") as file:
        file.write("2.jpg 1 1 1\n")
    assert named_source("celeba", cache).identity != before


def test_a_stray_file_among_faces_has_no_class(data: Path, cache: Path) -> None:
    celeba(data)
    (data / "celeba/img_align_celeba/Thumbs.db").write_bytes(b"x")
    items = named_source("celeba", cache).items()
    assert {item.name: item.label for item in items} == {
        "0.jpg": "not smiling", "1.jpg": "smiling", "Thumbs.db": "",
    }  # fmt: skip
    opened = open_data(DataSettings(source="celeba", size=8, labels="set"), progress=False)
    assert opened.names == ("0.jpg", "1.jpg") and opened.labels.tolist() == [0, 1]
    Image.new("RGB", (4, 4), "red").save(data / "celeba/img_align_celeba/new.jpg")
    with pytest.raises(UserError, match=r"class of 1 of 3 pictures, the first is 'new\.jpg'"):
        open_data(DataSettings(source="celeba", size=8, labels="set"), progress=False)


@pytest.mark.parametrize("table", ["", "2\n", "2\nMale Young\n0.jpg 1 1\n", "2\nSmiling\n0.jpg\n"])
def test_a_broken_table_of_attributes_is_a_sentence(data: Path, cache: Path, table: str) -> None:
    celeba(data)
    (data / "celeba/list_attr_celeba.txt").write_text(table)
    with pytest.raises(UserError, match=r"celeba: list_attr_celeba\.txt is broken"):
        named_source("celeba", cache).items()


def test_lfw_and_its_table(data: Path, cache: Path, encoded: Callable[..., bytes]) -> None:
    with tarfile.open(data / "lfw.tar", "w") as archive:
        for name, raw in (("a.jpg", encoded(0)), ("b.jpg", encoded(1)), ("Thumbs.db", b"x")):
            info = tarfile.TarInfo(f"lfw/{name}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    (data / "lfw").mkdir()
    (data / "lfw/attributes.csv").write_text("file,Smiling\na.jpg,0.9\nb.jpg,0.2\n")
    labels = {item.name: item.label for item in named_source("lfw", cache).items()}
    assert labels == {"a.jpg": "smiling", "b.jpg": "not smiling", "Thumbs.db": ""}
    (data / "lfw/attributes.csv").write_text("file,Male\na.jpg,0.9\n")
    with pytest.raises(UserError, match=r"lfw: attributes\.csv is broken"):
        named_source("lfw", cache).items()


COLUMBIA = "# lfw_attributes.txt - attributes\n# person\timagenum\tMale\tSmiling\n"


def test_lfw_as_it_is_downloaded_and_its_published_scores(
    data: Path, cache: Path, encoded: Callable[..., bytes]
) -> None:
    place = cache / "sets/lfw"
    place.mkdir(parents=True)
    with tarfile.open(place / "lfw-funneled.tgz", "w:gz") as archive:
        names = ("A_B/A_B_0001.jpg", "A_B/A_B_0012.jpg", "C_D/C_D_0001.jpg", "pairs_01.txt")
        for i, name in enumerate(names):
            info = tarfile.TarInfo(f"lfw_funneled/{name}")
            raw = encoded(i) if name.endswith("jpg") else b"1"
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    without = DataSettings(source="lfw", size=8, labels="set", cache=str(cache))
    with pytest.raises(UserError, match=r"put lfw/lfw_attributes\.txt, .* of HIRESVAE_DATA"):
        open_data(without, progress=False)

    # One face has no scores, as some of the published ones have not.
    for table in (data / "lfw/lfw_attributes.txt", place / "lfw_attributes.txt"):
        table.parent.mkdir(exist_ok=True)
        table.write_text(f"{COLUMBIA}A B\t1\t0.1\t-0.5\nA B\t12\t-3\t1.5\n")
        labels = {Path(item.name).name: item.label for item in named_source("lfw", cache).items()}
        assert labels == {"A_B_0001.jpg": "not smiling", "A_B_0012.jpg": "smiling"}
        table.unlink()


@pytest.mark.parametrize(
    "table",
    ["", "# x\n", "# x\n# person\tMale\nA\t1\n", f"{COLUMBIA}A B\n", f"{COLUMBIA}A\tx\t1\t1\n"],
)
def test_broken_scores_of_lfw_are_a_sentence(
    data: Path, cache: Path, table: str, encoded: Callable[..., bytes]
) -> None:
    (data / "lfw").mkdir()
    with tarfile.open(data / "lfw.tar", "w") as archive:
        info = tarfile.TarInfo("lfw/A_B_0001.jpg")
        info.size = len(encoded(0))
        archive.addfile(info, io.BytesIO(encoded(0)))
    (data / "lfw/lfw_attributes.txt").write_text(table)
    with pytest.raises(UserError, match=r"lfw: lfw_attributes\.txt is broken"):
        named_source("lfw", cache).items()


def textures(data: Path) -> Path:
    (data / "textures").mkdir()
    path = data / "textures/textures_28px.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    np.savez(path, classes=["a", "b"], train=pictures, train_labels=np.arange(20) % 2)
    return path


@pytest.mark.parametrize("part", [0.0, 0.3, 0.8, 0.99])
def test_packed_arrays_that_are_cut_are_a_sentence(data: Path, cache: Path, part: float) -> None:
    path = textures(data)
    assert len(list(named_source("textures", cache).items())) == 20
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * part)])
    with pytest.raises(UserError, match=r"textures: textures_28px\.npz is broken"):
        named_source("textures", cache).items()


def test_packed_arrays_with_a_flipped_bit_are_a_sentence(data: Path, cache: Path) -> None:
    path = textures(data)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"train.npy") + 5000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"textures: textures_28px\.npz is broken"):
        named_source("textures", cache).items()


def test_a_label_beyond_the_classes_is_a_sentence(data: Path, cache: Path) -> None:
    (data / "mnist").mkdir()
    pictures = np.zeros((2, 4, 4), np.uint8)
    (data / "mnist/train-images-idx3-ubyte.gz").write_bytes(idx(pictures))
    (data / "mnist/train-labels-idx1-ubyte.gz").write_bytes(idx(np.array([3, 10], np.uint8)))
    with pytest.raises(UserError, match=r"mnist: .* is broken"):
        named_source("mnist", cache).items()


def test_a_home_folder_that_is_not_there_is_a_sentence(cache: Path, monkeypatch) -> None:
    monkeypatch.setenv("HIRESVAE_DATA", "~nobody-at-all/data")
    with pytest.raises(UserError, match="HIRESVAE_DATA '~nobody-at-all/data'"):
        named_source("monet", cache)


@pytest.mark.parametrize("side", [28, 32])
def test_arrays_are_stored_as_threads_would_store_them(data: Path, cache: Path, side: int) -> None:
    textures(data)
    source = named_source("textures", cache)
    assert source.in_memory
    stores = [
        open_store(
            dataclasses.replace(source, in_memory=in_memory), Framing(side),
            limit=None, cache=cache / str(in_memory), progress=False,
        )
        for in_memory in (True, False)
    ]  # fmt: skip
    assert (stores[0].pictures == stores[1].pictures).all()
    one, other = ((store.folder / "header.json").read_bytes() for store in stores)
    assert one == other
    assert stores[0].folder.name == stores[1].folder.name


def test_many_small_pictures_keep_pixels_and_labels(data: Path, cache: Path) -> None:
    (data / "mnist").mkdir()
    count = 6000  # more than one batch
    pictures = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    (data / "mnist/train-images-idx3-ubyte.gz").write_bytes(idx(pictures))
    labels = (np.arange(count) % 10).astype(np.uint8)
    (data / "mnist/train-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    opened = open_data(DataSettings(source="mnist", size=28, labels="set"), progress=False)
    assert (opened.pictures[:, 0] == pictures).all() and (opened.labels == labels).all()
