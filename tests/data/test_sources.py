import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hiresvae.data.catalogue import resolve
from hiresvae.data.decode import UnreadableError
from hiresvae.data.sources import Item, Source, choose
from hiresvae.errors import UserError


def source(name: object, limit: int | None = None, cache: Path = Path("nowhere")) -> Source:
    return resolve(str(name), side=8, limit=limit, cache=cache)


def names(found: Source) -> list[str]:
    return [item.name for item in found.items()]


def pack(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, raw in members.items():
                archive.writestr(name, raw)
        return path
    with tarfile.open(path, mode) as archive:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def test_folders_are_read_sorted_and_without_hidden_files(folder: Path) -> None:
    for hidden in (".secret.png", "cats/.DS_Store", "__MACOSX/cats/00.png", ".git/x.png"):
        (folder / hidden).parent.mkdir(parents=True, exist_ok=True)
        (folder / hidden).write_bytes(b"x")
    items = list(source(folder).items())
    expected = [f"{'cats' if i < 5 else 'dogs'}/{i:02}.png" for i in range(12)]
    assert [item.name for item in items] == expected
    assert [item.folder for item in items] == ["cats"] * 5 + ["dogs"] * 7
    assert items[3].read() == (folder / "cats/03.png").read_bytes()


def test_identity_follows_content(folder: Path) -> None:
    before = source(folder).identity
    assert source(folder).identity == before
    os.utime(folder / "cats/00.png", ns=(1, 1))
    touched = source(folder).identity
    (folder / "new.png").write_bytes(b"")
    assert len({before, touched, source(folder).identity}) == 3


@pytest.mark.parametrize("file", ["x.png", "x.zip"])
def test_files_of_the_same_name_size_and_time_are_told_apart(tmp_path: Path, file: str) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / file
        if file.endswith("zip"):
            pack(path, {"x.png": name.encode()})
        else:
            path.write_bytes(name.encode())
        os.utime(path, ns=(1, 1))
        found.append(source(path if file.endswith("zip") else path.parent).identity)
    assert found[0] != found[1]


def test_identity_follows_what_a_link_leads_to(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a.png").symlink_to(folder / "cats/00.png")
    before = source(tmp_path / "links").identity
    os.utime(folder / "cats/00.png", ns=(1, 1))
    after = source(tmp_path / "links").identity
    (folder / "cats/00.png").unlink()
    assert len({before, after, source(tmp_path / "links").identity}) == 3


def test_names_in_another_encoding_are_names(tmp_path: Path, encoded: Callable[..., bytes]) -> None:
    (tmp_path / "old").mkdir()
    for i in range(3):
        (tmp_path / "old" / os.fsdecode(b"caf\xe9%d.png" % i)).write_bytes(encoded(i))
    found = source(tmp_path / "old")
    assert len(found.identity) == 64
    assert len(list(choose(found.items(), 2))) == 2


def test_a_folder_that_cannot_be_read_is_listed_with_its_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def locked(path: Path) -> object:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    closed = {"dogs"}
    monkeypatch.setattr("os.scandir", locked)
    items = list(source(folder).items())
    assert [item.name for item in items][-1] == "dogs" and len(items) == 6
    with pytest.raises(UnreadableError, match=r"cannot be read \(Permission denied\)"):
        items[-1].read()
    closed.add("pictures")
    with pytest.raises(UserError, match=r"data.source .* cannot be read \(Permission denied\)"):
        source(folder)


@pytest.mark.parametrize(
    "name", ["~nobody-at-all/x", "~nobody-at-all/x+~nobody-at-all/y", "a" * 300, "a/" + "b" * 300]
)
def test_paths_that_cannot_be_are_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match=r"data\.source '"):
        source(name)


@pytest.mark.parametrize(
    ("file", "mode"), [("a.zip", "w"), ("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")]
)
def test_archives_give_what_the_folder_gives(
    folder: Path, tmp_path: Path, file: str, mode: str
) -> None:
    plain = list(source(folder).items())
    members = {f"./top/{item.name}": item.read() for item in reversed(plain)}
    members["__MACOSX/top/cats/00.png"] = b"x"
    items = list(source(pack(tmp_path / file, members, mode)).items())
    assert [item.name for item in items] == [item.name for item in plain]
    assert [item.folder for item in items] == [item.folder for item in plain]
    # In any order, as threads read them.
    assert [item.read() for item in items[::-1]] == [item.read() for item in plain[::-1]]


@pytest.mark.parametrize("file", ["evil.zip", "evil.tar"])
def test_archives_cannot_climb_out(
    tmp_path: Path, file: str, encoded: Callable[..., bytes]
) -> None:
    (tmp_path / "inner").mkdir()
    members = {"../../up.png": encoded(0), "/abs.png": encoded(1), "..\\win.png": encoded(2)}
    path = pack(tmp_path / "inner" / file, members)
    before = sorted(tmp_path.rglob("*"))
    items = list(source(path).items())
    assert [item.name for item in items] == ["abs.png", "up.png", "win.png"]
    assert [item.read() for item in items] == [encoded(1), encoded(0), encoded(2)]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("soft.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert names(source(path)) == []


def test_members_that_claim_too_much_are_not_read(tmp_path: Path, monkeypatch) -> None:
    path = pack(tmp_path / "bomb.zip", {"a.png": b"0" * 1000})
    monkeypatch.setattr("hiresvae.data.folders.MAX_BYTES", 999)
    (item,) = source(path).items()
    with pytest.raises(UnreadableError, match="gigantic"):
        item.read()


WORDS = r"neither a zip nor a tar|broken or cut short"


@pytest.mark.parametrize("file", ["cut.zip", "cut.tar.gz", "cut.tar.xz", "cut.tar.bz2"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.9])
def test_broken_archives_are_one_sentence(
    folder: Path, tmp_path: Path, file: str, part: float
) -> None:
    members = {item.name: item.read() for item in source(folder).items()}
    ending = file.rpartition(".")[2]
    path = pack(tmp_path / file, members, "w" if ending == "zip" else f"w:{ending}")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * part)])
    with pytest.raises(UserError, match=WORDS):
        list(source(path).items())


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2"])
def test_damaged_archives_are_one_sentence(folder: Path, tmp_path: Path, ending: str) -> None:
    members = {item.name: item.read() for item in source(folder).items()}
    path = pack(tmp_path / f"harmed.tar.{ending}", members, f"w:{ending}")
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 20] = bytes(20)
    path.write_bytes(raw)
    with pytest.raises(UserError, match=WORDS):
        list(source(path).items())


