import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.autoencoding import CorruptionSettings
from hiresvae.seeding import Noise, Shard
from hiresvae.training.corruption import BLANK, as_seen, corrupt, damaged


def grey(count: int = 4, side: int = 64, value: float = 0.25) -> torch.Tensor:
    return torch.full((count, 3, side, side), value)


def noise(count: int = 4, step: int = 0):
    return Noise(0, step, Shard(count, 0, count)).normal


def test_gaussian_noise_has_its_deviation_and_stays_in_the_range():
    found = corrupt(grey(), CorruptionSettings(sigma=0.2), noise())
    assert found.std().item() == pytest.approx(0.2, rel=0.02)
    assert found.mean().item() == pytest.approx(0.25, abs=0.005)
    wild = corrupt(grey(), CorruptionSettings(sigma=5.0), noise())
    assert (wild.min(), wild.max()) == (-1, 1)


def test_salt_and_pepper_are_half_each_and_of_all_channels():
    found = corrupt(grey(), CorruptionSettings(kind="salt_and_pepper", share=0.5), noise())
    assert set(found.unique().tolist()) == {-1.0, 0.25, 1.0}
    for value in (-1.0, 1.0):
        assert (found == value).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (found == found[:, :1]).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["salt_and_pepper", "masking"])
def test_all_or_nothing(kind, share):
    found = corrupt(grey(), CorruptionSettings(kind=kind, share=share), noise())
    assert (found == 0.25).all() if share == 0 else (found != 0.25).all()


