import json

import pytest
import torch

from hiresvae.autoencoding import CorruptionSettings
from hiresvae.errors import UserError
from hiresvae.settings import DataSettings, Settings
from hiresvae.uses import evaluate as uses
from hiresvae.uses import groups
from hiresvae.uses.evaluate import evaluate
from hiresvae.uses.reals import Reals

SIDE = 16
pytestmark = pytest.mark.usefixtures("stub")


def test_a_model_with_features_has_every_figure(tmp_path, network) -> None:
    out = tmp_path / "figures.json"
    report = evaluate("some/model", out, samples=60, features=network, device="cpu")
    assert json.loads(out.read_text()) == report
    figures = report["figures"]
    # Not the Inception, so no figure may be called FID or KID.
    assert not [name for name in figures if "fid" in name or "kid" in name]
    value = {name: figure["value"] for name, figure in figures.items()}
    assert value["gfrechet_fitted"] < value["gfrechet_standard"]
    assert value["gkernel_fitted"] < value["gkernel_standard"]
    assert {
        "gfrechet_infinity_fitted",
        "gfrechet_infinity_standard",
        "floor_frechet",
        "floor_kernel",
    } <= set(value)
    assert figures["gfrechet_fitted"]["counts"] == {"samples": 60, "train": 48}
    assert figures["rfrechet"]["counts"] == {"held_out": 12, "train": 48}
    assert figures["rfrechet"]["features"]["name"] == "patches.pt"
    assert value["sharpness_ratio_reconstructions"] < 0.9
    assert 0.7 < value["sharpness_ratio_samples"] < 1.4
    assert value["spectrum_distance_reconstructions"] > value["spectrum_distance_samples"]
    # Samples and held-out pictures are as many here, and both noise.
    assert value["spectrum_worst_train_samples"] < 0.5 and value["floor_spectrum_worst_train"] < 0.5
    assert figures["spectrum_worst_train_samples"]["counts"] == {"samples": 60, "train": 48}
    assert figures["floor_spectrum_worst_train"]["counts"] == {"held_out": 12, "train": 48}
    assert 15 < value["psnr_reconstructions"] < 50
    for name, figure in figures.items():
        assert figure["better"] in ("up", "down", "one", "none") and figure["unit"]
        # Too much of what a ratio to real pictures tells is as wrong as too little.
        if name.startswith(("sharpness", "acutance", "diversity", "nearest_ratio")):
            assert figure["better"] == "one"
        assert "pictures" not in figure["counts"] and figure["counts"]
    assert {"precision_fitted", "recall_standard", "density_fitted", "coverage_fitted"} <= set(
        value
    )
    # Averaged noise is the middle of all pictures: inside the manifold, but far from covering it.
    assert value["recall_fitted"] > value["recall_standard"]
    assert {"swd_samples", "swd_reconstructions", "swd_samples_16px", "floor_swd_train"} <= set(
        value
    )
    assert {"acutance_ratio_samples", "ssim_reconstructions", "ms_ssim_reconstructions"} <= set(
        value
    )
    assert {"diversity_fitted", "diversity_pixels_samples", "nearest_ratio_fitted"} <= set(value)
    assert {"nearest_pixels_samples", "nearest_pixels_ratio_samples", "gmifrechet_fitted"} <= set(
        value
    )
    assert value["copies_pixels_share_samples"] < 0.3
    assert figures["precision_fitted"]["counts"] == {"samples": 60, "train": 48, "compared": 48}
    # The manifold is made of the pictures that would be redrawn.
    assert figures["precision_fitted"]["interval"] is None
    # Blurred copies are near their originals; with the pairs among those compared, below 0.
    assert value["rkernel"] > -1e-3
    assert [note for note in report["notes"] if "LPIPS" not in note] == []
    assert report["seed"] == 0 and report["seconds"] >= 0
    assert set(report["seconds_by_part"]) >= {"samples", "reference_features", "features"}
    assert {"torch", "lpips", "torchmetrics"} <= set(report["versions"])
    assert report["features"]["sha256"] == figures["rfrechet"]["features"]["sha256"]


