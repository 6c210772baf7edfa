"""Pictures and archives that somebody made to do harm: a picture, or a reason why not."""

import io
import os
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image, features

from hiresvae.commands import data as data_command
from hiresvae.commands import reconstruct, restore
from hiresvae.data.decode import Decoded, Framing, attempt
from hiresvae.uses.evaluate_folders import _commonest, _sides
from tests.hostile.examples import hostile

pytestmark = pytest.mark.filterwarnings("ignore")
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 14, 3), dtype=np.uint8))


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    NOISE.save(buffer, format)
    return buffer.getvalue()


Image.init()
LACKING = {name for name, code in (("JPEG2000", "jpg_2000"), ("AVIF", "avif"), ("WEBP", "webp"))
           if not features.check(code)}  # fmt: skip
FORMATS = {"PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "AVIF"} - LACKING
WHOLE = {name: encoded(name) for name in sorted(FORMATS)}


@hostile(
    150,
    format=st.sampled_from(sorted(FORMATS)),
    harm=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=5),
    kept=st.integers(0, 1000),
    crop=st.sampled_from(["center", "none", "tiles"]),
)
def test_any_bytes_are_a_picture_or_a_reason(format, harm, kept, crop):
    raw = bytearray(WHOLE[format])
    for place, value in harm:
        raw[place * len(raw) // 1000] = value
    found = attempt(lambda: bytes(raw[: kept * len(raw) // 1000]), Framing(8, crop=crop))
    if isinstance(found, Decoded):
        assert found.pixels.shape[1:] == (8, 8) and found.pixels.dtype == np.uint8
    else:
        assert found


@hostile(100, raw=st.binary(max_size=200), start=st.sampled_from(sorted(FORMATS)))
def test_any_bytes_behind_a_signature_are_a_reason(raw, start):
    found = attempt(lambda: WHOLE[start][:12] + raw, Framing(8))
    assert isinstance(found, Decoded | str) and found


def chunk(kind: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def png(side: int, extra: bytes = b"") -> bytes:
    ahead = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(side * 100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ahead) + extra + data + chunk(b"IEND", b"")


def icon(inside: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 8, len(inside), 22) + inside


def bitmap(side: int) -> bytes:
    body = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + body + bytes(100)


TEXT = zlib.compress(bytes(80_000_000), 9)
BOMBS = {
    "png": png(60_000),
    "gif": b"GIF89a"
    + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
    + b","
    + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    + bytes(50),
    "bmp": bitmap(40_000),
    "ppm": b"P6 40000 40000 255\n" + bytes(100),
    "a png in an icon": icon(png(14_000)),
    "a text that unpacks to 80 MB": png(8, chunk(b"zTXt", b"a\0\0" + TEXT)),
}


@pytest.mark.parametrize("raw", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_told_by_its_header(raw):
    found = attempt(lambda: raw, Framing(8))
    assert isinstance(found, str) and ("gigantic" in found or "broken" in found)


@pytest.mark.parametrize(
    "raw",
    [
        png(60_000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(harm) (w) file closefile\n",
        b"no picture",
        b"",
    ],
    ids=["bomb", "program", "text", "empty"],
)
def test_a_mask_is_read_as_carefully_as_a_picture(folder, tmp_path, refused, raw, nothing_beside):
    (tmp_path / "a.png").write_bytes(WHOLE["PNG"])
    (tmp_path / "mask.png").write_bytes(raw)
    with nothing_beside(), refused("--mask", "mask.png cannot be read as a picture"):
        restore.run(
            model=str(folder), paths=[tmp_path / "a.png"], mask=tmp_path / "mask.png",
            out=tmp_path / "out", device="cpu",
        )  # fmt: skip


def test_restoring_waits_for_no_pipe_and_shows_names_as_text(
    folder, tmp_path, capsys, nothing_beside
):
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    (inside / "a.png").write_bytes(WHOLE["PNG"])
    os.mkfifo(inside / "pipe.png")
    with open(os.fsencode(inside) + b"/caf\xe9 \x1b[2J.png", "wb") as file:
        file.write(b"no picture")
    with nothing_beside(out):
        restore.run(
            model=str(folder), paths=[inside], out=out, resize=False, answers=1, rounds=1,
            device="cpu",
        )  # fmt: skip
    said = capsys.readouterr().out
    assert "pipe.png: no regular file" in said
    assert "caf\\udce9 \\x1b[2J.png: not a picture" in said and "\x1b" not in said
    assert sorted(p.name for p in out.iterdir()) == ["a_restored.png"]


def test_names_of_pictures_are_no_orders_to_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.png", WHOLE["PNG"] + bytes(number))
        archive.writestr("\x1b]0;owned\x07.png", "no picture")
    data_command.run(source=str(tmp_path / "a.zip"), size=8)
    said = capsys.readouterr().out
    assert "\\x1b]0;owned\\x07.png" in said and "\x1b" not in said and "\x07" not in said


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_that_climb_are_written_into_the_folder_alone(
    folder, tmp_path, kind, nothing_beside
):
    names = ["../../up.png", "/abs.png", "..\\win.png", "a/../../b/x.png", "b/.."]
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, WHOLE["PNG"])
    else:
        with tarfile.open(path, "w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(WHOLE["PNG"])
                archive.addfile(info, io.BytesIO(WHOLE["PNG"]))
    out = tmp_path / "deep" / "out"
    out.parent.mkdir()
    with nothing_beside(out):
        reconstruct.run(model=str(folder), paths=[path], out=out, device="cpu")
    written = {p.name for p in out.iterdir()}
    assert {f"{stem}_reconstruction.png" for stem in ("up", "abs", "win", "x")} <= written
    assert all(p.is_file() for p in out.iterdir())


def test_the_side_of_a_folder_is_no_bombs(tmp_path):
    for name in ("0.png", "00.png", "000.png"):
        (tmp_path / name).write_bytes(BOMBS["png"])
    (tmp_path / "1.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    os.mkfifo(tmp_path / "2.png")
    (tmp_path / "3.png").write_bytes(WHOLE["PNG"])
    assert _commonest(_sides(tmp_path), tmp_path) == 14
