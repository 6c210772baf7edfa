"""Words on the command line: settings, or one sentence, and nothing is run."""

from pathlib import Path

import pytest
from hypothesis import strategies as st

from hiresvae.configuration import load_settings, settings_rows
from hiresvae.errors import UserError
from hiresvae.settings import Settings
from tests.hostile.examples import hostile

VALUES = st.sampled_from(
    ["!!python/object/apply:os.system [touch harm]", "!!python/name:os.system", "!x 1", "&a [*a]",
     "{<<: {a: 1}}", "? [1]\n: 2", "[" * 50, "9" * 400, "0x" + "f" * 400, "1e999", ".nan",
     "'../../..'", "~", "-0", "%TAG ! tag:x:", "\x00", "\udce9"]
)  # fmt: skip
KEYS = st.sampled_from([row.key for row in settings_rows()]) | st.text(".adt_0", max_size=12)


@hostile(
    100, words=st.lists(st.tuples(KEYS, VALUES | st.text(max_size=12)), min_size=1, max_size=3)
)
def test_any_words_after_set_are_settings_or_one_line(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text("")
    try:
        settings = load_settings(path, [f"{key}={value}" for key, value in words])
    except UserError as error:
        assert str(error)
    else:
        assert isinstance(settings, Settings)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize("name", ["../../out", "/etc/x", "a/b", "..", "a\x00b", "\x1b[2J"])
def test_a_run_cannot_be_named_out_of_its_folder(tmp_path: Path, name, refused):
    path = tmp_path / "run.yaml"
    path.write_text("")
    with refused("name is"):
        load_settings(path, {"name": name})
