from typing import Any

import pytest
import torch
from torch import Tensor

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.discriminator import (
    BANDS,
    GROUP,
    PATCH_LEVEL,
    Discriminator,
    receptive_field,
    spread,
    with_detail,
)


def make(classes: int = 0, channels: int = 3, size: int = 16, **chosen: Any) -> Discriminator:
    settings = AdversarySettings(**{"width": 4, "max_width": 8, **chosen})
    return Discriminator(settings, size=size, channels=channels, classes=classes)


def awake(critic: Discriminator) -> Discriminator:
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return critic


@pytest.fixture
def images() -> Tensor:
    return torch.rand(8, 3, 16, 16) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(channels: int):
    judgement = make(channels=channels)(torch.zeros(5, channels, 16, 16))
    assert judgement.logits.shape == (5, 1)
    shapes = {side: tuple(f.shape) for side, f in judgement.features.items()}
    assert shapes == {16: (5, 4, 16, 16), 8: (5, 8, 8, 8), 4: (5, 8, 4, 4)}


def test_a_patch_critic_judges_a_quarter_of_the_side_and_builds_nothing_beyond():
    judgement = make(critic="patch")(torch.zeros(5, 3, 16, 16))
    assert judgement.logits.shape == (5, 4 * 4)
    assert set(judgement.features) == {16, 8, 4}
    torch.testing.assert_close(judgement.weights, torch.full((16,), 1 / 16))


@pytest.mark.parametrize("kind", ["whole", "patch", "multiscale"])
def test_every_critic_judges_the_smallest_pictures(kind: str):
    judgement = make(size=8, critic=kind)(torch.zeros(2, 3, 8, 8))
    assert judgement.logits.shape[0] == 2
    torch.testing.assert_close(judgement.weights.sum(), torch.tensor(1.0))


def test_spread_of_a_batch_is_that_of_each_group_alone():
    images = torch.randn(11, 3, 2, 2)
    apart = torch.cat([spread(images[rows]) for rows in (slice(0, 4), slice(4, 8), slice(8, 11))])
    torch.testing.assert_close(spread(images), apart)


def test_local_means_are_those_of_the_pixels_that_there_are():
    picture = torch.arange(25.0).view(1, 1, 5, 5)
    bands = with_detail(picture)
    fine = picture[0, 0, 0, 0] - picture[0, 0, :2, :2].mean()
    torch.testing.assert_close(bands[0, 1, 0, 0], BANDS[0][1] * fine)


def test_scales_of_a_multiscale_critic_count_the_same():
    settings = AdversarySettings(width=4, max_width=8, critic="multiscale")
    judgement = Discriminator(settings, size=32, channels=3)(torch.zeros(2, 3, 32, 32))
    assert judgement.logits.shape == (2, 8 * 8 + 4 * 4 + 1)
    for part in judgement.weights.split([64, 16, 1]):
        assert part.sum().item() == pytest.approx(1 / 3)


def test_no_batch_norm_in_the_critic_nor_any_other_normalisation():
    for module in make(classes=3).modules():
        assert "Norm" not in type(module).__name__
        assert "Dropout" not in type(module).__name__


@pytest.mark.parametrize("kind", ["whole", "patch", "multiscale"])
def test_every_parameter_gets_a_gradient(images: Tensor, kind: str):
    critic = awake(make(classes=3, critic=kind))
    critic(images, torch.arange(8) % 3).logits.square().sum().backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ["whole", "patch", "multiscale"])
def test_label_never_reaches_the_critic_it_changes_every_logit(images: Tensor, kind: str):
    """`YixinChen-AI/CVAE-GAN-zoos-PyTorch-Beginner`, issue 12."""
    critic = make(classes=3, critic=kind)
    zeros, ones = torch.zeros(8, dtype=torch.int64), torch.ones(8, dtype=torch.int64)
    difference = critic(images, zeros).logits - critic(images, ones).logits
    assert (difference.abs() > 1e-5).all()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("kind", ["whole", "patch", "multiscale"])
def test_logits_are_of_single_precision_where_the_rest_is_of_half(
    images: Tensor, kind: str, classes: int
):
    critic = awake(make(classes=classes, critic=kind))
    labels = torch.arange(8) % 3 if classes else None
    single = critic(images, labels).logits
    with torch.autocast("cpu", torch.bfloat16):
        half = critic(images, labels)
    assert half.logits.dtype == torch.float32 and half.embedding.dtype == torch.bfloat16
    torch.testing.assert_close(half.logits, single, rtol=0.1, atol=0.1)
    assert (half.logits != half.logits.bfloat16()).float().mean() > 0.5


