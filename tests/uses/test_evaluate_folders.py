from pathlib import Path

import pytest
import torch
from torchvision.transforms.functional import resize

from hiresvae.uses.evaluate import evaluate
from hiresvae.uses.plan import GROUPS

pytestmark = pytest.mark.usefixtures("stub")


def test_two_folders_need_no_model(tmp_path, network, folders, scenes) -> None:
    for folder, seed in (("fakes", 3), ("reals", 4)):
        folders(folder, scenes(20, seed))
    args = {"features": network, "device": "cpu"}
    report = evaluate(
        str(tmp_path / "fakes"), tmp_path / "f.json", reference=tmp_path / "reals", **args
    )
    assert report["counts"] == {"pictures": 20, "reference": 20}
    assert {"gfrechet_pictures", "gkernel_pictures", "floor_frechet"} <= set(report["figures"])
    same = evaluate(
        str(tmp_path / "reals"), tmp_path / "f.json", reference=tmp_path / "reals", **args
    )["figures"]
    assert same["gfrechet_pictures"]["value"] == pytest.approx(0, abs=1e-8)
    assert same["sharpness_ratio_pictures"]["value"] == 1
    assert same["spectrum_distance_pictures"]["value"] == 0
    assert same["swd_pictures"]["value"] == 0 and same["acutance_ratio_pictures"]["value"] == 1
    for name in ("precision", "recall", "density", "coverage", "diversity"):
        assert same[f"{name}_pictures"]["value"] == pytest.approx(1)
    assert same["nearest_pictures"]["value"] == pytest.approx(0, abs=1e-6)
    assert same["nearest_pixels_pictures"]["value"] == pytest.approx(0, abs=1e-3)
    assert report["figures"]["nearest_pixels_pictures"]["value"] > 1
    assert report["figures"]["swd_pictures"]["value"] > 0
    assert not [name for name in report["figures"] if "reconstructions" in name]


def test_what_two_folders_cannot_tell_is_said(
    tmp_path, folders, scenes, refused, monkeypatch
) -> None:
    monkeypatch.setattr("hiresvae.uses.plan.GROUPS", GROUPS)
    fakes, reals = folders("fakes", scenes(12, 3)), folders("reals", scenes(12, 4))
    (reals / "model").mkdir()  # of pictures as well: a folder may be called anything
    folders("reals/model", scenes(2, 5))

    def told(made, real, metrics="texture,paired,likelihood", **more):
        args = {"features": "none", "metrics": metrics, "device": "cpu"} | more
        return evaluate(str(made), tmp_path / "f.json", reference=real, **args)

    notes = "; ".join(told(fakes, reals)["notes"])
    assert "paired was left out: two folders of pictures have no pairs" in notes
    assert "likelihood was left out: two folders of pictures have no model" in notes
    assert "drawn and measured" not in notes and "count as real" not in notes
    monkeypatch.setattr("hiresvae.uses.plan.MOST_REALS", 10)
    notes = "; ".join(told(fakes, reals, "texture", samples=8)["notes"])
    assert f"{fakes}: 10 of 12 pictures were drawn and measured; --samples 12 takes" in notes
    for data in ("embedded:paintings", "embedded:faces"):
        assert told(fakes, Path(data), "texture")["counts"]["reference"] > 100
    with refused("nothing of --metrics paired can be measured: paired was left out"):
        told(fakes, reals, "paired")
    (few := tmp_path / "few").mkdir()
    next(fakes.glob("*.png")).rename(few / "one.png")
    with refused(f"{few} has 1 picture"):
        told(few, reals)
    with refused("is a file: name a run, a model, or a folder of pictures"):
        told(few / "one.png", reals)
    with refused("is no folder, archive or known set"):
        told(fakes, tmp_path / "nowhere")


def test_fakes_among_the_reals_are_told(tmp_path, folders, scenes) -> None:
    reals, fakes = folders("reals", scenes(12, 4)), folders("reals/fakes", scenes(9, 3))
    report = evaluate(
        str(fakes), tmp_path / "f.json", reference=reals, features="none", metrics="texture",
        device="cpu",
    )  # fmt: skip
    assert any("its pictures count as real ones, too" in words for words in report["notes"])


