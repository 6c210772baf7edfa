import multiprocessing
import os
import socket
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hiresvae.errors import UserError
from hiresvae.settings import MetricSettings
from hiresvae.uses import evaluate as uses
from hiresvae.uses import evaluate_model
from hiresvae.uses.processes import (
    by_share,
    in_blocks,
    is_first,
    joined,
    refuse_other_pictures,
    share,
)


class Model:
    """Samples and copies that depend on the numbers of the pictures alone."""

    settings = SimpleNamespace(
        data=SimpleNamespace(size=16), metrics=MetricSettings(), corruption=None
    )

    def data(self):
        x = np.random.default_rng(0).integers(0, 256, (27, 3, 16, 16), dtype=np.uint8)
        return SimpleNamespace(
            pictures=x, train=np.arange(18), held_out=np.arange(18, 27), labels=None, inputs=None,
            key="k", report=SimpleNamespace(used=27, source="s"),
        )  # fmt: skip

    def drawn_labels(self, numbers, *, seed=0):
        return None

    def sample_batches(self, count, *, seed=0, prior="fitted", start=0):
        for i in range(start, start + count):
            rng = torch.Generator().manual_seed(1000 * seed + i + (prior == "fitted"))
            yield torch.randint(0, 256, (1, 3, 16, 16), generator=rng, dtype=torch.uint8)

    def reconstruct_batches(self, pictures):
        yield pictures // 2


class Patches(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x / 255, 3).flatten(1)


GROUPS = "texture,patches,paired,distance,coverage,diversity,memory"


def measure(folder: Path, cache: str) -> dict:
    import hiresvae.generator

    os.environ["HIRESVAE_CACHE"] = str(folder / cache)
    hiresvae.generator.load = lambda name, device=None: Model()  # type: ignore[assignment]
    torch.set_num_threads(1)
    return uses.evaluate(
        "m", folder / f"{cache}.json", samples=11, features=str(folder / "patches.pt"),
        metrics=GROUPS, device="cpu",
    )  # fmt: skip


def process(rank: int, port: int, folder: Path) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port), OMP_NUM_THREADS="1", ACCELERATE_USE_CPU="true",
    )  # fmt: skip
    warnings.simplefilter("ignore")
    evaluate_model.BLOCK = 2  # so that pictures are shared in several blocks, the last not full
    report = measure(folder, "two")
    np.save(folder / f"of_{rank}.npy", [f["value"] for f in report["figures"].values()])
    for used in (27, 27 - rank):
        other = SimpleNamespace(key=f"k{rank}", report=SimpleNamespace(used=used, source="s"))
        try:
            refuse_other_pictures(other)
        except UserError as error:
            with (folder / f"refused_{rank}.txt").open("a") as file:
                print(error, file=file)


def test_one_process_has_every_row_and_is_the_first() -> None:
    assert is_first() and share(7) == slice(0, 7)
    x = np.arange(3)
    assert joined(x) is x
    np.testing.assert_array_equal(by_share(lambda t: t.numpy() * 2, torch.arange(4)), [0, 2, 4, 6])


def test_blocks_of_all_rows_are_those_of_one_process() -> None:
    rows = np.arange(14).reshape(7, 2)
    blocks = list(in_blocks(rows, 7, 3))
    assert [len(block) for block in blocks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), rows)


def test_two_processes_measure_what_one_does(tmp_path, monkeypatch) -> None:
    import json

    import hiresvae.generator

    monkeypatch.setenv("HIRESVAE_CACHE", "")
    monkeypatch.setattr(hiresvae.generator, "load", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Patches()).save(str(tmp_path / "patches.pt"))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=process, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for one in both:
        one.start()
    for one in both:
        one.join(500)
        assert one.exitcode == 0
    alone = measure(tmp_path, "one")
    together = json.loads((tmp_path / "two.json").read_text())
    assert list(together["figures"]) == list(alone["figures"])
    for name, figure in alone["figures"].items():
        assert together["figures"][name]["counts"] == figure["counts"]
        assert together["figures"][name]["value"] == pytest.approx(figure["value"], rel=1e-5)
    values = [np.load(tmp_path / f"of_{rank}.npy") for rank in (0, 1)]
    np.testing.assert_array_equal(*values)
    said = [(tmp_path / f"refused_{rank}.txt").read_text() for rank in (0, 1)]
    assert said[0] == said[1], "all say the same of pictures that differ"
    first, second = said[0].splitlines()
    assert "'s' holds other pictures for process 1 than for process 0 (as many, but others" in first
    assert "(26, not 27)" in second
    kept = [len(list((tmp_path / cache / "features").glob("*.npy"))) for cache in ("one", "two")]
    assert kept == [2, 2]


@pytest.mark.slow
def test_a_launcher_s_two_processes_measure_what_one_does(tmp_path) -> None:
    import json
    import subprocess
    import sys

    found = []
    for count in (1, 2):
        out = tmp_path / f"{count}.json"
        words = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        words += ["-m", "hiresvae", "evaluate", "faces-64", "--samples", "48", "--device", "cpu"]
        words += ["--features", "none", "--metrics", "texture,patches", "--out", str(out)]
        place = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        place["HIRESVAE_CACHE"] = str(tmp_path / str(count))
        subprocess.run([sys.executable, *words], check=True, env=place, timeout=600)
        found.append(json.loads(out.read_text())["figures"])
    assert found[0].keys() == found[1].keys()
    for name, figure in found[0].items():
        assert found[1][name]["value"] == pytest.approx(figure["value"], rel=1e-5), name
