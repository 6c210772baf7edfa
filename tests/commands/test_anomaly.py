"""Pages of a model of tiles; pictures of one size are in `test_uses.py`."""

import csv
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.commands import anomaly
from hiresvae.data.tiles import page_of
from hiresvae.generator import load
from hiresvae.uses.anomaly_pages import held_out_pages, page_errors, page_heat


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Ten white pages with a few black dots, of 26 x 40 pixels."""
    folder, rng = tmp_path_factory.mktemp("pages") / "clean", np.random.default_rng(0)
    folder.mkdir()
    for i in range(10):
        page = np.where(rng.random((26, 40)) < 0.05, 0, 255).astype(np.uint8)
        Image.fromarray(page).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def run(train, pages, tmp_path_factory):
    return train(
        tmp_path_factory.mktemp("run") / "pages", "adversary=null", "training.images=400",
        "model.stochastic=false", "data.limit=null", "training.lr=0.003", f"data.source={pages}",
        "data.crop=tiles", "data.held_out=0.5", "prior.kind=gaussian",
    )  # fmt: skip


def stained(pages, tmp_path):
    with Image.open(pages / "0.png") as file:
        page = np.array(file)
    page[10:18, 20:32] = 20
    Image.fromarray(page).save(tmp_path / "stained.png")
    return tmp_path / "stained.png"


def test_the_held_out_pages_are_whole_and_those_that_were_not_trained_on(run, pages):
    painter = load(run, device="cpu")
    found = list(held_out_pages(painter, 99))
    assert 1 <= len(found) <= 9 and all(page.shape == (1, 26, 40) for page in found)
    assert len(list(held_out_pages(painter, 1))) == 1
    data = painter.data()
    for name in {page_of(data.names[i]) for i in data.train}:
        with Image.open(pages / name.rpartition("/")[2]) as file:
            kept = torch.from_numpy(np.array(file))[None]
        assert not any(torch.equal(page, kept) for page in found)


def test_a_stain_on_a_page_is_what_is_hot(run, pages, tmp_path):
    painter = load(run, device="cpu")
    with Image.open(stained(pages, tmp_path)) as file:
        page = torch.from_numpy(np.array(file))[None]
    level = torch.stack([page_errors(painter, one)[1].mean() for one in held_out_pages(painter, 9)])
    heated = page_heat(page_errors(painter, page)[1], float(level.mean()))
    assert heated.shape == (26, 40)
    inside = heated[11:17, 22:30].mean()
    outside = torch.cat([heated[:, :16].flatten(), heated[:, 36:].flatten()]).mean()
    assert inside > 3 * outside


def coloured(file):
    """The share of pixels of the third picture that are not grey."""
    with Image.open(file) as picture:
        pixels = np.asarray(picture).astype(int)[:, 80:]
    return (np.ptp(pixels, axis=2) > 10).mean()


def test_grey_paper_is_not_all_hot(run, pages, tmp_path):
    with Image.open(stained(pages, tmp_path)) as file:
        Image.fromarray((np.asarray(file) * 0.6).astype(np.uint8)).save(tmp_path / "grey.png")
    maps, out = tmp_path / "heat", tmp_path / "scores.csv"
    anomaly.run(
        model=str(run), paths=[tmp_path / "grey.png"], out=out, heatmaps=maps, by="error",
        device="cpu",
    )  # fmt: skip
    assert coloured(maps / "grey_heat.png") < 0.5


def test_a_table_and_heat_maps_of_pages(run, pages, tmp_path, capsys, refused):
    out, maps = tmp_path / "scores.csv", tmp_path / "heat"
    broken = tmp_path / "broken.png"
    broken.write_text("no page")
    asked = [stained(pages, tmp_path), pages, broken]
    anomaly.run(model=str(run), paths=asked, out=out, heatmaps=maps, by="error", device="cpu")
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["file"] == "stained.png" and rows[0]["unusual"] == "yes" and len(rows) == 11
    errors = [float(row["mean_squared_error"]) for row in rows]
    assert errors == sorted(errors, reverse=True)
    with Image.open(maps / "stained_heat.png") as file:
        assert file.size == (120, 26) and file.mode == "RGB"
    assert coloured(maps / "stained_heat.png") > 0.1
    said = capsys.readouterr().out
    assert "of 11 pictures unusual (error above" in said and "skipped" in said
    anomaly.run(model=str(run), paths=[pages], out=out, reference=pages, by="error", device="cpu")
    assert "of 10 usual ones" in capsys.readouterr().out
    with refused("--by error"):
        anomaly.run(model=str(run), paths=[pages], out=out, device="cpu", by="bits")
    with refused("no pictures in", "broken.png: not a picture"):
        anomaly.run(model=str(run), paths=[broken], out=out, by="error", device="cpu")


@pytest.mark.parametrize(("fixture", "by"), [("run", "error"), ("trained", "score")])
def test_what_is_no_picture_is_told_with_its_reason(
    request, pages, tmp_path, capsys, refused, fixture, by
):
    model, out = str(request.getfixturevalue(fixture)), tmp_path / "scores.csv"
    usual, empty = tmp_path / "usual", tmp_path / "empty"
    shutil.copytree(pages, usual)
    empty.mkdir()
    (usual / "text.png").write_text("no picture")
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")

    def judged(*paths, reference):
        anomaly.run(
            model=model, paths=list(paths), out=out, reference=reference, by=by, device="cpu"
        )

    judged(pages / "1.png", broken, reference=usual)
    said = capsys.readouterr().out
    assert "broken.png: not a picture" in said and "text.png: not a picture" in said
    with refused("no pictures in", "broken.png: not a picture"):
        judged(broken, reference=usual)
    with refused(f"--reference {broken} has no picture that can be used", "not a picture"):
        judged(pages / "1.png", reference=broken)
    with refused(f"--reference {empty} "):
        judged(pages / "1.png", reference=empty)


def test_a_page_too_large_is_skipped_by_name(run, pages, tmp_path, capsys, huge):
    judged = [huge(9_000, 9_000), pages / "1.png"]
    anomaly.run(model=str(run), paths=judged, out=tmp_path / "s.csv", by="error", device="cpu")
    said = capsys.readouterr().out
    assert "huge.png: gigantic: 9000 x 9000 pixels" in said and "of 1 pictures" in said


def test_a_page_takes_no_part_in_drawing_its_own_line(run, pages, tmp_path, refused):
    out = tmp_path / "scores.csv"
    anomaly.run(
        model=str(run), paths=[pages], out=out, reference=pages, by="error", quantile=0.999,
        device="cpu",
    )  # fmt: skip
    with out.open() as file:
        rows = list(csv.DictReader(file))
    # Of its own set the worst page lies below no quantile; beside the others it is the worst.
    assert [row["unusual"] for row in rows] == ["yes"] + ["no"] * 9
    assert float(rows[0]["share_of_usual_below"]) == 1
    assert float(rows[-1]["share_of_usual_below"]) == 0
    alone = pages / "3.png"
    with refused("its own and only measure", "--reference FOLDER"):
        anomaly.run(
            model=str(run), paths=[alone], out=out, reference=alone, by="error", device="cpu"
        )
