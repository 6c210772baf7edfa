import pytest
import torch
from torch import Tensor

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.averages import Averages, RunningMeans
from hiresvae.adversary.discriminator import Discriminator

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2, 1])
CHOSEN = torch.tensor([False, True] * 4)


@pytest.fixture
def real() -> Tensor:
    return torch.randn(8, 5)


@pytest.fixture
def fake() -> Tensor:
    return torch.randn(8, 5)


def test_feature_matching_centre_every_class_has_its_own_mean_of_its_own_rows(
    real: Tensor, fake: Tensor
):
    means = RunningMeans(5, 100, 3)
    means.observe(means.sums(real, fake, LABELS, CHOSEN), 8)
    real_mean, fake_mean, known = means.means()
    for c in range(3):
        torch.testing.assert_close(real_mean[c], real[LABELS == c].mean(0))
        rows = (LABELS == c) & CHOSEN
        if rows.any():
            torch.testing.assert_close(fake_mean[c], fake[rows].mean(0))
            torch.testing.assert_close(means.gap()[c], fake_mean[c] - real_mean[c])
        assert known[c] == rows.any()


def test_two_shards_equal_one_batch(real: Tensor, fake: Tensor):
    one, two = RunningMeans(5, 100, 3), RunningMeans(5, 100, 3)
    for step in range(3):
        a, b = real + step, fake - step
        one.observe(one.sums(a, b, LABELS, CHOSEN), 8)
        shards = [
            two.sums(a[rows], b[rows], LABELS[rows], CHOSEN[rows])
            for rows in (slice(0, 3), slice(3, 8))  # uneven, and not all classes in each
        ]
        two.observe(shards[0] + shards[1], 8)
    torch.testing.assert_close(one.totals, two.totals)
    torch.testing.assert_close(one.gap(), two.gap())


def test_means_fade_with_the_half_life_by_hand():
    means = RunningMeans(1, 8)
    for value in (1.0, 4.0):
        rows = torch.full((8, 1), value)
        means.observe(means.sums(rows, -rows), 8)
    # The first eight count half: (4 * 1 + 8 * 4) / 12.
    real, fake, _ = means.means()
    assert real.item() == pytest.approx(3.0)
    assert fake.item() == pytest.approx(-3.0)
    assert means.gap().item() == pytest.approx(-6.0)


def test_a_class_that_one_side_never_showed_has_no_gap(real: Tensor, fake: Tensor):
    means = RunningMeans(5, 100, 4)
    assert not means.gap().any(), "nothing is known at the start"
    means.observe(means.sums(real, fake, LABELS), 8)
    assert means.means()[2].tolist() == [True, True, True, False]
    assert means.gap()[:3].any(1).all() and not means.gap()[3].any()


def test_sums_that_are_not_finite_change_nothing(real: Tensor, fake: Tensor):
    means = RunningMeans(5, 100)
    means.observe(means.sums(real, fake), 8)
    before = means.totals.clone()
    means.observe(means.sums(real * torch.inf, fake), 8)
    assert torch.equal(means.totals, before)


def test_only_what_the_settings_ask_for_is_kept_and_it_is_saved():
    def kept(**chosen: float | str) -> Averages:
        settings = AdversarySettings(width=4, max_width=8, **chosen)  # type: ignore[arg-type]
        return Averages(settings, Discriminator(settings, size=16, channels=1, classes=3))

    assert not kept().kept and not kept().state_dict()
    assert kept(lecam=0.1).state_dict().keys() == {"logits.totals"}
    every = kept(lecam=0.1, mean_matching=1.0, class_mean_matching=1.0, condition="classifier")
    shapes = {name: tuple(value.shape) for name, value in every.state_dict().items()}
    assert shapes == {
        "logits.totals": (2, 1, 2),
        "features.totals": (2, 1, 9),
        "classes.totals": (2, 3, 9),
    }