def test_a_ratio_to_nothing_is_no_number(tmp_path, folders, scenes) -> None:
    flat = torch.full((9, 3, 24, 24), 80, dtype=torch.uint8)
    report = evaluate(
        str(folders("fakes", scenes(9, 3))), tmp_path / "f.json",
        reference=folders("reals", flat), features="none", metrics="texture,diversity",
        device="cpu",
    )  # fmt: skip
    for name in ("sharpness_ratio_pictures", "diversity_pixels_pictures"):
        figure = report["figures"][name]
        assert figure["value"] is None and figure["interval"] == [None, None]


def test_a_grey_folder_beside_one_in_colour(tmp_path, network, folders, scenes) -> None:
    fakes, reals = folders("fakes", scenes(9, 3)[:, :1]), folders("reals", scenes(9, 4))
    for made, real in ((fakes, reals), (reals, fakes)):
        report = evaluate(
            str(made), tmp_path / "f.json", reference=real, features=network, device="cpu"
        )
        assert {"swd_pictures", "nearest_pixels_pictures", "gfrechet_pictures"} <= set(
            report["figures"]
        )


def test_jpeg_beside_png_is_said(tmp_path, folders, scenes) -> None:
    for folder, kind in (("fakes", "jpg"), ("reals", "png")):
        folders(folder, scenes(9, 3), kind)
    report = evaluate(
        str(tmp_path / "fakes"), tmp_path / "f.json", reference=tmp_path / "reals",
        features="none", metrics="texture", device="cpu",
    )  # fmt: skip
    assert "JPEG" in report["notes"][-1]
    # The same pictures but for the compression: it is not nothing.
    assert report["figures"]["spectrum_distance_pictures"]["value"] > 0


@pytest.fixture
def measure(tmp_path):
    """Measures textures of a folder beside another: (made, real) -> the report."""

    def run(made, real):
        return evaluate(
            str(made), tmp_path / "f.json", reference=real, features="none", metrics="texture",
            device="cpu",
        )  # fmt: skip

    return run


def test_the_side_is_told_and_nothing_else_where_all_fit(folders, scenes, measure) -> None:
    report = measure(folders("fakes", scenes(9, 3)), folders("reals", scenes(9, 4)))
    assert report["size"] == 16 and report["notes"] == []


def test_the_commonest_side_is_measured_not_that_of_the_first_file(folders, scenes, measure):
    fakes = folders("fakes", scenes(9, 3))
    folders("fakes/a first", resize(scenes(2, 4), 24))
    folders("fakes/a second", resize(scenes(1, 5), 12))
    report = measure(fakes, folders("reals", scenes(9, 4)))
    assert report["size"] == 16 and report["counts"]["pictures"] == 12
    (note,) = report["notes"]
    assert str(fakes) in note and "12 to 24 px" in note
    assert "1 of 12 pictures were enlarged to 16 px and 2 reduced" in note


def test_real_pictures_of_another_side_are_told(folders, scenes, measure) -> None:
    fakes = folders("fakes", scenes(9, 3))
    small, large = (folders(str(side), resize(scenes(9, 4), side)) for side in (12, 24))
    (note,) = measure(fakes, small)["notes"]
    assert note.startswith(f"{small}: real pictures were enlarged to 16 px (from 12 px)")
    (note,) = measure(fakes, large)["notes"]
    assert note.startswith(f"{large}: real pictures were reduced to 16 px (from 24 px)")


def test_files_that_cannot_be_read_are_counted_and_the_first_is_named(folders, scenes, measure):
    fakes, reals = folders("fakes", scenes(9, 3)), folders("reals", scenes(9, 4))
    (fakes / "0.png").write_bytes((fakes / "0.png").read_bytes()[:80])
    (fakes / "\x1b[2J.png").write_bytes(b"")
    (reals / "notes.txt").write_text("words")
    of_made, of_real = measure(fakes, reals)["notes"]
    assert of_made.startswith(f"{fakes}: 2 of 10 files were skipped, first ")
    assert "\x1b" not in of_made and "\\x1b[2J.png (empty file)" in of_made
    assert of_real == f"{reals}: 1 of 10 files were skipped, first notes.txt (not a picture)"
