import pytest
import torch
import torch.nn.functional as F

from hiresvae.metrics.kernel import kernel_distance
from hiresvae.metrics.textures import standardised, texture_features


def scenes(count, seed, side=32):
    """Pictures of a kind: soft shapes under fine texture, in colours of their own."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=rng)
    soft = F.interpolate(coarse, (side, side), mode="bilinear")
    fine = 0.15 * torch.randn(count, 3, side, side, generator=rng)
    return (255 * (soft + fine).clamp(0, 1)).to(torch.uint8)


def blurred(pictures, taps):
    return F.avg_pool2d(pictures.float(), taps, 1, taps // 2).to(torch.uint8)


@pytest.fixture(scope="module")
def distance():
    train, held_out = scenes(200, 0), scenes(60, 1)
    scale = texture_features(train)
    unseen = standardised(texture_features(held_out), scale).numpy()
    return lambda made: kernel_distance(standardised(texture_features(made), scale).numpy(), unseen)


def test_more_blur_noise_and_sameness_are_farther(distance):
    other = scenes(100, 2)
    same = distance(other)
    assert abs(same) < 0.1 * distance(blurred(other, 3))
    assert distance(blurred(other, 3)) < distance(blurred(other, 5))
    shaken = (other.float() + 20 * torch.randn(other.shape)).clamp(0, 255).to(torch.uint8)
    assert distance(shaken) > 5 * abs(same)
    assert distance(other[:1].expand(100, -1, -1, -1)) > 5 * abs(same), "all the same picture"
    assert distance(other.flip(1) // 2) > 5 * abs(same), "too dark"


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 16), (3, 45), (3, 8)])
def test_every_size_and_grey(channels, side):
    pictures = scenes(70, 0, side)[:, :channels]
    features = texture_features(pictures)
    assert features.isfinite().all()
    torch.testing.assert_close(texture_features(pictures[60:]), features[60:])


def test_what_is_no_uint8_is_refused():
    with pytest.raises(TypeError, match="uint8"):
        texture_features(torch.rand(2, 3, 16, 16))


def test_a_feature_that_never_varies_stays_bounded():
    reference = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    assert standardised(reference + 0.1, reference).abs().max() < 10