def test_a_critic_without_classes_takes_no_notice_of_labels(images: Tensor):
    critic = make()
    labels = torch.zeros(8, dtype=torch.int64)
    assert torch.equal(critic(images, labels).logits, critic(images).logits)


def test_features_are_independent_of_batch_mates_and_logits_of_other_groups(images: Tensor):
    critic = awake(make()).train()
    whole, alone = critic(images), critic(images[:1])
    for side, features in whole.features.items():
        torch.testing.assert_close(features[:1], alone.features[side], rtol=1e-5, atol=1e-5)
    other = images.clone()
    other[GROUP:] = torch.rand_like(other[GROUP:])
    changed = critic(other)
    torch.testing.assert_close(whole.logits[:GROUP], changed.logits[:GROUP], rtol=0, atol=1e-6)
    assert not torch.allclose(whole.logits[GROUP:], changed.logits[GROUP:])


def test_spread_is_the_only_way_between_pictures(images: Tensor):
    critic = awake(make())
    assert critic.whole is not None
    width = critic.whole.mix.out_channels
    with torch.no_grad():
        critic.whole.mix.weight[:, width:] = 0
    torch.testing.assert_close(
        critic(images).logits[:1], critic(images[:1]).logits, rtol=1e-5, atol=1e-5
    )


def test_spread_of_a_group_by_hand():
    state = torch.randn(GROUP, 3, 4, 4)
    expected = state.double().std(0, correction=0).mean().item()
    maps = spread(state)
    assert maps.shape == (GROUP, 1, 4, 4)
    torch.testing.assert_close(maps, torch.full_like(maps, expected), rtol=1e-4, atol=1e-5)


def test_spread_of_four_is_independent_of_other_groups():
    state = torch.randn(10, 3, 4, 4)
    parts = [spread(part) for part in state.split(GROUP)]
    assert [len(part) for part in parts] == [4, 4, 2]
    assert torch.equal(spread(state), torch.cat(parts))


def test_spread_sees_a_collapse_and_has_a_finite_gradient_there():
    state = torch.randn(1, 3, 4, 4).repeat(GROUP, 1, 1, 1).requires_grad_(True)
    maps = spread(state)
    assert maps.max() < 1e-3
    maps.sum().backward()
    assert state.grad.isfinite().all()


def test_detail_of_a_flat_picture_is_nothing_even_at_its_border():
    flat = torch.full((2, 3, 16, 16), 0.3)
    shown = with_detail(flat)
    assert shown.shape == (2, 9, 16, 16)
    torch.testing.assert_close(shown[:, :3], flat)
    torch.testing.assert_close(shown[:, 3:], torch.zeros(2, 6, 16, 16))


def test_bands_of_detail_and_the_mean_that_is_left_add_up_to_the_picture():
    images = torch.rand(1, 1, 16, 16)
    shown = with_detail(images)[0]
    bands = sum(shown[1 + i] / enlarged for i, (_, enlarged) in enumerate(BANDS))
    rest = images[0, 0] - bands
    side, enlarged = BANDS[0]
    near = images[0, 0, 7:10, 7:10].mean()
    assert side == 3
    assert shown[1, 8, 8].item() == pytest.approx(
        enlarged * (images[0, 0, 8, 8] - near).item(), abs=1e-5
    )
    assert rest.std() < images.std() / 2


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_patch_logit_is_moved_by_as_many_pixels_as_the_settings_say(blocks: int):
    side = 22 + 28 * blocks
    said = AdversarySettings.model_fields["critic"].description
    assert said is not None and "of the 22 + 28 * blocks pixels about it" in said
    assert receptive_field(PATCH_LEVEL, blocks) == side
    size = 96 if blocks == 1 else 128
    settings = AdversarySettings(critic="patch", width=4, max_width=4, blocks=blocks)
    critic = Discriminator(settings, size=size, channels=1)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    # In double: far out, the slopes of single precision are 0.
    critic = critic.double()
    images = torch.randn(1, 1, size, size, dtype=torch.float64).requires_grad_(True)
    state = critic.trunk(with_detail(images))[size // 4]
    logits = critic.patches[str(size // 4)](state, None)[0].view(size // 4, size // 4)
    (slope,) = torch.autograd.grad(logits[size // 8, size // 8], images)
    for axis in (2, 3):
        moved = slope[0, 0].abs().amax(3 - axis).nonzero()[:, 0]
        assert int(moved.max() - moved.min()) + 1 == side
        assert 0 < moved.min() and moved.max() < size - 1, "no border cuts it"
