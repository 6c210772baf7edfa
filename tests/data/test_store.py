import errno
import json
import multiprocessing
import os
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hiresvae.data import store as store_module
from hiresvae.data.decode import Framing, decode
from hiresvae.data.sources import Item, Source, folder_source
from hiresvae.data.store import Store, cache_folder, open_store
from hiresvae.errors import UserError

FRAMING = Framing(16)


def opened(folder: Path, cache: Path, framing: Framing = FRAMING) -> Store:
    source = folder_source(folder, "f")
    return open_store(source, framing, limit=None, cache=cache, progress=False)


def the_store(cache: Path) -> Path:
    (header,) = (cache / "stores").glob("*/header.json")
    return header.parent


def test_pictures_are_stored_as_they_decode(folder: Path, cache: Path) -> None:
    store = opened(folder, cache)
    assert store.pictures.shape == (12, 3, 16, 16) and isinstance(store.pictures, np.memmap)
    for name, pixels in zip(store.header.names, store.pictures, strict=True):
        assert (pixels == decode((folder / name).read_bytes(), FRAMING).pixels).all()
    assert store.header.sizes[0] == [20, 14]
    assert not store.pictures.flags.writeable


def test_a_store_is_built_once(folder: Path, cache: Path, monkeypatch) -> None:
    first = opened(folder, cache)
    monkeypatch.setattr(store_module, "_build", None)
    again = opened(folder, cache)
    assert (again.pictures == first.pictures).all() and again.header == first.header


def test_settings_and_content_make_another_store(folder: Path, cache: Path) -> None:
    opened(folder, cache)
    opened(folder, cache, Framing(8))
    opened(folder, cache, Framing(16, crop="none"))
    (folder / "cats/00.png").unlink()
    assert len(opened(folder, cache).header.names) == 11
    assert len(list((cache / "stores").glob("*/header.json"))) == 4


def test_bad_files_are_listed_and_copies_keep_their_hash(
    folder: Path, cache: Path, encoded: Callable[..., bytes]
) -> None:
    (folder / "cats/text.png").write_text("hello")
    (folder / "cats/empty.png").touch()
    (folder / "cats/cut.png").write_bytes(encoded(0)[:300])
    (folder / "dogs/copy.png").write_bytes(encoded(0))
    header = opened(folder, cache).header
    assert header.found == 16 and len(header.names) == 13
    reasons = dict(map(tuple, header.skipped))
    assert reasons["cats/text.png"] == "not a picture"
    assert reasons["cats/empty.png"] == "empty file"
    assert reasons["cats/cut.png"].startswith("broken")
    assert header.digests.count(header.digests[0]) == 2


def test_grey_only_if_every_picture_is(
    tmp_path: Path, cache: Path, encoded: Callable[..., bytes]
) -> None:
    grey = tmp_path / "grey"
    grey.mkdir()
    (grey / "a.png").write_bytes(encoded(1, "L"))
    (grey / "b.png").write_bytes(encoded(2, "LA"))
    (grey / "c.tif").write_bytes(encoded(3, "L", "TIFF"))
    only = opened(grey, cache)
    assert only.pictures.shape == (3, 1, 16, 16)
    (grey / "d.png").write_bytes(encoded(4, "RGB"))
    mixed = opened(grey, cache)
    assert mixed.pictures.shape == (4, 3, 16, 16)
    assert (mixed.pictures[:3] == only.pictures).all(), "grey pictures are widened, not changed"
    assert mixed.header.digests[:3] == only.header.digests
    assert opened(grey, cache, Framing(16, channels=1)).pictures.shape[1] == 1


