"""Two folders by this package and by clean-fid's own command: one number."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.images import save
from hiresvae.metrics.features import INCEPTION
from hiresvae.uses.evaluate import evaluate

WEIGHTS = Path(os.environ.get("HIRESVAE_WEIGHTS", "nowhere"))


def folder_of(place: Path, count: int, seed: int) -> Path:
    rng = torch.Generator().manual_seed(seed)
    x = gaussian_blur(torch.rand(count, 3, 40, 40, generator=rng), 7, 2.0)
    place.mkdir()
    for number, picture in enumerate(((x - 0.5) * 6 + 0.5).clamp(0, 1).mul(255).to(torch.uint8)):
        save(picture, place / f"{number:03}.png")
    return place


@pytest.mark.slow
@pytest.mark.skipif(not (WEIGHTS / INCEPTION).is_file(), reason="HIRESVAE_WEIGHTS has no Inception")
def test_fid_of_two_folders_is_that_of_clean_fid(tmp_path, monkeypatch) -> None:
    from cleanfid import fid
    from cleanfid.inception_torchscript import InceptionV3W

    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    made, real = folder_of(tmp_path / "made", 60, 0), folder_of(tmp_path / "real", 50, 1)
    report = evaluate(
        str(made), tmp_path / "f.json", reference=real, metrics="distance", device="cpu"
    )
    ours = {name: figure["value"] for name, figure in report["figures"].items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = InceptionV3W(str(WEIGHTS), download=False, resize_inside=False)
        args = {
            "mode": "clean", "num_workers": 0, "device": torch.device("cpu"), "verbose": False,
            "custom_feat_extractor": network,
        }  # fmt: skip
        theirs = fid.compute_fid(str(made), str(real), **args)
    assert ours["gfid_pictures"] == pytest.approx(theirs, rel=1e-4)
