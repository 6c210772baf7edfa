import os
from pathlib import Path

import pytest

from hiresvae.data.decode import UnreadableError
from hiresvae.data.folders import read_file, walk


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_linked_folders_are_read_under_their_names(tmp_path: Path) -> None:
    tree(tmp_path / "pool", "a.png", "deep/b.png")
    folder = tree(tmp_path / "set", "c.png")
    (folder / "more").symlink_to(tmp_path / "pool")
    found = walk(folder)
    assert sorted(found.files) == ["c.png", "more/a.png", "more/deep/b.png"]
    assert found.files["more/a.png"].read_bytes() == b"a.png"
    assert not found.left_out


def test_circles_end_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "z/a.png")
    (folder / "z" / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "z")
    (folder / "itself").symlink_to(folder / "itself")
    found = walk(folder)
    assert sorted(found.files) == ["itself", "z/a.png"], "what is no link goes before links"
    assert set(found.left_out) == {"again", "z/up"}
    assert all("read already" in reason for reason in found.left_out.values())
    with pytest.raises(OSError, match="symbolic links"):
        read_file(found.files["itself"])


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(UnreadableError, match="no regular file"):
        read_file(path)
