import os
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from hiresvae.errors import UserError
from hiresvae.metrics.perceptual import find_backbone
from hiresvae.settings import TermSettings
from hiresvae.training import step as step_module
from hiresvae.training.perceptual import Lpips, feature_distance, load_features
from hiresvae.training.sharpening import make_sharpening

SQUEEZE = "squeezenet1_1-b8a52dc0.pth"
PLACE = os.environ.get("HIRESVAE_WEIGHTS")
needs_weights = pytest.mark.skipif(
    not PLACE or not (Path(PLACE).expanduser() / SQUEEZE).is_file(),
    reason="needs the squeezenet of LPIPS in HIRESVAE_WEIGHTS",
)


class Means(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * self.scale


def script(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


@pytest.fixture(scope="module")
def squeeze():
    return Lpips("squeeze", "cpu")


def known(side=256):
    n = torch.arange(side)
    levels = (n[:, None] * torch.tensor([1, 2, 3])[:, None, None] + 2 * n) % 256
    return levels[None].float() / 127.5 - 1


def pictures(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No folder holds any weights, and nothing can be downloaded."""
    monkeypatch.delenv("HIRESVAE_WEIGHTS", raising=False)
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path


@needs_weights
def test_lpips_of_a_known_pair(squeeze):
    """The known answer of the weights' own description, and the trap: [0, 1] gives another."""
    picture = known()
    assert squeeze(picture, picture.flip(3)).item() == pytest.approx(0.44789, abs=2e-4)
    assert squeeze(picture, picture.mT).item() == pytest.approx(0.35617, abs=2e-4)
    halved = (picture + 1) / 2
    assert squeeze(halved, halved.flip(3)).item() != pytest.approx(0.44789, abs=0.01)


@needs_weights
def test_lpips_equals_the_package_called_directly(squeeze):
    """On [-1, 1] as it is: neither [0, 1] nor scaled twice."""
    x, y = pictures(0, 2, 3, 40, 33), pictures(1, 2, 3, 40, 33)
    with torch.no_grad():
        theirs = squeeze.network(x, y).flatten()
        twice = squeeze.network(x, y, normalize=True).flatten()
        found = squeeze(x, y)
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(twice, found, rtol=0.005), f"{twice} {found}"


@needs_weights
def test_lpips_has_a_gradient_and_its_network_is_frozen(monkeypatch):
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(PLACE))
    before = torch.random.get_rng_state()
    chosen = make_sharpening(TermSettings(lpips=0.5), "cpu", 32)
    assert torch.equal(torch.random.get_rng_state(), before), "it draws no number of the run's"
    network = chosen.distances["lpips"].network
    x, y = pictures(0, 1, 3, 32, 32).requires_grad_(True), pictures(1, 1, 3, 32, 32)
    chosen.loss(chosen(x, y)).backward()
    theirs = x.detach().clone().requires_grad_(True)
    (0.5 * network(theirs, y).mean()).backward()
    assert x.grad.norm() > 0
    torch.testing.assert_close(x.grad, theirs.grad, rtol=1e-3, atol=1e-6)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


@needs_weights
def test_lpips_takes_small_grey_and_flat_pictures(squeeze):
    grey = torch.zeros(2, 1, 8, 8, requires_grad=True)
    squeeze(grey, pictures(0, 2, 1, 8, 8)).sum().backward()
    assert grey.grad.isfinite().all() and grey.grad.norm() > 0
    same = pictures(0, 1, 3, 16, 16).requires_grad_(True)
    squeeze(same, same.detach()).sum().backward()
    assert same.grad.isfinite().all() and not same.grad.any()


def test_where_no_channel_is_active_the_gradient_is_finite():
    from hiresvae.training.perceptual import _unit

    x = torch.zeros(1, 4, 1, 2, requires_grad=True)
    _unit(x.relu()).sum().backward()
    assert x.grad.isfinite().all()


def test_without_weights_one_sentence_says_what_to_do(nowhere, refused):
    words = (SQUEEZE, "5 MB", "OSError", str(nowhere / "cache"), "HIRESVAE_WEIGHTS", "laplacian")
    with refused(*words):
        make_sharpening(TermSettings(lpips=1.0), "cpu", 32)


@pytest.mark.parametrize("place", ["named", "cache/weights", "hub/checkpoints"])
@pytest.mark.parametrize(
    ("net", "file"), [("squeeze", SQUEEZE), ("alex", "alexnet-owt-7be5be79.pth")]
)
def test_weights_are_found_where_they_may_lie(nowhere, monkeypatch, place, net, file):
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(nowhere / "named"))
    path = nowhere / place / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert find_backbone(net) == path


def test_a_broken_file_is_told(nowhere, monkeypatch, refused):
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(nowhere))
    (nowhere / SQUEEZE).write_bytes(b"half a file")
    with refused(SQUEEZE, "whole"):
        Lpips("squeeze", "cpu")
    torch.save({"features.0.weight": torch.zeros(1)}, nowhere / SQUEEZE)
    with refused(SQUEEZE, "whole"):
        Lpips("squeeze", "cpu")


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_features_of_an_own_network_are_compared_on_0_to_255(kind, tmp_path):
    file = str(script(Means(), tmp_path / "means.pt"))
    chosen = make_sharpening(
        TermSettings(features=file, features_weight=2.0, features_distance=kind), "cpu", 4
    )
    x = torch.zeros(2, 1, 4, 4, requires_grad=True)
    y = torch.stack([torch.full((1, 4, 4), 1.0), torch.zeros(1, 4, 4)])
    found = chosen(x, y)["features"]
    expected = {"l1": 127.5, "l2": 127.5**2}[kind]
    torch.testing.assert_close(found, torch.tensor([expected, 0.0]))
    chosen.loss({"features": found}).backward()
    assert (x.grad[0] < 0).all(), "brighter is nearer"


