from pathlib import Path

import pytest

from hiresvae.errors import UserError
from hiresvae.metrics.weights import at_home, find_weights


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    return tmp_path / "weights"


def test_the_named_folder_comes_before_the_cache_and_that_before_other_places(
    cache, tmp_path, monkeypatch
) -> None:
    other, named = tmp_path / "other.pt", tmp_path / "named"
    named.mkdir()
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(named))
    cache.mkdir()
    for place in (other, cache / "net.pt", named / "net.pt"):
        place.write_bytes(b"")
        assert find_weights("net.pt", "", "", also=[other], fetch=None) == place


def test_what_is_fetched_lies_in_the_cache(cache) -> None:
    asked = []
    assert find_weights("net.pt", "", "", fetch=asked.append) == cache / "net.pt"
    assert asked == [cache]


def test_the_sentence_names_no_home_folder_so_that_reports_can_be_shown(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="X needs it, and it was not found: put it into ~/weights "):
        find_weights("net.pt", "X needs it", "or do without", fetch=None)
    assert at_home(Path("/elsewhere/weights")) == "/elsewhere/weights"