def test_nothing_held_out_is_said(tmp_path, stub, network) -> None:
    stub.held_out = 0
    report = evaluate("m", tmp_path / "f.json", samples=20, features=network, device="cpu")
    assert "nothing is held out" in report["notes"][0]
    assert report["figures"]["rfrechet"]["counts"] == {"train": 60}
    assert report["figures"]["psnr_reconstructions"]["counts"] == {"train": 60}


def test_a_denoising_model_is_measured_from_corrupted_pictures(
    tmp_path, stub, network, monkeypatch
) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(stub, "reconstruct_batches", lambda x: seen.append(x) or [x])

    def measured(**chosen) -> dict:
        corruption = CorruptionSettings(**chosen)
        settings = Settings(data=DataSettings(size=SIDE), corruption=corruption)
        monkeypatch.setattr(stub, "settings", settings)
        return evaluate(
            "m", tmp_path / "a.json", samples=8, features=network, metrics="paired,distance",
            device="cpu",
        )  # fmt: skip

    blank = measured(kind="masking", share=1.0)
    assert seen and all((x == 128).all() for x in seen)
    assert blank["figures"]["rfrechet"]["counts"] == {"held_out": 12}
    seen.clear()
    clean = measured(kind="pairs", inputs="x")
    assert not (seen[0] == 128).all()
    assert any("no corrupted pictures" in note for note in clean["notes"])
    worse, better = (figures["figures"]["psnr_reconstructions"] for figures in (blank, clean))
    assert worse["value"] < better["value"]


def test_only_what_is_asked_for_is_measured(tmp_path, network, stub) -> None:
    def names(metrics: str) -> set[str]:
        report = evaluate(
            "m", tmp_path / "f.json", samples=10, features=network, metrics=metrics, device="cpu"
        )
        assert report["metrics"] == [g for g in uses.GROUPS if g in metrics.split(",")]
        return set(report["figures"])

    texture = names("texture")
    roles = ("_samples", "_reconstructions")
    assert all(name.endswith(roles) or name.startswith("floor_") for name in texture)
    assert not [name for name in texture if "swd" in name or "frechet" in name]
    assert names("coverage") == {
        f"{name}_{role}"
        for name in ("precision", "recall", "density", "coverage")
        for role in ("fitted", "standard")
    } | {"floor_precision", "floor_recall", "floor_density", "floor_coverage"}
    stub.labelled = True
    assert {n.removesuffix("_fitted") for n in names("diversity") if n.endswith("_fitted")} == {
        "diversity", "diversity_within_classes",
    }  # fmt: skip
    with pytest.raises(UserError, match="did you mean 'patches'"):
        names("patchs")


def test_reconstructions_and_samples_are_never_under_one_name(tmp_path, network) -> None:
    report = evaluate("m", tmp_path / "f.json", samples=12, features=network, device="cpu")
    for name, figure in report["figures"].items():
        roles = ("samples", "reconstructions", "fitted", "standard")
        parts = [role for role in roles if role in name.split("_")]
        if name.startswith(("floor_", "rfrechet", "rkernel")):
            assert not parts and "samples" not in figure["counts"]
        else:
            assert len(parts) == 1, name
            assert ("samples" in figure["counts"]) == (parts[0] != "reconstructions"), name
    assert not {"fid", "kid", "frechet", "kernel"} & set(report["figures"])


def test_real_features_are_computed_once_whatever_the_seed(tmp_path, network, monkeypatch) -> None:
    seen = []
    extract = groups.extract

    def count(part, network):
        seen.append(len(part))
        return extract(part, network)

    monkeypatch.setattr(groups, "extract", count)
    args = {"samples": 16, "features": network, "metrics": "distance", "device": "cpu"}
    evaluate("m", tmp_path / "f.json", **args)
    first, seen[:] = list(seen), []
    evaluate("m", tmp_path / "f.json", seed=3, **args)
    # Of real pictures: 48 of training, 12 held out; then samples of two priors, and 60 copies.
    assert sorted(first) == [12, 12, 16, 16, 48, 48] and sorted(seen) == [12, 16, 16, 48]


def copies_of_training(stub, train: torch.Tensor, monkeypatch) -> None:
    def sample_batches(count, *, seed=0, prior="fitted", start=0):
        yield train[torch.arange(start, start + count) % len(train)]

    monkeypatch.setattr(stub, "sample_batches", sample_batches)


