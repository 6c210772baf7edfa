import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from hiresvae.errors import UserError
from hiresvae.metrics import perceptual
from hiresvae.metrics.perceptual import (
    BACKBONES,
    find_backbone,
    load_lpips,
    lpips_distance,
)

BACKBONE, _ = BACKBONES["squeeze"]
WEIGHTS = Path(os.environ.get("HIRESVAE_WEIGHTS", "nowhere")) / BACKBONE
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="no SqueezeNet to be had")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> None:
    """A cache of the test's own, weights nowhere, and no way to the network."""

    def no_network(file: str, folder: Path) -> None:
        raise OSError("no network in tests")

    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    monkeypatch.setattr(perceptual, "_download", no_network)


@pytest.fixture
def stranger(tmp_path, monkeypatch) -> Path:
    """Random weights with the names and shapes of the real ones."""
    import torchvision

    torch.manual_seed(0)
    path = tmp_path / "named" / BACKBONE
    path.parent.mkdir()
    torch.save(torchvision.models.squeezenet1_1().state_dict(), path)
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(path.parent))
    return path


@pytest.fixture
def backbone(stranger, monkeypatch) -> Path:
    """The same, whose answers are believed."""
    monkeypatch.setattr(perceptual, "answers_as_lpips", lambda *_: True)
    return stranger


def scenes(n: int = 3, side: int = 32, channels: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    x = gaussian_blur(torch.rand(n, channels, side, side, generator=rng), 5, 1.0)
    return ((x - 0.5) * 600 + 128).clamp(0, 255).to(torch.uint8)


def test_nowhere_is_one_sentence_that_says_what_to_do(tmp_path) -> None:
    with pytest.raises(UserError) as caught:
        load_lpips()
    for part in (BACKBONE, str(tmp_path / "cache"), "HIRESVAE_WEIGHTS", "PSNR", "failed"):
        assert part in str(caught.value)
    with pytest.raises(UserError, match="was not found"):
        find_backbone("squeeze", download=False)


def test_equals_the_package_with_the_same_backbone(tmp_path, backbone) -> None:
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / BACKBONE).symlink_to(backbone)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lpips

        theirs = lpips.LPIPS(net="squeeze", verbose=False)
    x = scenes()
    y = gaussian_blur(x, 5, 1.0)
    with torch.no_grad():
        expected = theirs(y / 127.5 - 1, x / 127.5 - 1).flatten()
    network = load_lpips()
    np.testing.assert_allclose(lpips_distance(y, x, network), expected.numpy(), rtol=1e-4)


def test_range_batch_and_weights_cannot_be_mistaken(backbone, monkeypatch) -> None:
    network = load_lpips()
    x = scenes()
    y = gaussian_blur(x, 5, 1.0)
    whole = lpips_distance(y, x, network)
    assert (whole > 0).all() and lpips_distance(x, x, network).max() == 0
    # In [0, 1] or normalised twice: only uint8 is taken. Batch mates do not matter.
    with pytest.raises(TypeError, match="uint8"):
        lpips_distance(y / 255, x / 255, network)
    monkeypatch.setattr(perceptual, "CHUNK", 1)
    np.testing.assert_allclose(lpips_distance(y, x, network), whole, rtol=1e-4)
    assert not network.module.training
    assert not any(p.requires_grad for p in network.module.parameters())
    grey = scenes(channels=1)
    blurred = gaussian_blur(grey, 5, 1.0)
    np.testing.assert_allclose(
        lpips_distance(blurred, grey, network),
        lpips_distance(blurred.expand(-1, 3, -1, -1), grey.expand(-1, 3, -1, -1), network),
        rtol=1e-4,
    )
    with pytest.raises(ValueError, match="20 pixels"):
        lpips_distance(x[..., :16, :16], x[..., :16, :16], network)
    with pytest.raises(ValueError, match="equal shapes"):
        lpips_distance(x, x[:1], network)


def test_smallest_side_is_what_the_backbone_takes(backbone) -> None:
    x = scenes(1, perceptual.LEAST_SIDE)
    assert lpips_distance(x.flip(3), x, load_lpips())[0] > 0


def test_a_broken_file_is_the_users_to_mend(backbone) -> None:
    backbone.write_bytes(backbone.read_bytes()[:1000])
    with pytest.raises(UserError, match="whole"):
        load_lpips()
    torch.save({"something": torch.zeros(1)}, backbone)
    with pytest.raises(UserError, match="whole"):
        load_lpips()


def test_random_weights_under_the_backbone_s_name_are_refused(stranger) -> None:
    with pytest.raises(
        UserError, match=r"squeezenet1_1.* holds other weights than LPIPS's squeeze"
    ):
        load_lpips()


def test_the_answer_must_be_near_and_a_number_at_every_side() -> None:
    answers = dict(perceptual.ANSWERS["squeeze"])

    def says(net: str = "squeeze", **changed: float) -> bool:
        told = answers | {int(side): value for side, value in changed.items()}
        network = lambda a, b: torch.tensor(told[a.shape[-1]])  # noqa: E731
        return perceptual.answers_as_lpips(network, net)

    assert says() and says(**{"256": 0.4485})
    assert not says(**{"256": 0.45}) and not says(**{"64": 0.2}) and not says(**{"64": np.nan})
    assert says("vgg", **{"256": 0.1}), "of that one no answer is known"


@needs_weights
def test_known_answers_of_the_trained_network(monkeypatch) -> None:
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(WEIGHTS.parent))
    network = load_lpips()
    n = torch.arange(256)
    picture = (n[:, None] * torch.tensor([1, 2, 3])[:, None, None] + 2 * n) % 256
    x = picture[None].to(torch.uint8)
    assert lpips_distance(x, x.flip(3), network)[0] == pytest.approx(0.44789, abs=2e-4)
    assert lpips_distance(x, x.transpose(2, 3), network)[0] == pytest.approx(0.35617, abs=2e-4)
