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
from hiresvae.metrics import features
from hiresvae.settings import DataSettings, Settings
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


class Model:
    """Samples are real-looking from the fitted prior, noise from N(0, I); copies are blurred."""

    settings = Settings(data=DataSettings(size=SIDE))
    held_out = 12

    def data(self) -> Data:
        x = scenes(60, 0).numpy()
        # Stored larger than shown, as with random crops: the middle is what counts.
        x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        return Data(x, np.arange(60 - self.held_out), np.arange(60 - self.held_out, 60))

    def sample(self, n: int, *, seed: int = 0, prior: str = "fitted") -> torch.Tensor:
        if prior == "fitted":
            return scenes(n, seed + 1)
        rng = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (n, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8)

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

    def no_network(folder):
        raise OSError("no network in tests")

    home = types.ModuleType("hiresvae.generator")
    home.load = lambda name, device=None: model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hiresvae.generator", home)
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    monkeypatch.setattr(features, "_download", no_network)
    return model


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
    assert report["notes"] == [] and report["seed"] == 0 and report["seconds"] >= 0
    assert report["features"]["sha256"] == figures["rfrechet"]["features"]["sha256"]


def test_same_seed_same_figures_other_seed_other_samples(tmp_path, network) -> None:
    first, again, other = (
        evaluate("m", tmp_path / "f.json", samples=20, features=network, seed=s, device="cpu")
        for s in (0, 0, 5)
    )
    assert first["figures"] == again["figures"]
    assert first["figures"]["rfrechet"]["value"] == other["figures"]["rfrechet"]["value"]
    assert (
        first["figures"]["gfrechet_fitted"]["value"] != other["figures"]["gfrechet_fitted"]["value"]
    )


def test_without_weights_the_rest_runs_and_one_line_says_so(tmp_path) -> None:
    report = evaluate("some/model", tmp_path / "f.json", samples=20, device="cpu")
    assert report["features"] is None
    assert len(report["notes"]) == 1 and features.INCEPTION in report["notes"][0]
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


def test_mistakes_are_sentences(tmp_path) -> None:
    out = tmp_path / "f.json"
    (tmp_path / "fakes").mkdir()
    with pytest.raises(UserError, match="--reference"):
        evaluate(str(tmp_path / "fakes"), out)
    with pytest.raises(UserError, match="neither a model nor a picture"):
        evaluate(str(tmp_path / "fakes"), out, reference=tmp_path, features="none")
    with pytest.raises(UserError, match="samples=3"):
        evaluate("m", out, samples=3)
    with pytest.raises(UserError, match="TorchScript"):
        evaluate("m", out, features="nowhere.pt")
    assert not out.exists()