def test_sources_join(folder: Path, tmp_path: Path, encoded: Callable[..., bytes]) -> None:
    other = tmp_path / "more"
    other.mkdir()
    (other / "x.png").write_bytes(encoded(50))
    joined = source(f"{folder} + {other}")
    assert len(names(joined)) == 13
    last = list(joined.items())[-1]
    assert (last.name, last.folder) == ("more/x.png", "more")
    with pytest.raises(UserError, match="nothing beside it"):
        source(f"{folder}+")


def test_a_folder_may_have_a_plus_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a+b").mkdir()
    (tmp_path / "a+b" / "x.png").write_bytes(b"x")
    assert names(source(tmp_path / "a+b")) == ["x.png"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("monett", "did you mean 'monet'"),
        ("embeded:paintings", "did you mean 'embedded:paintings'"),
        ("embedded:paintngs", "did you mean 'paintings'"),
        ("fashion-mnist", "did you mean 'fashion_mnist'"),
    ],
)
def test_misspelt_sources_get_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        source(name)


def test_misspelt_paths_get_the_nearest_beside_them(folder: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean '.*/cats'"):
        source(folder / "cat")


def test_a_single_file_is_no_source(folder: Path) -> None:
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        source(folder / "cats/00.png")


def test_limit_is_an_even_nested_pick() -> None:
    items = [Item(f"{i // 100}/{i}", bytes) for i in range(1000)]
    small, large = (list(choose(items, limit)) for limit in (50, 200))
    assert len(small) == 50 and set(map(id, small)) <= set(map(id, large))
    assert large == sorted(large, key=items.index)
    assert len({item.name[0] for item in small}) == 10, "a pick from everywhere, not the first"
    assert list(choose(iter(items), 3)) == items[:3]
    assert choose(items, None) is items


def test_embedded_paintings_are_drawn_alike_every_time() -> None:
    found = source("embedded:paintings", limit=3)
    items = list(found.items())
    assert [item.name for item in items] == ["paintings 0", "paintings 1", "paintings 2"]
    assert items[1].read().shape == (3, 8, 8)
    assert (items[1].read() == items[1].read()).all()
    assert all(item.label in found.classes for item in items)
    assert source("embedded:paintings", limit=4).identity != found.identity


def test_a_device_is_not_offered_in_its_own_place() -> None:
    with pytest.raises(UserError, match=r"'/dev/null' is no folder.*: a device or a pipe"):
        source("/dev/null")
