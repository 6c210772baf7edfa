import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.errors import UserError
from hiresvae.generator import load
from hiresvae.training import snapshots as module
from hiresvae.training.running_prior import RunningGaussian
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


def test_the_latents_of_a_quick_fit_come_from_all_of_a_sorted_collection(make_trainer):
    snapshots = make_trainer().snapshots
    rows = np.arange(1000)
    some = snapshots._some(rows, 100)
    assert len(set(some)) == 100 and (np.sort(some) == some).all()
    assert 35 < (some < 500).sum() < 65
    assert (snapshots._some(rows, 1000) == rows).all()


def test_one_broken_latent_costs_one_picture_and_all_of_them_a_sentence(make_trainer, monkeypatch):
    trainer = make_trainer()
    encode = module.encode_all

    def breaking(share):
        def broken(*inputs, **options):
            z = encode(*inputs, **options).clone()
            z[: int(share * len(z)) or 1] = torch.nan
            return z

        monkeypatch.setattr(module, "encode_all", broken)

    breaking(0.0)
    assert trainer.snapshots.fitted(trainer.average.model).means.isfinite().all()
    breaking(1.0)
    with pytest.raises(UserError, match="not finite"):
        trainer.snapshots.fitted(trainer.average.model)
    trainer._snapshot(final=False)  # takes the running fit, and says so
    assert (trainer.run.model / "prior.safetensors").is_file()
