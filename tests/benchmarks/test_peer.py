import json
import time

import numpy as np
import peer
import peer_autoencoder
import peer_packages
import pytest
import torch
from torch import nn

STUB = """
import time
import torch

def train(task, watch):
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).train()

    def draw(count):
        assert not network.training and not network[1].training
        return torch.rand(count, 3, task.side, task.side)

    (task.folder / "scratch.txt").write_text("of the package")
    watch.begin(network, draw, batch=4, lr=0.5, width=task.option("width", 7))
    while True:
        time.sleep(0.01)
        assert network[1].training
        watch.step(4)
"""


@pytest.fixture
def stub(tmp_path):
    file = tmp_path / "stub.py"
    file.write_text(STUB)
    np.save(tmp_path / "train.npy", np.zeros((10, 3, 8, 8), np.uint8))
    out = tmp_path / "out"
    return [str(file), f"--pictures={tmp_path / 'train.npy'}", "--samples=5", f"--out={out}"], out


@pytest.fixture
def watch():
    kept = []

    def keep(mark, made, facts):
        kept.append((mark, made, facts))

    return peer.Watch([0.05, 0.1], 3, 0, keep), kept


def test_samples_of_another_side_are_not_kept(stub):
    words, out = stub
    file = out.parent / "stub.py"
    file.write_text(STUB.replace("task.side, task.side", "7, 7"))
    assert peer.main([*words, "--marks=0.05"]) == 3
    reason = json.loads((out / peer.ABSENT).read_text())["reason"]
    assert reason == "its samples are 3 x 7 x 7, the pictures it was given 3 x 8 x 8"
    assert not list(out.glob("*.npy")) and not (out / "scratch").exists()


def test_every_mark_is_kept_with_what_it_took(stub):
    words, out = stub
    begun = time.monotonic()
    assert peer.main([*words, "--marks=0.1,0.3", '--options={"width": 9}']) == 0
    assert time.monotonic() - begun < 10
    assert sorted(file.name for file in out.iterdir()) == [
        "0.1.json", "0.1.npy", "0.3.json", "0.3.npy",
    ]  # fmt: skip
    early, late = (json.loads((out / f"{mark}.json").read_text()) for mark in (0.1, 0.3))
    assert 0.1 <= early["seconds"] < 0.3 <= late["seconds"] < 0.6
    assert 0 < early["images"] < late["images"] and late["images"] == 4 * late["steps"]
    assert late["width"] == 9 and late["lr"] == 0.5 and late["batch"] == 4
    assert late["parameters"] == 2 * 3 + 3 + 3 + 3 and late["device"]
    made = np.load(out / "0.3.npy")
    assert made.shape == (5, 3, 8, 8) and made.dtype == np.uint8 and made.std() > 50


def test_a_finished_mark_is_not_made_again_and_a_lost_one_alone_is(stub, capsys):
    words, out = stub
    peer.main([*words, "--marks=0.05,0.1"])
    before = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    capsys.readouterr()
    peer.main([*words, "--marks=0.05,0.1"])
    assert {file: file.stat().st_mtime_ns for file in out.iterdir()} == before
    assert capsys.readouterr().out == "", "nothing was trained"
    # Killed while it wrote: the pictures are there, what is known of them is not.
    (out / "0.1.json").unlink()
    (out / "scratch").mkdir()
    peer.main([*words, "--marks=0.05,0.1"])
    assert (out / "0.05.npy").stat().st_mtime_ns == before[out / "0.05.npy"]
    assert (out / "0.1.json").is_file() and not (out / "scratch").exists()
    assert capsys.readouterr().out.count("kept") == 1


def test_another_question_is_another_training(stub):
    words, out = stub
    peer.main([*words, "--marks=0.05"])
    peer.main([*words, "--marks=0.05", "--samples=6"])
    assert len(np.load(out / "0.05.npy")) == 6


def test_drawing_stops_the_clock_and_changes_nothing(watch):
    clock, kept = watch
    network = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    network[1].eval()  # a part that its package holds still

    def draw(count):
        time.sleep(0.3)
        return torch.rand(count, 3, 4, 4)

    clock.begin(network, draw, batch=2, lr=1.0)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with pytest.raises(peer.OverError):
        while True:
            time.sleep(0.005)
            clock.step(2)
    assert torch.rand(1) == expected, "the training's own random numbers go on"
    assert [mark for mark, _, _ in kept] == [0.05, 0.1]
    assert all(facts["seconds"] < 0.25 <= facts["sampling_seconds"] for _, _, facts in kept)
    assert (kept[0][1] == kept[1][1]).all(), "samples of one seed"
    assert network.training and not network[1].training


def test_samples_that_are_not_finite_are_refused(watch):
    clock, kept = watch
    clock.begin(nn.Linear(1, 1), lambda n: torch.full((n, 3, 4, 4), torch.nan), batch=2, lr=1.0)
    with pytest.raises(FloatingPointError, match="not finite"):
        while True:
            time.sleep(0.01)
            clock.step(2)
    assert not kept


