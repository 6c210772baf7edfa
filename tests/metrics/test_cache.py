import numpy as np
import torch

from hiresvae.metrics.cache import digest, keep, recall, remembered


def test_content_and_shape_make_the_digest() -> None:
    x = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    assert digest(x) == digest(x.clone())
    assert digest(x) != digest(x.view(4, 3, 1, 2))
    assert digest(x) != digest(x.flip(0))


def test_remembered_computes_once_and_again_where_the_store_is_of_no_use(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path))
    calls = []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3.0)

    for _ in range(2):
        np.testing.assert_array_equal(remembered("sums", "key", compute, rows=3), np.arange(3.0))
    assert len(calls) == 1
    assert recall("sums", "key", rows=4) is None
    assert recall("sums", "another") is None
    file = next((tmp_path / "sums").glob("*.npy"))
    file.write_bytes(file.read_bytes()[:20])
    assert recall("sums", "key") is None
    remembered("sums", "key", compute)
    assert len(calls) == 2
    keep("sums", "key", np.ones(1))
    assert recall("sums", "key", rows=1) == 1
    assert not list((tmp_path / "sums").glob("*.part"))
