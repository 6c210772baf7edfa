"""Several machines: a launcher on each, disks and caches of their own, one run folder."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
STEPS = 48


@pytest.fixture
def machines(tmp_path):
    """Trains on two machines, each with ``pictures`` of its own: (config, out, *more) -> ends."""

    def run(config, out, *more):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [str(config), "--out", str(out), f"--set=training.images={STEPS}", *more]
        both = []
        for number in range(2):
            here = tmp_path / f"machine{number}"
            own = {"HIRESVAE_CACHE": str(here / "cache"), "ACCELERATE_USE_CPU": "1"}
            launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
            launcher += [f"--node-rank={number}", "--master-addr=127.0.0.1"]
            launcher += [f"--master-port={port}", "-m", "hiresvae", "train"]
            both.append(
                subprocess.Popen(
                    [sys.executable, *launcher, *words, "--set=data.source=./pictures"],
                    cwd=here,
                    env=os.environ
                    | own
                    | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
        try:
            said = [process.communicate(timeout=300)[1] for process in both]
        finally:
            for process in both:  # and what they have started
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return [(process.returncode, words) for process, words in zip(both, said, strict=True)]

    return run


@pytest.fixture
def pictures(tmp_path):
    """The folders of two machines: the same files, copied at another time."""
    first, second = (tmp_path / f"machine{number}" / "pictures" for number in range(2))
    first.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(first / f"{number:02}.png")
    shutil.copytree(first, second, copy_function=shutil.copy)
    return first, second


def test_two_machines_train_together_each_from_its_own_disk(machines, pictures, tiny, tmp_path):
    out = tmp_path / "shared"
    for end, said in machines(tiny, out):
        assert end == 0, said
    lines = (out / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["images"] == STEPS
    log = (out / "train.log").read_text()
    assert "(2 processes)" in log and log.count("24 pictures of 16x16") == 1
    for folder in pictures:
        assert list(folder.parent.glob("cache/stores/*/pictures.u8")), "decoded on each machine"


def test_machines_that_hold_other_pictures_are_told(machines, pictures, tiny, tmp_path):
    (pictures[1] / "07.png").unlink()
    out = tmp_path / "shared"
    (out / "checkpoints" / "16").mkdir(parents=True)
    for end, said in machines(tiny, out, "--fresh"):
        assert end, "stopped"
        assert "holds other pictures for process 1 than for process 0 (23, not 24)" in said
        assert "UserError" not in said
    assert (out / "checkpoints" / "16").is_dir(), "what was there is kept"
