import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.generator import load
from hiresvae.priors import RunningGaussian
from hiresvae.training.snapshots import SHOWN, encode_all, running_density


def test_the_running_fit_is_the_density_that_the_critic_saw():
    running = RunningGaussian(3, 100)
    z = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)) * 2 + 1
    running.observe(*running.sums(z), images=64)
    density = running_density(running, ())
    noise = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    assert density.kind == "gaussian"
    torch.testing.assert_close(density.sample(noise, torch.zeros(8)), running.sample(noise))


def test_the_running_fit_of_classes_keeps_their_shares():
    running = RunningGaussian(2, 100, num_classes=3)
    density = running_density(running, (0.5, 0.5, 0.0))
    assert density.kind == "classes"
    assert density.log_weights.exp().tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
    assert density.log_weights.isfinite().all()


@pytest.mark.parametrize("count", [0, 1, 42])
def test_latents_are_of_these_pictures_and_the_same_each_time(make_trainer, count):
    trainer = make_trainer()
    rows = trainer.batches.data.train[:count]
    model = trainer.average.model
    first = encode_all(model, trainer.batches, rows, None, 0)
    assert len(first) == count
    assert torch.equal(first, encode_all(model, trainer.batches, rows, None, 0))
    if count:
        assert first.shape == (count, 8)
        assert not torch.equal(first, encode_all(model, trainer.batches, rows, None, 1))


def test_a_snapshot_shows_samples_and_pairs_and_leaves_a_model(make_trainer):
    trainer = make_trainer()
    model = trainer.average.model
    density = trainer.snapshots.fitted(model)
    used = trainer.snapshots.take(model, density, 64_000)
    with Image.open(trainer.run.samples / "000064k.png") as file:
        assert file.size == (8 * 18 - 2, 2 * SHOWN // 8 * 18 - 2)
    with Image.open(trainer.run.reconstructions / "000064k.png") as file:
        pairs = np.asarray(file)
    held = trainer.batches.data.held_out
    original = trainer.batches.pictures(held[:1])[0].permute(1, 2, 0).numpy()
    assert (pairs[:16, :16] == original).all(), "held-out pictures are shown"
    assert torch.equal(load(trainer.run.path, device="cpu").sample(3), used.sample(3))
    card = (trainer.run.model / "README.md").read_text()
    assert "64,000 images seen" in card
    assert "42 pictures, 6 held out" in card