def test_what_cannot_be_run_tells_its_reason(stub, tmp_path, monkeypatch):
    words, out = stub
    names = {"pythae_vae": "pip install pythae", "stylegan2": "pip install stylegan2-pytorch"}
    monkeypatch.setattr(peer_packages, "find_spec", lambda name: None)
    for name, reason in names.items():
        assert peer.main([name, *words[1:], "--marks=1"]) == 3
        assert reason in json.loads((out / peer.ABSENT).read_text())["reason"]
    assert peer.main([str(tmp_path / "gone.py"), *words[1:], "--marks=1"]) == 3
    monkeypatch.setattr(peer_packages, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert peer.main(["lightweight_gan", *words[1:], "--marks=1"]) == 3
    assert "without CUDA" in json.loads((out / peer.ABSENT).read_text())["reason"]


def test_what_breaks_off_tells_why_and_keeps_its_marks(tmp_path):
    file = tmp_path / "falls.py"
    file.write_text(
        STUB.replace("watch.step(4)", "watch.step(4)\n        assert not watch.images % 40")
    )
    np.save(tmp_path / "train.npy", np.zeros((10, 3, 8, 8), np.uint8))
    words = [str(file), f"--pictures={tmp_path / 'train.npy'}", f"--out={tmp_path / 'out'}"]
    with pytest.raises(AssertionError):
        peer.main([*words, "--marks=0.005,5", "--samples=2"])
    assert "AssertionError" in json.loads((tmp_path / "out" / peer.ABSENT).read_text())["reason"]
    assert (tmp_path / "out" / "0.005.json").is_file()
    assert not (tmp_path / "out" / "scratch").exists()


def test_a_worker_ends_with_whoever_started_it(watch, monkeypatch):
    clock, _ = watch
    clock.attached = True
    clock.begin(nn.Linear(1, 1), lambda n: torch.zeros(n, 3, 4, 4), batch=2, lr=1.0)
    clock.step(2)
    monkeypatch.setattr(peer.os, "getppid", lambda: 1)
    with pytest.raises(SystemExit):
        clock.step(2)


def test_pictures_as_files_are_the_same(tmp_path):
    from PIL import Image

    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8), np.uint8)
    folder = peer.Task(pictures, 1.0, tmp_path, {}, 0).as_files()
    found = []
    for file in sorted(folder.iterdir()):
        with Image.open(file) as opened:
            found.append(np.asarray(opened).transpose(2, 0, 1))
    assert (np.stack(found) == pictures).all()


def test_steps_of_an_epoch_are_counted_with_its_small_last_batch():
    sizes = peer_packages._sizes(10, 4)
    assert [next(sizes) for _ in range(5)] == [4, 4, 2, 4, 4]


def test_pythae_knows_two_sides():
    with pytest.raises(peer.AbsentError, match="32 and 64 px, not of 16"):
        peer_packages.pythae_networks(16)


class Tiny(nn.Module):
    """Stands for an autoencoder of diffusers."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 2, 8, 8), nn.Module()
        self.decoder.conv_out = nn.ConvTranspose2d(2, 3, 8, 8)

    def encode(self, x):
        return type("Told", (), {"latent_dist": Posterior(self.encoder(x))})

    def decode(self, z):
        return type("Told", (), {"sample": self.decoder.conv_out(z)})


class Posterior:
    def __init__(self, mean):
        self.mean = mean

    def sample(self):
        return self.mean

    def kl(self):
        return self.mean.square().sum((1, 2, 3))


def moved(before, part):
    after = part.state_dict()
    return any(not torch.equal(before[name], after[name]) for name, _ in part.named_parameters())


def test_critic_and_autoencoder_move_in_their_own_steps_alone():
    torch.manual_seed(0)
    model, critic, real = Tiny(), peer_autoencoder.patch_critic(16), torch.rand(4, 3, 16, 16)
    optimizers = [torch.optim.AdamW(part.parameters(), 1e-2) for part in (model, critic)]
    states = [{k: v.clone() for k, v in part.state_dict().items()} for part in (model, critic)]
    peer_autoencoder.model_step(model, critic, None, real, optimizers[0])
    assert moved(states[0], model) and not moved(states[1], critic)
    assert all(p.grad is None for p in critic.parameters()), "nothing leaks into its next step"
    states[0] = {k: v.clone() for k, v in model.state_dict().items()}
    for p in model.parameters():
        p.grad = None
    peer_autoencoder.critic_step(model, critic, real, optimizers[1])
    assert moved(states[1], critic) and not moved(states[0], model)
    assert all(p.grad is None for p in model.parameters())


def test_the_perceptual_term_has_a_gradient():
    torch.manual_seed(0)
    model, real = Tiny(), torch.rand(2, 3, 16, 16)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)

    def gradient(perceptual):
        peer_autoencoder.model_step(model, None, perceptual, real, optimizer)
        return model.decoder.conv_out.weight.grad.clone()

    class Distance(nn.Module):
        def forward(self, a, b):
            return 1e-3 * a.mean((1, 2, 3), keepdim=True)

    assert not torch.allclose(gradient(None), gradient(Distance()), atol=1e-7)


def test_latents_are_drawn_as_those_of_the_pictures_lie():
    torch.manual_seed(0)
    model = Tiny()
    few = peer_autoencoder.fitted(model, torch.rand(3, 3, 16, 16), "cpu")
    assert few.sample((5,)).isfinite().all(), "fewer pictures than dimensions"
    many = torch.rand(500, 3, 16, 16)
    with torch.no_grad():
        expected = model.encode(many).latent_dist.sample().flatten(1).double()
    with torch.no_grad():
        found = peer_autoencoder.fitted(model, many, "cpu").sample((4000,))
    spread = expected.std(0)
    assert ((found.mean(0) - expected.mean(0)).abs() < 0.1 * spread).all()
    assert (found.std(0) / spread - 1).abs().max() < 0.1


@pytest.mark.parametrize("side", [16, 32, 64])
def test_the_critic_sees_patches_at_every_side(side):
    out = peer_autoencoder.patch_critic(side)(torch.rand(2, 3, side, side))
    assert out.shape[1] == 1 and out.shape[2] >= 1


def test_lpips_is_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert peer_autoencoder.lpips_on_disk("cpu") is None
