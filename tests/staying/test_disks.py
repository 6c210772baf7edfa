"""Disks that are full, read-only or spoil what lies on them."""

import random
import shutil
import subprocess

import pytest

from hiresvae.data.decode import Framing
from hiresvae.data.sources import embedded_source
from hiresvae.data.store import open_store
from hiresvae.errors import UserError

pytestmark = pytest.mark.slow


def opened(cache, side=16):
    source = embedded_source("paintings", side=side, limit=64)
    return open_store(source, Framing(side), limit=64, cache=cache, progress=False)


def test_a_store_on_a_full_disk_leaves_nothing_there(disk):
    small = disk("size=200k")
    with pytest.raises(UserError, match=r"No space left.*data\.cache"):
        opened(small / "cache", side=64)
    assert not [path for path in (small / "cache").rglob("*") if path.suffix != ".lock"
                and path.name != "stores"]  # fmt: skip


def test_a_training_on_a_full_disk_leaves_no_half_state(disk, train):
    run = disk("size=500k") / "run"
    with pytest.raises(UserError, match="no space is left on the disk"):
        train(run)
    assert all(not path.name.startswith(".") for path in (run / "checkpoints").iterdir())


def test_what_is_made_on_a_full_disk_is_a_sentence(disk, trained, tmp_path):
    from hiresvae.commands import reconstruct, sample
    from hiresvae.uses.evaluate import evaluate

    small = disk("size=8k")
    with pytest.raises(OSError, match="No space left"), (small / "filler").open("wb") as file:
        file.write(bytes(1 << 20))
    (tmp_path / "a.png").write_bytes(next((trained / "samples").glob("*.png")).read_bytes())
    full = "no space is left on the disk"
    with pytest.raises(UserError, match=full):
        sample.run(
            model=str(trained), n=64, out=small / "out", seed=0, temperature=1.0, truncation=1.0,
            prior="fitted", label=None, grid=None, format="png", device="cpu", which="last",
        )  # fmt: skip
    with pytest.raises(UserError, match=full):
        reconstruct.run(
            model=str(trained), paths=[tmp_path / "a.png"], out=small / "b", device="cpu"
        )
    chosen = {"samples": 16, "features": "none", "metrics": "texture", "device": "cpu"}
    with pytest.raises(UserError, match=full):
        evaluate(str(trained), small / "report.json", **chosen)
    assert not (small / "report.json").exists(), "no half a report"


def test_read_only_places_are_a_sentence(disk, trained, train):
    place = disk("size=20m")
    shutil.copytree(trained, place / "run")
    opened(place / "cache")
    remount = ["mount", "-o", "remount,ro", str(place)]
    if subprocess.run(remount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    with pytest.raises(UserError, match=r"that disk is read-only; choose another with --out"):
        train(place / "new")
    with pytest.raises(UserError, match=r"that disk is read-only; choose another with --out"):
        train(place / "run", "training.images=144")
    with pytest.raises(UserError, match=r"cannot be written .*data\.cache"):
        opened(place / "cache", side=8)
    assert len(opened(place / "cache").pictures) == 64, "what is there can be read"
    from hiresvae.generator import load

    assert load(place / "run", device="cpu").sample(1).shape == (1, 3, 16, 16)


def harm(path, rng):
    """Spoils a file as disks do; returns how."""
    raw = bytearray(path.read_bytes())
    how = rng.choice(["cut", "empty", "zeros", "flipped", "gone"])
    if how == "gone":
        path.unlink()
        return how
    if how == "cut":
        raw = raw[: rng.randrange(max(1, len(raw)))]
    elif how == "empty":
        raw = bytearray()
    elif raw:
        place = rng.randrange(len(raw))
        length = min(len(raw) - place, 512) if how == "zeros" else 1
        for i in range(place, place + length):
            raw[i] = 0 if how == "zeros" else raw[i] ^ (1 << rng.randrange(8))
    path.write_bytes(raw)
    return how


@pytest.mark.parametrize("seed", range(30))
def test_a_run_with_a_spoilt_file_goes_on_or_says_so(trained, train, content, tmp_path, seed):
    run = shutil.copytree(trained, tmp_path / "run")
    rng = random.Random(seed)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    newest = [path for path in files if "000000128" in str(path)]
    texts = [path for path in files if path.parent == run]
    harm(rng.choice(rng.choice([files, newest, texts])), rng)
    before = content(run / "checkpoints")
    try:
        train(run, "training.images=136")
    except UserError as error:
        assert "\n" not in str(error)
        assert content(run / "checkpoints") == before, "nothing more is lost"
        train(run, "training.images=8", fresh=True)
        assert (run / "checkpoints" / "000000008").is_dir(), "the way out that is named works"
    else:
        assert (run / "checkpoints" / "000000136" / "manifest.json").is_file()