@pytest.mark.parametrize("blocks", [1, 8, 24])
def test_masking_blanks_whole_squares(blocks):
    chosen = CorruptionSettings(kind="masking", share=0.3, blocks=blocks)
    found = corrupt(grey(64), chosen, noise(64))
    assert set(found.unique().tolist()) == {BLANK, 0.25}
    for y in range(0, 64, blocks):
        square = found[:, :, y : y + blocks, blocks : 2 * blocks].flatten(1)
        assert (square == square[:, :1]).all()
    squares = 64 * (-(-64 // blocks)) ** 2
    chance = 4 * (0.3 * 0.7 / squares) ** 0.5
    assert (found == BLANK).float().mean().item() == pytest.approx(0.3, abs=chance)


KINDS = [
    {"kind": "gaussian"},
    {"kind": "salt_and_pepper"},
    {"kind": "masking", "blocks": 4},
]


@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: chosen["kind"])
def test_a_row_is_corrupted_alike_in_any_split_and_otherwise_at_another_step(chosen):
    settings, images = CorruptionSettings(**chosen), grey(6, 16)
    whole = corrupt(images, settings, noise(6))
    parts = [
        corrupt(images[a:b], settings, Noise(0, 0, Shard(6, a, b)).normal)
        for a, b in ((0, 2), (2, 6))
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(corrupt(images, settings, noise(6, step=1)), whole)
    assert not torch.equal(whole[0], whole[1])


def test_a_picture_is_damaged_by_its_number():
    pictures = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    chosen = CorruptionSettings(kind="salt_and_pepper")
    found = damaged(pictures, chosen, [4, 5, 6], seed=0)
    assert found.dtype == torch.uint8
    assert torch.equal(damaged(pictures[1:], chosen, [5, 6], seed=0), found[1:])
    assert not torch.equal(damaged(pictures, chosen, [4, 5, 6], seed=1), found)


def test_pairs_are_not_made():
    with pytest.raises(ValueError, match="read, not made"):
        corrupt(grey(), CorruptionSettings(kind="pairs", inputs="x"), noise())


@pytest.fixture
def watched(make_trainer, monkeypatch):
    """Does a step and gives what encoder, likelihood and critic were shown."""

    def run(*overrides):
        trainer = make_trainer("adversary.start=0", "adversary.ramp=0", *overrides)
        seen = {"encoder": [], "likelihood": [], "critic": []}
        trainer.vae.encoder.register_forward_pre_hook(
            lambda _, given: seen["encoder"].append(given[0].detach().clone())
        )
        step, forward = trainer.step, trainer.vae.likelihood.forward

        def likelihood(head):
            found = forward(head)
            log_prob = found.log_prob
            found.log_prob = lambda x: seen["likelihood"].append(x.clone()) or log_prob(x)
            return found

        monkeypatch.setattr(trainer.vae.likelihood, "forward", likelihood)
        judge = type(step.adversary).judge

        def judged(self, critic, images, *rest, **more):
            seen["critic"].append(images.clone())
            return judge(self, critic, images, *rest, **more)

        monkeypatch.setattr(type(step.adversary), "judge", judged)
        trainer._set_rates(1.0)
        logs = step(0)
        assert all(value.isfinite() for value in logs.values())
        clean, _ = trainer.batches.batch(0, 8)
        return trainer, clean, {name: torch.cat(found) for name, found in seen.items()}

    return run


def test_the_encoder_alone_sees_the_corrupted_picture(watched):
    _, clean, seen = watched("corruption.kind=masking", "corruption.share=1.0")
    assert (seen["encoder"] == BLANK).all()
    assert torch.equal(seen["likelihood"], clean) and torch.equal(seen["critic"], clean)


def test_parts_of_a_batch_see_what_the_whole_does(watched):
    chosen = ("corruption.kind=gaussian", "corruption.sigma=0.3")
    found = [watched(*chosen, f"training.accumulation={parts}")[2] for parts in (1, 2)]
    assert torch.equal(found[0]["encoder"], found[1]["encoder"])
    assert not torch.equal(found[0]["encoder"], found[0]["likelihood"])


def negatives(folder, count=12, size=(40, 36)):
    """Pairs in two folders: a picture of noise, and its negative as the corrupted one."""
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        for name, values in (("clean", pixels), ("noisy", 255 - pixels)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / name / f"{i}.png")
    return [
        f"data.source={folder / 'clean'}", "data.limit=null", "corruption.kind=pairs",
        f"corruption.inputs={folder / 'noisy'}",
    ]  # fmt: skip


@pytest.mark.parametrize("crop", ["tiles", "random", "center", "none"])
def test_pairs_are_cropped_and_mirrored_alike(watched, tmp_path, crop):
    pairs = negatives(tmp_path)
    trainer, clean, seen = watched(*pairs, f"data.crop={crop}", "data.mirror=true", "data.pad=edge")
    torch.testing.assert_close(seen["encoder"], -clean, atol=1e-2, rtol=0)
    assert torch.equal(seen["likelihood"], clean) and torch.equal(seen["critic"], clean)
    rows = trainer.batches.data.held_out
    shown = as_seen(trainer.settings.corruption, trainer.batches, rows, 0)
    assert (shown.int() + trainer.batches.pictures(rows).int() - 255).abs().max() <= 1


def test_a_snapshot_shows_what_was_restored_and_fits_what_was_encoded(make_trainer):
    trainer = make_trainer("adversary=null", "corruption.kind=masking", "corruption.share=1.0")
    model, seen = trainer.average.model, []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    density = trainer.snapshots.fitted(model)
    used = trainer.snapshots.take(model, density, 1000)
    # 0 becomes the 8-bit grey 128.
    assert seen and all((x - BLANK).abs().max() < 0.005 for x in seen)
    with Image.open(trainer.run.reconstructions / "000001k.png") as file:
        assert file.width == 6 * 18 - 2, "two threes a row"
        shown = np.asarray(file)
    assert (shown[:16, 18:34] == 128).all(), "the middle one is what the encoder saw"
    assert used.settings.corruption.kind == "masking"
    assert "denoising (masking)" in (trainer.run.model / "README.md").read_text()


def test_the_watch_over_the_critic_makes_its_fakes_as_training_does(make_trainer):
    trainer = make_trainer("adversary.start=0", "corruption.kind=masking", "corruption.share=1.0")
    seen = []
    trainer.vae.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    trainer.step(0)
    seen.clear()
    assert trainer.watch(0)
    assert seen and all((x - BLANK).abs().max() < 0.005 for x in seen)


def test_without_noise_a_corruption_changes_no_bit(make_trainer):
    ends = []
    for chosen in ("corruption=null", "corruption.sigma=0.0"):
        trainer = make_trainer("adversary.start=0", chosen)
        trainer._set_rates(1.0)
        for number in range(2):
            trainer.step(number)
        ends.append(trainer.vae.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_denoising_run_learns_to_denoise(make_trainer):
    """Held-out pictures of 16 px come back several decibels nearer to the clean ones."""
    from hiresvae.generator import PictureModel
    from hiresvae.metrics.paired import psnr
    from hiresvae.training.snapshots import running_density

    trainer = make_trainer(
        "adversary=null", "corruption.kind=salt_and_pepper", "model.stochastic=false",
        "training.images=4000", "training.batch_size=16", "training.lr=2e-3",
        "model.width=8", "model.max_width=32", "model.latent_dim=32",
    )  # fmt: skip
    trainer._set_rates(1.0)
    for number in range(120):
        trainer.step(number)
    model = PictureModel(
        trainer.vae, running_density(trainer.running, ()), (), (), trainer.settings
    )
    rows = trainer.batches.data.held_out
    clean = trainer.batches.pictures(rows)
    noisy = as_seen(trainer.settings.corruption, trainer.batches, rows, 0)
    gained = psnr(model.reconstruct(noisy), clean).mean() - psnr(noisy, clean).mean()
    assert gained > 4
