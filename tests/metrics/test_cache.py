import errno
import logging

import numpy as np
import pytest
import torch

from hiresvae.metrics.cache import digest, keep, recall


def test_content_and_shape_make_the_digest() -> None:
    x = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    assert digest(x) == digest(x.clone())
    assert digest(x) != digest(x.view(4, 3, 1, 2))
    assert digest(x) != digest(x.flip(0))


def test_what_is_kept_is_recalled_unless_it_is_of_no_use(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path))
    assert recall("sums", "key") is None
    keep("sums", "key", np.arange(3.0))
    np.testing.assert_array_equal(recall("sums", "key", rows=3), np.arange(3.0))
    assert recall("sums", "key", rows=4) is None
    assert recall("sums", "another") is None
    file = next((tmp_path / "sums").glob("*.npy"))
    file.write_bytes(file.read_bytes()[:20])
    assert recall("sums", "key") is None
    keep("sums", "key", np.ones(1))
    assert recall("sums", "key", rows=1) == 1
    assert not list((tmp_path / "sums").glob("*.part"))


@pytest.mark.parametrize("change", [
    lambda raw: raw[:150] + bytes([raw[150] ^ 64]) + raw[151:],
    lambda raw: raw[:-60] + bytes(28) + raw[-32:],
    lambda raw: b"PK\x03\x04" + raw[4:],
    lambda raw: raw[:-32],
    lambda raw: b"",
])  # fmt: skip
def test_what_a_disk_has_changed_is_not_recalled(tmp_path, monkeypatch, change) -> None:
    """A bit of a feature was a wrong distance, in every evaluation that followed."""
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path))
    keep("features", "key", np.arange(1.0, 33.0))
    file = next((tmp_path / "features").glob("*.npy"))
    file.write_bytes(change(file.read_bytes()))
    assert recall("features", "key", rows=32) is None


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch, caplog) -> None:
    (tmp_path / "file").write_text("a file where the cache's folder should be")
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "hiresvae"):
        keep("sums", "key", np.ones(1))
    assert recall("sums", "key") is None
    assert len(caplog.messages) == 1 and "cannot be written" in caplog.messages[0]


def test_a_signal_leaves_nothing_aside(tmp_path, monkeypatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(np, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        keep("sums", "key", np.ones(1))
    assert not list((tmp_path / "sums").iterdir())


def test_a_disk_that_fills_up_leaves_nothing_aside(tmp_path, monkeypatch, caplog) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(np, "save", full)
    keep("sums", "key", np.ones(1))
    assert "No space left" in caplog.messages[0]
    assert not list((tmp_path / "sums").iterdir())