def test_copies_are_found_among_all_training_pictures(tmp_path, stub, network, monkeypatch, scenes):
    monkeypatch.setattr("hiresvae.uses.plan.MOST_REALS", 10)
    copies_of_training(stub, scenes(60, 0)[:48], monkeypatch)
    known = Reals.of(stub.data(), SIDE, most=20).train
    drawn = scenes(60, 0)[:20]
    found = [any(torch.equal(one, other) for other in known) for one in drawn]
    assert sum(found) < 15, "most are copies of pictures that are not among those taken"

    def figures(samples: int) -> tuple[dict[str, dict], list[str]]:
        report = evaluate(
            "m", tmp_path / "f.json", samples=samples, features=network, metrics="memory,distance",
            device="cpu",
        )  # fmt: skip
        return report["figures"], report["notes"]

    some, notes = figures(20)
    assert some["copies_pixels_share_samples"]["value"] == 1
    assert some["nearest_pixels_samples"]["value"] == pytest.approx(0, abs=1e-3)
    assert some["nearest_pixels_samples"]["counts"] == {"samples": 20, "train": 48}
    # Features are of 20 of the 48: copies of the others would count as news.
    assert not {"nearest_fitted", "gmifrechet_fitted", "copies_share_fitted"} & set(some)
    assert any("20 of 48 pictures have features" in note for note in notes)
    every, notes = figures(48)
    assert every["copies_share_fitted"]["value"] == 1
    assert every["nearest_ratio_fitted"]["value"] < 0.01
    assert not [note for note in notes if "have features" in note]


def test_a_reference_is_used_whole_and_is_not_what_was_trained_on(
    tmp_path, network, folders, scenes
):
    reference = folders("reference", scenes(20, 9))
    report = evaluate(
        "m", tmp_path / "f.json", reference=reference, samples=60, features=network, device="cpu"
    )
    assert report["counts"] == {"samples": 60, "reference": 20}
    figures = report["figures"]
    assert figures["gfrechet_fitted"]["counts"] == {"samples": 60, "reference": 20}
    assert figures["psnr_reconstructions"]["counts"] == {"reference": 20}
    assert figures["rkernel"]["counts"] == {"reference": 20}
    assert not [name for name in figures if name.startswith(("nearest", "copies", "gmi"))]
    assert any("memory was left out" in note for note in report["notes"])
    assert not [note for note in report["notes"] if "held out" in note]
    few = folders("few", scenes(5, 9))
    with pytest.raises(UserError, match="has 5 pictures to measure by: 8 or more"):
        evaluate("m", tmp_path / "f.json", reference=few, samples=10, features="none")


def test_one_held_out_picture_leaves_out_what_needs_two(tmp_path, stub, network) -> None:
    stub.held_out = 1
    report = evaluate("m", tmp_path / "f.json", samples=20, features=network, device="cpu")
    names = set(report["figures"])
    assert {"psnr_reconstructions", "nearest_pixels_samples", "rfrechet"} <= names
    assert not {"diversity_pixels_samples", "nearest_ratio_fitted"} & names
    assert any("one picture is held out" in note for note in report["notes"])


def test_nothing_is_drawn_for_what_needs_no_samples(tmp_path, stub, monkeypatch) -> None:
    monkeypatch.setattr(stub, "sample_batches", None)
    report = evaluate("m", tmp_path / "f.json", samples=10, metrics="paired", device="cpu")
    assert "psnr_reconstructions" in report["figures"] and "samples" not in report["counts"]
    report = evaluate(
        "m", tmp_path / "f.json", samples=10, metrics="coverage,paired", features="none",
        device="cpu",
    )  # fmt: skip
    assert "psnr_reconstructions" in report["figures"] and "samples" not in report["counts"]


def test_extrapolation_needs_more_pictures_than_features(tmp_path, network) -> None:
    args = {"features": network, "metrics": "distance", "device": "cpu"}
    few = evaluate("m", tmp_path / "f.json", samples=53, **args)
    assert "gfrechet_infinity_fitted" not in few["figures"]
    assert any("needs 54 made pictures, and there are 53" in note for note in few["notes"])
