"""The calls in the README are run as they stand there."""

import re
from pathlib import Path

import pytest
import torch

from hiresvae.generator import load

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
IMPORTS, CALLS = re.search(
    r"```python\n(from pathlib[^`]+)```\n\n\| task [^\n]+\n\|---\|---\|\n((?:\|.+\n)+)", TEXT
).groups()


@pytest.mark.parametrize("run", ["trained", "labelled"])
def test_the_calls_of_the_table_run(run, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = load(request.getfixturevalue(run), device="cpu")
    pictures = model.sample(6, seed=0)
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:9, 5:11] = True
    labels = model.guess_labels(pictures) if model.conditional else None
    known = {"model": model, "pictures": pictures, "labels": labels, "mask": mask}
    exec(IMPORTS, known)
    made = []
    for line in CALLS.splitlines():
        task, cell = line.strip("| ").split(" | ")
        for call in re.findall(r"`([^`]+)`", cell):
            name, _, right = call.rpartition(" = ")
            found = eval(right, known)
            assert found is not None, task
            if name:
                known[name] = found
            made.append(found)
    assert len(made) == 17
    kept, between, _, moved, bare, whole, clean, spread, bits, _, heated, *rest = made
    _, plane, moves, points, files, part = rest
    assert bare.shape == whole.shape == (6, 1, 3, 16, 16) and not torch.equal(bare, whole)
    assert kept.shape == pictures.shape and heated.shape == (6, 16, 16)
    assert moves.shape[1:] == (9, 3, 16, 16) and points.shape == (6, 2)
    assert between.shape == (2, 9, 3, 16, 16) and moved.shape == (6, 3, 3, 16, 16)
    assert clean.shape == (3, 16, 16) and (spread[mask] > 0).any() and bits.shape == (6,)
    assert plane.shape == (225, 3, 16, 16) and all(file.is_file() for file in files)
    latents = [torch.zeros(1, *shape) for shape in model.model.latent_shapes]
    given = [*latents, torch.zeros(1, dtype=torch.int64)] if model.conditional else latents
    assert part(*given).shape == (1, 3, 16, 16)