def harm_header(place: Path) -> None:
    text = (place / "header.json").read_text()
    (place / "header.json").write_text(text[: len(text) // 2])


def harm_fields(place: Path) -> None:
    fields = json.loads((place / "header.json").read_text())
    fields["names"] = fields["names"][1:]
    (place / "header.json").write_text(json.dumps(fields))


def harm_header_by(**changes: object) -> Callable[[Path], None]:
    def harm(place: Path) -> None:
        fields = json.loads((place / "header.json").read_text()) | changes
        (place / "header.json").write_text(json.dumps(fields))

    return harm


def harm_byte(place: Path, where: int = 1234) -> None:
    with (place / "pictures.u8").open("r+b") as file:
        file.seek(where)
        byte = file.read(1)[0]
        file.seek(where)
        file.write(bytes([byte ^ 1]))


HARM = {
    "header cut": harm_header,
    "header edited": harm_fields,
    "no shape": harm_header_by(shape=[]),
    "a flat shape": harm_header_by(shape=[12, 3 * 16 * 16]),
    "no checksums": harm_header_by(checksums=[]),
    "header gone": lambda place: (place / "header.json").unlink(),
    "header of another kind": lambda place: (place / "header.json").write_text("[1]"),
    "pictures cut": lambda place: os.truncate(place / "pictures.u8", 1000),
    "pictures gone": lambda place: (place / "pictures.u8").unlink(),
    "one bit flipped": harm_byte,
    "empty folder": lambda place: [shutil.rmtree(place), place.mkdir()],
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_broken_stores_are_built_anew(folder: Path, cache: Path, harm) -> None:
    good = np.array(opened(folder, cache).pictures)
    place = the_store(cache)
    harm(place)
    again = opened(folder, cache)
    assert (again.pictures == good).all() and len(again.header.names) == 12
    assert store_module._read(place) is not None


def test_left_overs_of_a_killed_process_do_not_matter(folder: Path, cache: Path) -> None:
    opened(folder, cache)
    place = the_store(cache)
    place.rename(place.with_suffix(".part"))
    place.with_suffix(".lock").touch()
    assert len(opened(folder, cache).pictures) == 12
    assert not place.with_suffix(".part").exists()


def open_slowly(folder: Path, cache: Path, log: Path, index: int) -> None:
    """Runs in a process of its own: notes each picture that it decodes."""

    def slow(path: Path) -> bytes:
        (log / f"{index}-{path.name}").touch()
        time.sleep(0.02)
        return path.read_bytes()

    paths = sorted(folder.rglob("*.png"))
    items = [Item(path.name, lambda path=path: slow(path)) for path in paths]
    store = open_store(
        Source("s", "same", lambda: items), FRAMING, limit=None, cache=cache, progress=False
    )
    (log / f"done {index} {len(store.pictures)}").touch()


def test_of_two_processes_one_builds(folder: Path, cache: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=open_slowly, args=(folder, cache, log, i)) for i in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(list(log.glob("*.png"))) == 12, "each picture is decoded once, by one of them"
    assert len(list(log.glob("done * 12"))) == 2


def test_an_unwritable_cache_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cache folder .*file/cache.* data\.cache"):
        opened(folder, tmp_path / "file" / "cache")


def test_a_full_disk_leaves_nothing_behind(folder: Path, cache: Path, monkeypatch) -> None:
    def full(self: object, item: object, outcome: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store_module._Writer, "add", full)
    with pytest.raises(UserError, match=r"No space left.*data\.cache"):
        opened(folder, cache)
    assert not [path for path in (cache / "stores").iterdir() if path.is_dir()]


def test_sources_without_pictures_are_one_sentence(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="is empty"):
        opened(tmp_path / "none", cache)
    (tmp_path / "none/readme.txt").write_text("hello")
    with pytest.raises(UserError, match=r"no picture .* 'readme.txt' \(not a picture\)"):
        opened(tmp_path / "none", cache)
    assert not [path for path in (cache / "stores").iterdir() if path.is_dir()]


def test_where_the_cache_is(cache: Path, monkeypatch) -> None:
    assert cache_folder("given") == Path("given")
    assert cache_folder(None) == cache
    monkeypatch.delenv("HIRESVAE_CACHE")
    assert cache_folder(None).name == "hiresvae"


def test_large_stores_are_checked_by_sample(folder: Path, cache: Path, monkeypatch) -> None:
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 100)
    opened(folder, cache)
    assert len(store_module._read(the_store(cache)).header.checksums) == 93
    size = (the_store(cache) / "pictures.u8").stat().st_size
    with (the_store(cache) / "pictures.u8").open("r+b") as file:
        file.seek(size - 1)
        file.write(b"\x00\xff"[:1])
        file.seek(0)
        file.write(bytes(50))
    assert store_module._read(the_store(cache)) is None, "the first and last block are checked"


def test_a_bit_that_turned_anywhere_in_a_large_store_is_found_in_the_end(
    folder: Path, cache: Path, monkeypatch
) -> None:
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 100)
    good = np.array(opened(folder, cache).pictures)
    place = the_store(cache)
    sure = set(np.linspace(0, 92, store_module.CHECKED_BLOCKS).round().astype(int).tolist())
    harm_byte(place, 100 * min(set(range(93)) - sure))
    # Each opening has a chance of a fifth to meet the block: that 200 miss it is one in 10^20.
    again = (np.array(opened(folder, cache).pictures) for _ in range(200))
    assert any((pictures == good).all() for pictures in again), "found, and built anew"
    assert (opened(folder, cache).pictures == good).all()


def test_opening_a_large_store_reads_a_bounded_part_of_it(
    folder: Path, cache: Path, monkeypatch
) -> None:
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 100)
    opened(folder, cache)
    read, real = [], zlib.crc32
    monkeypatch.setattr(store_module.zlib, "crc32", lambda raw: read.append(raw) or real(raw))
    store_module._read(the_store(cache))
    assert len(read) == 2 * store_module.CHECKED_BLOCKS
