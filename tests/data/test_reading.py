import bz2
import lzma
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hiresvae.data.reading import Read, read_pictures
from hiresvae.errors import UserError


def read(path: Path) -> Read:
    return read_pictures(path, size=8, channels=3)


def test_a_file_a_folder_and_an_archive_give_the_same(folder: Path, tmp_path: Path) -> None:
    whole = read(folder)
    assert whole.pictures.shape == (12, 3, 8, 8) and whole.names[0] == "cats/00.png"
    assert (read(folder / "cats/00.png").pictures[0] == whole.pictures[0]).all()
    for kind in ("zip", "gztar", "xztar", "bztar"):
        packed = Path(shutil.make_archive(str(tmp_path / "packed"), kind, folder))
        unnamed = packed.rename(tmp_path / f"{kind} without an ending")
        found = read(unnamed)
        assert found.names == whole.names and (found.pictures == whole.pictures).all()


def test_a_path_is_never_a_named_set(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIRESVAE_DATA", str(tmp_path / "data"))
    shutil.copytree(folder / "dogs", tmp_path / "data/monet/train")
    shutil.copytree(folder / "cats", tmp_path / "monet")
    for path in (Path("monet"), Path("./monet")):
        assert read(path).names == [f"{i:02}.png" for i in range(5)]


def test_what_cannot_be_used_has_its_reason(
    folder: Path, tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "nowhere.png").symlink_to(tmp_path / "nothing")
    (folder / "text.png").write_text("hello")
    found = read(folder)
    assert len(found.names) == 12
    assert dict(found.skipped) == {
        "pipe.png": "no regular file",
        "zero.png": "no regular file",
        "nowhere.png": "cannot be read: No such file or directory",
        "text.png": "not a picture",
    }
    assert read(folder / "pipe.png").skipped == [("pipe.png", "no regular file")]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bz2", "xz"])
def test_a_packed_file_that_is_no_tar_is_a_sentence(tmp_path: Path, pack) -> None:
    path = tmp_path / f"notes.{'bz2' if pack is bz2.compress else 'xz'}"
    path.write_bytes(pack(b"hello"))
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        read(path)


def zipped(path: Path, raw: bytes) -> bytearray:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", raw)
        archive.writestr("b.png", raw)
    return bytearray(path.read_bytes())


def test_members_that_cannot_be_read_have_their_reasons(
    tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    path = tmp_path / "a.zip"
    raw = zipped(path, encoded(0))
    raw[raw.index(b"IDAT") + 20] ^= 1
    path.write_bytes(raw)
    found = read(path)
    assert found.names == ["b.png"] and "Bad CRC-32" in found.skipped[0][1]

    raw = zipped(path, encoded(0))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1  # the flag of encryption
    path.write_bytes(raw)
    found = read(path)
    assert found.names == ["b.png"] and "is encrypted" in found.skipped[0][1]


def test_a_picture_with_a_zip_behind_it_is_a_picture(
    tmp_path: Path, encoded: Callable[..., bytes]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(0) + zipped(tmp_path / "b.zip", b"x"))
    assert read(path).names == ["a.png"]


@pytest.mark.parametrize("name", ["nothing.png", "a" * 300, "a" * 300 + ".zip"])
def test_paths_that_are_not_there_are_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"does not exist|cannot be read \(File name too long\)"):
        read(tmp_path / name)
