from pathlib import Path

import pytest

from hiresvae.errors import UserError
from hiresvae.paths import aside, readable, user_path


def test_home_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a", "data.cache") == tmp_path / "a"
    assert user_path("a~b", "data.cache") == Path("a~b")
    with pytest.raises(UserError, match=r"data\.cache '~nobody-at-all/a' begins with a home"):
        user_path("~nobody-at-all/a", "data.cache")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_written_aside_is_whole_or_the_old_one(tmp_path: Path, error) -> None:
    path = tmp_path / "a.png"
    with aside(path) as file:
        file.write_text("old")
        assert file.suffix == ".png" and not path.exists()
    with pytest.raises(error), aside(path) as file:
        file.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^x cannot be read \(File name too long\)$"):
        with readable("x"):
            (tmp_path / ("a" * 300)).read_bytes()
    with pytest.raises(KeyError), readable("x"):
        raise KeyError("ours")
