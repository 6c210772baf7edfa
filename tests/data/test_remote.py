import gc
import io
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hiresvae.data.remote import hub_source, shards_source
from hiresvae.errors import UserError


class Image:
    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class ClassLabel:
    names = ("cat", "dog")


class Rows(list):
    """As much of a Hugging Face data set as is used."""

    features: dict = {"pic": Image(), "what": ClassLabel()}  # noqa: RUF012
    _fingerprint = "abc"

    def select_columns(self, columns: list[str]) -> "Rows":
        return Rows({name: row[name] for name in columns} for row in self)

    def cast_column(self, name: str, kind: Image) -> "Rows":
        assert not kind.decode
        return self

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


@pytest.mark.parametrize(
    ("make", "library", "extra"),
    [(hub_source, "datasets", "hub"), (shards_source, "webdataset", "shards")],
)
def test_absent_libraries_name_their_extra(make, library: str, extra: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"pip install 'hiresvae\[{extra}\]'"):
        make("a/b")


def test_hub_rows_become_items(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"two")
    rows = Rows(
        [
            {"pic": {"bytes": b"one", "path": None}, "what": 1},
            {"pic": {"bytes": None, "path": str(tmp_path / "x")}, "what": 0},
        ]
    )
    library = SimpleNamespace(
        Image=Image, ClassLabel=ClassLabel, load_dataset=lambda name: {"test": [], "train": rows}
    )
    monkeypatch.setitem(sys.modules, "datasets", library)
    source = hub_source("org/set")
    items = list(source.items())
    assert source.classes == ("cat", "dog")
    assert [(item.name, item.label, item.read()) for item in items] == [
        ("org/set 0", "dog", b"one"),
        ("org/set 1", "cat", b"two"),
    ]


def webdataset(monkeypatch: pytest.MonkeyPatch, samples: Iterable[dict]) -> None:
    """As much of the library as is used: patterns have one pair of braces with commas."""

    def expand_urls(pattern: str) -> list[str]:
        found = []
        for url in pattern.split("::"):
            before, brace, rest = url.partition("{")
            inside, _, after = rest.partition("}")
            found += [before + word + after for word in inside.split(",")] if brace else [url]
        return found

    library = SimpleNamespace(
        WebDataset=lambda urls, **options: iter(samples),
        shardlists=SimpleNamespace(expand_urls=expand_urls),
    )
    monkeypatch.setitem(sys.modules, "webdataset", library)


def test_shards_are_streamed_in_order(monkeypatch) -> None:
    samples = [
        {"__key__": "a/1", "png": b"one", "cls": b"3"},
        {"__key__": "a/2", "json": b"{}"},
        {"__key__": "a/3", "jpg": b"two", "cls": b"5"},
    ]
    webdataset(monkeypatch, samples)
    items = list(shards_source("x-{000..003}.tar").items())
    assert [(item.name, item.label, item.read()) for item in items] == [
        ("a/1.png", "3", b"one"),
        ("a/3.jpg", "5", b"two"),
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        "pipe:curl example.org",
        "PIPE:curl example.org",
        " pipe:curl example.org",
        "{pip,pip}e:touch X",
        "a.tar::{pi,pi}pe:touch X",
        "https://h/';touch X;'.tar",
        "https://h/$(touch X).tar",
        "https://h/`touch X`.tar",
        "https://h/a b.tar",
        "https://[h/a.tar",
        "scp://h/a.tar",
        "gs://h/a.tar",
    ],
)
def test_shards_never_run_commands(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset(monkeypatch, [])
    with pytest.raises(UserError, match="would run a command"):
        shards_source(pattern)


@pytest.mark.parametrize(
    "pattern", ["a b/x-{0,1}.tar", "file:///a/b.tar", "https://h:8/a-{0,1}.tar?key=%20b&c=d"]
)
def test_files_and_addresses_pass(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset(monkeypatch, [])
    assert list(shards_source(pattern).items()) == []


def test_shards_that_would_be_waited_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    webdataset(monkeypatch, [])
    os.mkfifo(tmp_path / "pipe.tar")
    for pattern in ("-", str(tmp_path / "pipe.tar"), f"file://{tmp_path}/pipe.tar"):
        with pytest.raises(UserError, match="is no file"):
            shards_source(pattern)


@pytest.mark.parametrize(
    "error",
    [
        OSError("exit 22"),
        tarfile.ReadError("not a tar"),
        AssertionError("no url"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ValueError("duplicate file name"),
    ],
)
def test_what_shards_raise_is_a_sentence(error: Exception, monkeypatch) -> None:
    def broken() -> Iterator[dict]:
        yield {"__key__": "a", "png": b"one"}
        raise error

    webdataset(monkeypatch, broken())
    with pytest.raises(UserError, match=r"shards:x\.tar cannot be read"):
        list(shards_source("x.tar").items())


def test_a_class_that_is_no_text_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset(monkeypatch, [{"__key__": "a", "png": b"one", "cls": b"\xff"}])
    with pytest.raises(UserError, match="cannot be read"):
        list(shards_source("x.tar").items())


def test_a_pattern_that_cannot_be_expanded_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset(monkeypatch, [])

    def expand(pattern: str) -> list[str]:
        raise AssertionError("missing environment variable wds_X")

    monkeypatch.setattr(sys.modules["webdataset"].shardlists, "expand_urls", expand)
    with pytest.raises(UserError, match=r"no pattern of addresses .*wds_X"):
        shards_source("${X}/a.tar")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves its files to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_real_library_reads_shards(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    for number in (0, 1):
        with tarfile.open(tmp_path / f"x-{number}.tar", "w") as shard:
            for name, raw in ((f"{number}.png", b"one"), (f"{number}.cls", b"7")):
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                shard.addfile(info, io.BytesIO(raw))
    items = list(shards_source(f"{tmp_path}/x-{{0..1}}.tar").items())
    assert [(item.name, item.label, item.read()) for item in items] == [
        ("0.png", "7", b"one"),
        ("1.png", "7", b"one"),
    ]
    with pytest.raises(UserError, match="would run a command"):
        shards_source("{pip,pip}e:touch X")
    (tmp_path / "x-0.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(UserError, match="cannot be read"):
        list(shards_source(f"{tmp_path}/x-0.tar").items())
    gc.collect()
