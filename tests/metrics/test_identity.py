import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.data.embedded import faces
from hiresvae.metrics import identity
from hiresvae.metrics.features import known_picture
from hiresvae.metrics.identity import (
    ANSWER,
    BOXES,
    IDENTITY,
    check_box,
    cut,
    distance,
    find_identity,
    load_identity,
    strange_pairs,
)

NAMED = os.environ.get("HIRESVAE_WEIGHTS", "nowhere")
needs_weights = pytest.mark.skipif(
    not (Path(NAMED) / IDENTITY).is_file(), reason="HIRESVAE_WEIGHTS holds no MobileFaceNet"
)


class Patches(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x / 255 - 0.5, 4).flatten(1)


def script(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, files of it are not gone
        torch.jit.script(Patches()).save(str(path))
    return path


def pictures(n: int = 4, channels: int = 3, side: int = 20) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, side, side), generator=rng, dtype=torch.uint8)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> None:
    """A cache of the test's own, and weights nowhere."""
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)


def test_nowhere_is_one_sentence_that_says_what_to_do(tmp_path, refused) -> None:
    with refused(IDENTITY, str(tmp_path / "cache"), "HIRESVAE_WEIGHTS", "--features"):
        load_identity()


def test_another_network_under_its_name_is_refused(tmp_path, monkeypatch, refused) -> None:
    path = script(tmp_path / "cache" / "weights" / IDENTITY)
    assert find_identity() == path
    with refused("is not the MobileFaceNet that its name says"):
        load_identity()
    # As one's own network it may measure, and pictures come to it as they are.
    own = load_identity(str(path))
    assert own.box is None and own.to_json()["box"] is None
    monkeypatch.setattr(identity, "answers_as_mobilefacenet", lambda network: True)
    assert load_identity().box == BOXES["lfw"]
    assert load_identity(box=(0, 0, 0.5)).to_json()["box"] == [0, 0, 0.5]
    assert len(str(load_identity().to_json()["sha256"])) == 64


def test_features_have_unit_length_and_see_the_box_alone(tmp_path) -> None:
    path = str(script(tmp_path / "own.pt"))
    x, changed = pictures(), pictures()
    changed[..., 13:] = 255 - changed[..., 13:]  # bicubic looks two pixels over the edge
    left = load_identity(path, box=(0, 0, 0.5))
    assert torch.allclose(left(x).norm(dim=1), torch.ones(4), atol=1e-6)
    assert torch.equal(left(x), left(changed))
    whole = load_identity(path)
    assert distance(whole(x), whole(changed)).min() > 0.1
    assert distance(whole(x), whole(x)).abs().max() < 1e-6
    expected = Patches()(x.float())
    assert torch.allclose(whole(x), expected / expected.norm(dim=1, keepdim=True), atol=1e-5)


def test_stored_features_are_taken_again(tmp_path, monkeypatch) -> None:
    network = load_identity(str(script(tmp_path / "own.pt")), box=(0.1, 0.1, 0.8))
    first = network(pictures(), stored=True)

    def never(*_, **__):
        raise AssertionError("the features were at hand")

    monkeypatch.setattr(identity, "extract", never)
    assert torch.equal(network(pictures(), stored=True), first)
    with pytest.raises(AssertionError, match="at hand"):
        network(pictures())


def test_the_box_is_cut_between_pixels() -> None:
    x = pictures(2, side=10)
    faces = cut(x, (0.15, 0.05, 0.8), side=16)
    image = Image.fromarray(x[1].permute(1, 2, 0).numpy())
    expected = image.resize((16, 16), Image.Resampling.BICUBIC, box=(1.5, 0.5, 9.5, 8.5))
    assert np.array_equal(faces[1].permute(1, 2, 0).numpy(), np.asarray(expected))
    grey = cut(x[:, :1], (0, 0, 1), side=10)
    assert torch.equal(grey, x[:, :1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize("box", [(0.5, 0, 0.6), (-0.1, 0, 0.5), (0, 0, 0), (0, float("nan"), 0.5)])
def test_a_box_beyond_the_picture_is_refused(box, refused) -> None:
    with refused("must lie within the picture", "nearest valid: 0.07,0.03,0.86"):
        check_box(box)


def test_the_known_boxes_lie_within_the_picture() -> None:
    for box in BOXES.values():
        check_box(box)


def test_strange_pairs_are_all_pairs_once() -> None:
    turned = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert strange_pairs(turned).tolist() == [1.0, 2.0, 1.0]


@needs_weights
def test_mobilefacenet_answers_as_published(monkeypatch) -> None:
    monkeypatch.setenv("HIRESVAE_WEIGHTS", NAMED)
    found = load_identity()
    answer = found.network.call(known_picture(256))[0]
    np.testing.assert_allclose(answer[:6].numpy(), ANSWER, atol=1e-4)
    smiles = (-0.5, 0.8)
    sad, glad = (
        torch.from_numpy(
            np.stack([faces.draw_attributes({"smile": x}, index=i, size=64) for i in range(6)])
        )
        for x in smiles
    )
    features = found(sad)
    assert distance(features, found(glad)).max() < strange_pairs(features).min()
