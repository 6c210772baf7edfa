import pytest

from hiresvae.uses.evaluate import evaluate

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
