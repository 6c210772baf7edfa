import sys
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


def test_shards_are_streamed_in_order(monkeypatch) -> None:
    samples = [
        {"__key__": "a/1", "png": b"one", "cls": b"3"},
        {"__key__": "a/2", "json": b"{}"},
        {"__key__": "a/3", "jpg": b"two", "cls": b"5"},
    ]
    library = SimpleNamespace(
        WebDataset=lambda urls, shardshuffle: iter(samples),
        shardlists=SimpleNamespace(expand_urls=lambda pattern: [pattern]),
    )
    monkeypatch.setitem(sys.modules, "webdataset", library)
    items = list(shards_source("x-{000..003}.tar").items())
    assert [(item.name, item.label, item.read()) for item in items] == [
        ("a/1.png", "3", b"one"),
        ("a/3.jpg", "5", b"two"),
    ]


def test_shards_never_run_commands() -> None:
    with pytest.raises(UserError, match="would run a command"):
        shards_source("pipe:curl example.org")
