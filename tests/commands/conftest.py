import struct
import warnings
import zlib

import pytest
import torch
from typer.testing import CliRunner

from hiresvae import images
from hiresvae.cli import app


@pytest.fixture
def huge(tmp_path):
    """Writes a PNG whose header announces a size, and little more: (width, height) -> its path."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    def write(width, height):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(bytes(100)))
        path = tmp_path / "huge.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
        return path

    return write


@pytest.fixture
def call():
    def run(*words: object) -> str:
        done = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    return run


@pytest.fixture
def folder(tmp_path):
    rng = torch.Generator().manual_seed(0)
    for i in range(3):
        noise = torch.randint(0, 256, (3, 20, 24), generator=rng, dtype=torch.uint8)
        images.save(noise, tmp_path / "mine" / f"{i}.png")
    return tmp_path / "mine"


@pytest.fixture
def patches(tmp_path):
    """A TorchScript file of 48 features."""

    class Patches(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(x / 255, 4).flatten(1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Patches()).save(str(tmp_path / "patches.pt"))
    return tmp_path / "patches.pt"
