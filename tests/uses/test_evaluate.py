import json
import sys
import types
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.errors import UserError
from hiresvae.metrics import features, perceptual
from hiresvae.settings import CorruptionSettings, DataSettings, Settings
from hiresvae.uses import evaluate as uses
from hiresvae.uses.evaluate import evaluate

SIDE = 16


def scenes(n: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    smooth = gaussian_blur(torch.rand(n, 3, SIDE, SIDE, generator=rng), 5, 1.0)
    return (((smooth - 0.5) * 4 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass
class Data:
    pictures: np.ndarray
    train: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None = None
    inputs: np.ndarray | None = None


class Model:
    """Samples are real-looking from the fitted prior, noise from N(0, I); copies are blurred."""

    settings = Settings(data=DataSettings(size=SIDE))
    held_out = 12
    labelled = False

    def data(self) -> Data:
        x = scenes(60, 0).numpy()
        # Stored larger than shown, as with random crops: the middle is what counts.
        x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        labels = np.arange(60) % 3 if self.labelled else None
        return Data(x, np.arange(60 - self.held_out), np.arange(60 - self.held_out, 60), labels)

    def drawn_labels(self, numbers: list[int], *, seed: int = 0) -> torch.Tensor | None:
        return torch.tensor(numbers) % 3 if self.labelled else None

    def sample_batches(self, count: int, *, seed: int = 0, prior: str = "fitted", start: int = 0):
        if prior == "fitted":
            made = scenes(start + count, seed + 1)
        else:
            rng = torch.Generator().manual_seed(seed)
            shape = (start + count, 3, SIDE, SIDE)
            made = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
        yield from made[start:].split(16)

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        return gaussian_blur(images, 3, 0.7)


class Patches(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x / 255, 3).flatten(1)


@pytest.fixture
def network(tmp_path) -> str:
    path = tmp_path / "patches.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Patches()).save(str(path))
    return str(path)


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch) -> Model:
    """A model named ``some/model``, a cache of the test's own, no weights and no network."""
    model = Model()

    def no_network(*_):
        raise OSError("no network in tests")

    home = types.ModuleType("hiresvae.generator")
    home.load = lambda name, device=None: model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hiresvae.generator", home)
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    monkeypatch.setattr(features, "_download", no_network)
    monkeypatch.setattr(perceptual, "_download", no_network)
    # The stub has no likelihood; what is asked of it is all but that.
    groups = dict(uses.GROUPS)
    groups.pop("likelihood")
    monkeypatch.setattr("hiresvae.uses.plan.GROUPS", groups)
    return model


def test_a_denoising_model_is_measured_from_corrupted_pictures(model, tmp_path, monkeypatch):
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(model, "reconstruct", lambda x: seen.append(x) or x)

    def measured(**chosen) -> dict:
        corruption = CorruptionSettings(**chosen)
        settings = Settings(data=DataSettings(size=SIDE), corruption=corruption)
        monkeypatch.setattr(model, "settings", settings)
        return evaluate(
            "some/model", tmp_path / "a.json", samples=8, features="none", metrics="paired",
            device="cpu",
        )  # fmt: skip

    blank = measured(kind="masking", share=1.0)
    assert seen and all((x == 128).all() for x in seen)
    seen.clear()
    clean = measured(kind="pairs", inputs="x")
    assert not (seen[0] == 128).all()
    assert any("no corrupted pictures" in note for note in clean["notes"])
    psnr = next(name for name in blank["figures"] if "psnr" in name)
    assert blank["figures"][psnr]["value"] < clean["figures"][psnr]["value"]


def test_a_model_with_features_has_every_figure(tmp_path, network) -> None:
    out = tmp_path / "figures.json"
    report = evaluate("some/model", out, samples=40, features=network, device="cpu")
    assert json.loads(out.read_text()) == report
    figures = report["figures"]
    # Not the Inception, so no figure may be called FID or KID.
    assert not [name for name in figures if "fid" in name or "kid" in name]
    value = {name: figure["value"] for name, figure in figures.items()}
    assert value["gfrechet_fitted"] < value["gfrechet_standard"]
    assert value["gkernel_fitted"] < value["gkernel_standard"]
    assert {"gfrechet_infinity_fitted", "floor_frechet", "floor_kernel"} <= set(value)
    assert figures["gfrechet_fitted"]["counts"] == {"samples": 40, "train": 48}
    assert figures["rfrechet"]["counts"] == {"held_out": 12, "train": 48}
    assert figures["rfrechet"]["features"]["name"] == "patches.pt"
    assert value["sharpness_ratio_reconstructions"] < 0.9
    assert 0.7 < value["sharpness_ratio_samples"] < 1.4
    assert value["spectrum_distance_reconstructions"] > value["spectrum_distance_samples"]
    assert 15 < value["psnr_reconstructions"] < 50
    for figure in figures.values():
        assert figure["better"] in ("up", "down") and figure["unit"]
        assert "pictures" not in figure["counts"] and figure["counts"]
    assert {"precision_fitted", "recall_standard", "density_fitted", "coverage_fitted"} <= set(
        value
    )
    # Averaged noise is the middle of all pictures: inside the manifold, but far from covering it.
    assert value["recall_fitted"] > value["recall_standard"]
    assert {"swd_samples", "swd_reconstructions", "swd_samples_16px", "floor_swd"} <= set(value)
    assert {"acutance_ratio_samples", "ssim_reconstructions", "ms_ssim_reconstructions"} <= set(
        value
    )
    assert {"diversity_fitted", "diversity_pixels_samples", "nearest_ratio_fitted"} <= set(value)
    assert {"nearest_pixels_samples", "nearest_pixels_ratio_samples", "gmifrechet_fitted"} <= set(
        value
    )
    assert figures["precision_fitted"]["counts"] == {"samples": 40, "train": 48, "compared": 40}
    assert [note for note in report["notes"] if "LPIPS" not in note] == []
    assert report["seed"] == 0 and report["seconds"] >= 0
    assert set(report["seconds_by_part"]) >= {"samples", "reference_features", "features"}
    assert {"torch", "lpips", "torchmetrics"} <= set(report["versions"])
    assert report["features"]["sha256"] == figures["rfrechet"]["features"]["sha256"]


def test_same_seed_same_figures_other_seed_other_samples(tmp_path, network) -> None:
    first, again, other = (
        evaluate("m", tmp_path / "f.json", samples=20, features=network, seed=s, device="cpu")
        for s in (0, 0, 5)
    )
    assert first["seconds_by_part"].keys() == again["seconds_by_part"].keys()
    assert first["figures"] == again["figures"]
    assert first["figures"]["rfrechet"]["value"] == other["figures"]["rfrechet"]["value"]
    assert (
        first["figures"]["gfrechet_fitted"]["value"] != other["figures"]["gfrechet_fitted"]["value"]
    )


def test_without_weights_the_rest_runs_and_one_line_says_so(tmp_path) -> None:
    report = evaluate("some/model", tmp_path / "f.json", samples=20, device="cpu")
    assert report["features"] is None
    named = [note for note in report["notes"] if "LPIPS" not in note]
    assert len(named) == 1 and features.INCEPTION in named[0]
    assert {"swd_samples", "ssim_reconstructions", "nearest_pixels_samples"} <= set(
        report["figures"]
    )
    assert "sharpness_ratio_samples" in report["figures"]
    assert not [name for name in report["figures"] if "fid" in name]


def test_nothing_held_out_is_said(tmp_path, model, network) -> None:
    model.held_out = 0
    report = evaluate("m", tmp_path / "f.json", samples=20, features=network, device="cpu")
    assert "nothing is held out" in report["notes"][0]
    assert report["figures"]["rfrechet"]["counts"] == {"train": 60}
    assert report["figures"]["psnr_reconstructions"]["counts"] == {"train": 60}


def test_two_folders_need_no_model(tmp_path, network) -> None:
    from hiresvae.images import save

    for folder, seed in (("fakes", 3), ("reals", 4)):
        for i, picture in enumerate(scenes(20, seed)):
            save(picture, tmp_path / folder / f"{i}.png")
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


def test_jpeg_beside_png_is_said(tmp_path) -> None:
    from hiresvae.images import save

    for folder, kind in (("fakes", "jpg"), ("reals", "png")):
        for i, picture in enumerate(scenes(9, 3)):
            save(picture, tmp_path / folder / f"{i}.{kind}")
    report = evaluate(
        str(tmp_path / "fakes"), tmp_path / "f.json", reference=tmp_path / "reals",
        features="none", metrics="texture", device="cpu",
    )  # fmt: skip
    assert "JPEG" in report["notes"][-1]
    # The same pictures but for the compression: it is not nothing.
    assert report["figures"]["spectrum_distance_pictures"]["value"] > 0


def test_only_what_is_asked_for_is_measured(tmp_path, network, model) -> None:
    def names(metrics: str) -> set[str]:
        report = evaluate(
            "m", tmp_path / "f.json", samples=10, features=network, metrics=metrics, device="cpu"
        )
        assert report["metrics"] == [g for g in uses.GROUPS if g in metrics.split(",")]
        return set(report["figures"])

    texture = names("texture")
    assert all(name.endswith(("_samples", "_reconstructions")) for name in texture)
    assert not [name for name in texture if "swd" in name or "frechet" in name]
    assert names("coverage") == {
        f"{name}_{role}"
        for name in ("precision", "recall", "density", "coverage")
        for role in ("fitted", "standard")
    }
    model.labelled = True
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
    extract = uses.extract

    def count(part, network):
        seen.append(len(part))
        return extract(part, network)

    monkeypatch.setattr(uses, "extract", count)
    args = {"samples": 16, "features": network, "metrics": "distance", "device": "cpu"}
    evaluate("m", tmp_path / "f.json", **args)
    first, seen[:] = list(seen), []
    evaluate("m", tmp_path / "f.json", seed=3, **args)
    # Of real pictures: 48 of training, 12 held out; then samples of two priors, and 60 copies.
    assert sorted(first) == [12, 12, 16, 16, 48, 48] and sorted(seen) == [12, 16, 16, 48]


def test_mistakes_are_sentences(tmp_path) -> None:
    out = tmp_path / "f.json"
    (tmp_path / "fakes").mkdir()
    with pytest.raises(UserError, match="--reference"):
        evaluate(str(tmp_path / "fakes"), out)
    with pytest.raises(UserError, match="neither a model nor a picture"):
        evaluate(str(tmp_path / "fakes"), out, reference=tmp_path, features="none")
    with pytest.raises(UserError, match="samples=3"):
        evaluate("m", out, samples=3)
    with pytest.raises(UserError, match="iwae=-1"):
        evaluate("m", out, iwae=-1)
    with pytest.raises(UserError, match="TorchScript"):
        evaluate("m", out, features="nowhere.pt")
    assert not out.exists()
