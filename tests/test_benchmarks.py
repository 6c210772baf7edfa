"""The scripts of benchmarks, each once and small."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["ladder", "ladder, checkpointed", "dense latent"])
def test_the_table_of_cost_by_side(kind):
    scaling = script("scaling")
    row = scaling.measure(kind, scaling.KINDS[kind], 32, 8, 4.0, 0.0)
    assert row["parameters"] > 10_000
    assert row["memory_gib"] > 5 * 4 * row["parameters"] / 2**30, "weights and moments at least"
    assert row["seconds_a_picture"] > 0 and row["bytes_a_picture"] > 0
    assert row.keys() == {
        "model", "side", "parameters", "memory_gib", "seconds_a_picture", "bytes_a_picture",
    }  # fmt: skip


def test_what_does_not_fit_is_told_by_its_parameters_alone():
    scaling = script("scaling")
    dense = [
        scaling.measure("dense latent", scaling.KINDS["dense latent"], side, 8, 1e-6, 0.0)
        for side in (256, 512, 1024)
    ]
    assert all(row["memory_gib"] is None for row in dense)
    counts = [row["parameters"] for row in dense]
    assert counts[1] / counts[0] == pytest.approx(4, rel=0.1)
    assert counts[2] / counts[1] == pytest.approx(4, rel=0.05)
