import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import denoise


def flat_with_noise(side: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    clean = torch.zeros(1, side, side)
    clean[:, :, side // 2 :] = 1
    rng = torch.Generator().manual_seed(0)
    return clean, clean + 0.2 * torch.randn(clean.shape, generator=rng)


def energy(u: torch.Tensor, noisy: torch.Tensor, weight: float) -> float:
    total = denoise.gradient(u.double()).square().sum(0).sqrt().sum()
    return (total + (u.double() - noisy.double()).square().sum() / (2 * weight)).item()


def test_divergence_is_the_negative_adjoint_of_the_gradient():
    u, p = torch.randn(2, 5, 7, dtype=torch.float64), torch.randn(2, 2, 5, 7, dtype=torch.float64)
    left = (denoise.gradient(u) * p).sum()
    torch.testing.assert_close(left, -(u * denoise.divergence(p)).sum())


def test_total_variation_is_a_minimum_and_keeps_the_edge():
    clean, noisy = flat_with_noise()
    found = denoise.total_variation(noisy, 0.3, rounds=400)
    best = energy(found, noisy, 0.3)
    assert best < energy(noisy, noisy, 0.3) and best < energy(clean, noisy, 0.3)
    rng = torch.Generator().manual_seed(1)
    for size in (0.1, 0.01):
        other = found + size * torch.randn(found.shape, generator=rng)
        assert energy(other, noisy, 0.3) > best
    assert (found - clean).square().mean() < 0.2 * (noisy - clean).square().mean()
    torch.testing.assert_close(denoise.total_variation(clean, 1e-6), clean, atol=1e-4, rtol=0)


def test_the_median_takes_single_dots_away():
    picture = torch.full((3, 9, 9), 100, dtype=torch.uint8)
    picture[:, 4, 4], picture[:, 0, 0] = 255, 0
    assert (denoise.median(picture) == 100).all()


def test_the_best_weight_is_larger_for_more_noise():
    clean, noisy = ((x.clamp(0, 1) * 255).to(torch.uint8) for x in flat_with_noise())
    assert denoise.best_weight([(clean, clean)]) == denoise.WEIGHTS[0]
    assert denoise.best_weight([(clean, noisy)]) > denoise.WEIGHTS[0]


def run(monkeypatch, tmp_path, model, *words):
    out = tmp_path / "denoise.json"
    monkeypatch.setattr(
        sys, "argv", ["denoise.py", str(model), "--out", str(out), "--device", "cpu", *words]
    )
    denoise.main()
    return json.loads(out.read_text())


def test_squares_are_measured_from_a_run(train, tmp_path, monkeypatch, capsys):
    model = train(
        tmp_path / "run", "adversary=null", "training.images=16", "corruption.kind=salt_and_pepper"
    )
    report = run(monkeypatch, tmp_path, model, "--sheet", str(tmp_path / "sheet.png"))
    figures = report["figures"]
    assert list(figures) == ["noisy", "median_3x3", "total_variation", "model"]
    assert figures["noisy"]["psnr_db"] < figures["median_3x3"]["psnr_db"]
    for row in figures.values():
        low, high = row["psnr_db_interval"]
        assert low <= row["psnr_db"] <= high and 0 < row["rmse"] < 1
    assert report["held_out_pictures"] == 6 and report["size"] == ["16x16"]
    assert report["corruption"]["kind"] == "salt_and_pepper"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (5 * 18 - 2, 6 * 18 - 2)
    assert "total_variation  PSNR" in capsys.readouterr().out


def test_pages_are_measured_whole(train, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(10):
        page = np.where(rng.random((26, 40)) < 0.2, 0, 255).astype(np.uint8)
        for part, pixels in (("clean", page), ("noisy", page // 2 + 64)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / part / f"{i}.png")
    for part in ("clean", "noisy"):
        (tmp_path / part / "text.png").write_text("no page")
    model = train(
        tmp_path / "run", "adversary=null", "training.images=16", "data.limit=null",
        f"data.source={tmp_path / 'clean'}", "data.crop=tiles", "data.held_out=0.5",
        "corruption.kind=pairs", f"corruption.inputs={tmp_path / 'noisy'}",
    )  # fmt: skip
    report = run(monkeypatch, tmp_path, model, "--sheet", str(tmp_path / "sheet.png"))
    assert report["size"] == ["40x26"] and 1 <= report["held_out_pictures"] <= 9
    # The corrupted page is half the contrast: black is 64 off, white 64, of 255.
    assert report["figures"]["noisy"]["rmse"] == pytest.approx(64 / 255, abs=0.01)


def test_a_model_that_does_not_denoise_is_refused(trained, tmp_path, monkeypatch, refused):
    with refused("was not trained to denoise"):
        run(monkeypatch, tmp_path, trained)
