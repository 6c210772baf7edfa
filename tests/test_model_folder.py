import json
import shutil

import pytest

from hiresvae.generator import load
from hiresvae.model_folder import SHIPPED, find_folder, read_words


def with_cache(folder, cache):
    """Writes another ``data.cache`` into a model folder."""
    content = json.loads((folder / "config.json").read_text())
    content["settings"]["data"]["cache"] = str(cache)
    (folder / "config.json").write_text(json.dumps(content))


def test_a_model_that_was_given_away_does_not_say_where_files_are_written(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    given = tmp_path / "given"
    shutil.copytree(trained / "model", given)
    # As a download might be named, without the run around it.
    named = tmp_path / "download" / "model"
    shutil.copytree(trained / "model", named)
    for folder in (run / "model", given, named):
        with_cache(folder, tmp_path / "theirs")
    for name in (given, named, named.parent):
        painter = load(name, device="cpu")
        assert painter.settings.data.cache is None
        painter.data()
    assert not (tmp_path / "theirs").exists()
    for name in (run, run / "model"):
        assert load(name, device="cpu").settings.data.cache == str(tmp_path / "theirs")
    load(run, device="cpu").data()
    assert (tmp_path / "theirs" / "stores").is_dir(), "one's own run is where it was told"


def test_shares_of_a_model_without_labels_are_told_as_such(trained, tmp_path):
    shutil.copytree(trained / "model", tmp_path / "model")
    labels = tmp_path / "model" / "labels.json"
    labels.write_text(json.dumps({"classes": ["a"], "shares": [1.0]}))
    with pytest.raises(ValueError, match="trained without labels"):
        read_words(tmp_path / "model")


def test_the_best_of_what_keeps_none_is_refused(refused):
    for name in ("monet-64", "hf:org/name", str(SHIPPED / "monet-64")):
        with refused(repr(name), "keeps no best model", "nearest valid: the last"):
            find_folder(name, "best")
    with refused("does not exist"):
        find_folder("monet-65", "best")
