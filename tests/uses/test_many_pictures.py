"""How much an evaluation of many pictures takes: of memory, and of the reference a second time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.images import save
from hiresvae.uses import groups
from hiresvae.uses.evaluate import evaluate

SIDE, DRAWN = 256, 50
BYTES = 3 * SIDE * SIDE
EVALUATION = """
import sys, torch
from pathlib import Path
from hiresvae.uses.evaluate import evaluate
torch.set_num_threads(1)
fakes, reals, out, samples = sys.argv[1:]
evaluate(
    fakes, Path(out), reference=Path(reals), samples=int(samples), features="none", device="cpu",
    metrics="texture,patches,diversity,memory",
)
"""


def folder_of(place: Path, count: int, seed: int) -> Path:
    """Writes so many pictures of 256 px: a few files, under many names."""
    rng = torch.Generator().manual_seed(seed)
    x = gaussian_blur(torch.rand(DRAWN, 3, SIDE, SIDE, generator=rng), 9, 3.0)
    drawn = (((x - 0.5) * 6 + 0.5).clamp(0, 1) * 15).round().mul(17).to(torch.uint8)
    place.mkdir()
    for i in range(count):
        if i < DRAWN:
            save(drawn[i], place / f"{i:05}.png")
        else:
            os.link(place / f"{i % DRAWN:05}.png", place / f"{i:05}.png")
    return place


def peak_of(place: Path, count: int) -> int:
    """Evaluates so many pictures beside as many in a process; returns its peak memory in bytes.

    What is counted is memory of its own (RssAnon), looked at 50 times a second. Pages of files that
    lie in memory for a while are the system's to take away.
    """
    folders = [folder_of(place / name, count, seed) for seed, name in enumerate(("made", "real"))]
    out = place / "report.json"
    call = [sys.executable, "-c", EVALUATION, *map(str, folders), str(out), str(count)]
    environment = {**os.environ, "HIRESVAE_CACHE": str(place / "cache"), "TMPDIR": str(place)}
    environment["OMP_NUM_THREADS"] = "1"
    process = subprocess.Popen(call, env=environment)
    peak = 0
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                peak = max(peak, 1024 * int(line.split()[1]))
        time.sleep(0.02)
    assert process.returncode == 0
    report = json.loads(out.read_text())
    assert report["counts"] == {"pictures": count, "reference": count}
    assert {"swd_pictures", "sharpness_ratio_pictures", "nearest_pixels_pictures"} <= set(
        report["figures"]
    )
    return peak


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_ten_thousand_pictures_take_the_memory_of_a_thousand(tmp_path) -> None:
    """2 GB of pictures on either side, and less than 2 GB in all; a third of an hour on one core.

    What grows are thumbnails and distances a block of rows at a time: by less than a tenth of what
    9,000 more pictures on both sides hold.
    """
    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    few, many = peak_of(tmp_path / "few", 1000), peak_of(tmp_path / "many", 10_000)
    assert many < 2e9, f"{many / 1e6:.0f} MB"
    assert many - few < 0.1 * 2 * 9000 * BYTES, f"{few / 1e6:.0f} to {many / 1e6:.0f} MB"


def test_a_second_evaluation_passes_over_the_reference(
    tmp_path, stub, network, folders, scenes, monkeypatch
) -> None:
    """Less than a tenth of the reference's passes through the network; in truth none."""
    passed: list[torch.Tensor] = []
    extract = groups.extract

    def watched(pictures, network, **more):
        passed.append(pictures)
        return extract(pictures, network, **more)

    monkeypatch.setattr(groups, "extract", watched)
    real = scenes(60, 4)
    reference = folders("reals", real)
    known = {picture.numpy().tobytes() for picture in real}

    def passes(name: str, seed: int) -> tuple[int, int]:
        passed.clear()
        made = folders(name, scenes(20, seed))
        args = {"reference": reference, "features": network, "device": "cpu"}
        report = evaluate(str(made), tmp_path / f"{name}.json", metrics="distance,coverage", **args)
        assert {"gfrechet_pictures", "recall_pictures", "floor_frechet"} <= set(report["figures"])
        rows = np.concatenate([part.numpy() for part in passed])
        of_reference = sum(row.tobytes() in known for row in rows)
        return of_reference, len(rows) - of_reference

    assert passes("one", 3) == (60, 20)
    again, of_made = passes("two", 5)
    assert again < 0.1 * 60 and of_made == 20
