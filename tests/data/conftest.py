import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and no data folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HIRESVAE_CACHE", str(folder))
    monkeypatch.delenv("HIRESVAE_DATA", raising=False)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the named sets, where there is one."""
    if REAL is None:
        pytest.skip("needs HIRESVAE_DATA")
    return Path(REAL)


REAL = os.environ.get("HIRESVAE_DATA")


def _encoded(seed: int, mode: str = "RGB", format: str = "PNG", size: tuple = (20, 14)) -> bytes:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, format)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Makes an encoded picture of noise: (seed, mode, format, size) -> bytes."""
    return _encoded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures in the sub-folders cats and dogs."""
    for i in range(12):
        path = tmp_path / "pictures" / ("cats" if i < 5 else "dogs") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(i))
    return tmp_path / "pictures"