@pytest.mark.parametrize(
    "term",
    ["features", "laplacian", "focal_frequency", pytest.param("lpips", marks=needs_weights)],
)
def test_perceptual_term_under_no_grad_each_alone_moves_the_decoder_to_the_picture(
    make_trainer, monkeypatch, tmp_path, term
):
    """`diffusers`, its example autoencoderkl."""
    if term == "lpips":
        monkeypatch.setenv("HIRESVAE_WEIGHTS", str(PLACE))
    chosen = f"terms.{term}=1"
    if term == "features":
        chosen = f"terms.features={script(nn.Conv2d(3, 4, 3), tmp_path / 'map.pt')}"
    trainer = make_trainer("adversary=null", chosen)
    real = step_module.bound_loss
    monkeypatch.setattr(step_module, "bound_loss", lambda *a, **more: 0 * real(*a, **more))
    decoder = list(trainer.vae.decoder.parameters())
    before = [p.detach().clone() for p in decoder]
    trainer._set_rates(1.0)
    first, *_, last = (trainer.step(0)[term].item() for _ in range(4))
    assert 0 < last < first
    moved = [not torch.equal(a, b) for a, b in zip(before, decoder, strict=True)]
    assert sum(moved) > len(moved) / 2


def test_a_feature_map_will_do_and_its_network_is_frozen(tmp_path):
    network = load_features(str(script(nn.Conv2d(3, 2, 3), tmp_path / "map.pt")), "cpu", 8)
    assert not any(p.requires_grad for p in network.parameters())
    x, y = pictures(0, 3, 3, 8, 8), pictures(1, 3, 3, 8, 8)
    assert feature_distance(network, "l1", x, y).shape == (3,)
    assert feature_distance(network, "l1", x, x).sum() == 0


def test_no_such_network_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"terms.features .* does not exist"):
        load_features(str(tmp_path / "absent.pt"), "cpu", 8)


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class Grey(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Rounded(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.round().mean((2, 3))


class Blind(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach().mean((2, 3))


class Broken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x.mean((2, 3)) - 1e9)


class Bytes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)).to(torch.uint8)


class Picky(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[3] < 32:
            raise ValueError("too small")
        return x.mean((2, 3))


class Unit(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(x.mean((2, 3)))


class Whole(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Pair(), "it gave no tensor but a tuple"),
        (Grey(), "it failed: "),
        (nn.Conv2d(3, 2, 9), "it failed: "),
        (Rounded(), "it gave features whose gradient is nothing"),
        (Blind(), "it gave features without a gradient"),
        (Broken(), "it gave numbers that are not finite"),
        (Bytes(), "it gave numbers of the kind uint8"),
        (Whole(), "it gave a tensor of shape ()"),
        (Picky(), "too small"),
    ],
)
def test_a_network_that_could_teach_nothing_is_refused(network, words, tmp_path, refused):
    """A term without a gradient is what `diffusers` shipped; here it would be the user's file."""
    file = str(script(network, tmp_path / "own.pt"))
    with refused(words, "here (2, 3, 8, 8)", file):
        make_sharpening(TermSettings(features=file), "cpu", 8)


def test_features_of_a_fixed_length_have_a_gradient(tmp_path):
    file = str(script(Unit(), tmp_path / "unit.pt"))
    assert make_sharpening(TermSettings(features=file), "cpu", 8) is not None


@pytest.mark.parametrize("chosen", ["features", pytest.param("lpips", marks=needs_weights)])
def test_networks_of_terms_are_in_no_checkpoint_and_no_model(train, tmp_path, monkeypatch, chosen):
    """They are frozen, and anybody has them: weights of the training alone are kept."""
    terms = [f"terms.features={script(nn.Conv2d(3, 4, 3), tmp_path / 'map.pt')}"]
    if chosen == "lpips":
        monkeypatch.setenv("HIRESVAE_WEIGHTS", str(PLACE))
        terms = ["terms.lpips=1"]
    sizes = []
    for number, words in enumerate(([], terms)):
        run = train(tmp_path / str(number), "training.images=32", *words)
        files = [path for path in run.rglob("*") if path.suffix in (".safetensors", ".bin")]
        sizes.append({str(path.relative_to(run)): path.stat().st_size for path in files})
    assert sizes[0] == sizes[1] and len(sizes[0]) > 3
