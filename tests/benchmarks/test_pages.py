import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import pages
from hiresvae.generator import load


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """A model of ten pages with a dark stain each."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    for part in ("clean", "stained"):
        (folder / part).mkdir()
    for i in range(10):
        page = np.where(rng.random((26, 40)) < 0.05, 0, 255).astype(np.uint8)
        Image.fromarray(page).save(folder / "clean" / f"{i}.png")
        page[8:18, 10:30] //= 3
        Image.fromarray(page).save(folder / "stained" / f"{i}.png")
    return train(
        folder / "run", "adversary=null", "training.images=400", "model.stochastic=false",
        "training.lr=0.003", "data.limit=null", f"data.source={folder / 'clean'}",
        "data.crop=tiles", "data.held_out=0.5", "corruption.kind=pairs",
        f"corruption.inputs={folder / 'stained'}", "prior.kind=gaussian",
    )  # fmt: skip


def test_stains_are_where_the_halves_differ():
    clean = torch.full((1, 4, 4), 200, dtype=torch.uint8)
    stained = clean.clone()
    stained[0, 1, 2], stained[0, 3, 3] = 100, 190
    assert pages.stains(clean, stained).nonzero().tolist() == [[1, 2]]


def test_no_page_draws_its_own_line(run):
    painter = load(run, device="cpu")
    found = pages.held_out_pairs(painter)
    rows = pages.judged(found, painter, 0.5)
    clean = np.array([row["error_clean"] for row in rows])
    for i, row in enumerate(rows):
        assert row["line"] == pytest.approx(float(np.median(np.delete(clean, i))), rel=1e-5)
        assert row["clean_is_unusual"] == (clean[i] > row["line"])
        assert row["share_of_pixels_stained"] == pytest.approx(200 / (26 * 40), abs=0.02)


def test_what_became_of_the_pages_is_written(run, tmp_path, capsys):
    out = tmp_path / "new" / "pages.json"
    pages.main([str(run), "--out", str(out), "--device", "cpu"])
    report = json.loads(out.read_text())
    assert report["pairs"] == len(report["pages"]) >= 2
    assert report["stained_unusual"] == sum(row["stained_is_unusual"] for row in report["pages"])
    low, high = report["auroc_by_pixel_interval"]
    assert 0 <= low <= report["auroc_by_pixel"] <= high <= 1
    assert f"of {report['pairs']} stained pages" in capsys.readouterr().out
    assert str(run) not in out.read_text(), "nothing of this machine"


def test_a_model_of_no_pairs_is_refused(trained, refused):
    with refused("a model of pairs"):
        pages.held_out_pairs(load(trained, device="cpu"))
