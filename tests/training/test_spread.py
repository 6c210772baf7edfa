import pytest
import torch

from hiresvae.settings import Settings
from hiresvae.training.guard import COLLAPSED_STEPS, Guard
from hiresvae.training.spread import COLLAPSED, moments, spread


def test_the_spread_of_pictures_by_hand():
    real = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)

    def of(*kinds):
        return spread(*(moments(kind, None, 0) for kind in (real, *kinds)))

    assert of(real, 0.1 * real).tolist() == pytest.approx([1, 0.01])
    assert of(torch.ones(4, 1, 1, 1)) == 0
    assert of(real[:1], real[:0], real).isnan().tolist() == [True, True, False], (
        "one alone differs from nobody"
    )


def test_the_spread_is_within_labels():
    """One picture a label is a collapse, however much the labels differ."""
    labels = torch.tensor([0, 0, 1, 1, 2])
    real = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    alike = torch.tensor([-1.0, -1, 0, 0, 1]).view(5, 1, 1, 1).expand(5, 3, 8, 8)

    def of(made, labels):
        return spread(*(moments(kind, labels, 3) for kind in (real, made)))

    assert of(real, labels).item() == pytest.approx(1)
    assert of(alike, labels).item() == pytest.approx(0, abs=1e-6)
    assert spread(moments(real, None, 0), moments(alike, None, 0)) > 0.5
    other = torch.arange(3)
    apart = [moments(kind[:3], other, 3) for kind in (real, real)]
    assert spread(*apart).isnan(), "no two of a label"
    one = moments(real[:1].expand(3, -1, -1, -1), other, 3)
    assert spread(moments(real, labels, 3), one).item() == pytest.approx(0, abs=1e-6), (
        "all are one, whatever their labels"
    )


@pytest.mark.parametrize(("classes", "batch"), [(10, 8), (100, 16), (1000, 32)])
@pytest.mark.parametrize("each", [False, True])
def test_a_collapse_of_samples_is_found_beside_whole_reconstructions(classes, batch, each):
    """All samples one picture: in any batch. One a label: where labels come twice in a batch."""
    generator = torch.Generator().manual_seed(3)
    watch = Guard(Settings())
    met = 0
    fine, painted = torch.tensor(1.0), torch.randn(classes, 3, 4, 4, generator=generator)
    for number in range(4 * COLLAPSED_STEPS):
        labels = torch.randint(classes, (batch,), generator=generator)
        real = torch.randn(batch, 3, 4, 4, generator=generator)
        fresh = torch.randn(batch // 2, 3, 4, 4, generator=generator)
        made = painted[labels[1::2]] if each else painted[:1].expand(batch // 2, -1, -1, -1)
        made = fresh if number < 50 else made
        kinds = ((real, labels), (real, labels), (made, labels[1::2]))
        watch.judge(
            fine, fine, fine, fake_spread=spread(*(moments(*kind, classes) for kind in kinds))
        )
        if each and number >= 50:
            met += len(labels[1::2].unique()) < batch // 2
    assert watch.collapsed[0] == 0
    if each:
        assert watch.collapsed[1] == met, "each batch in which two of a label met has told"
    if classes == 10 or not each:
        assert watch.collapsed[1] > COLLAPSED_STEPS
        assert "looked alike" in watch.trouble(0, last=True)


def test_the_spread_of_parts_is_that_of_the_whole():
    pictures = torch.randn(2, 8, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1] * 4)
    whole = [moments(kind, labels, 2) for kind in pictures]
    parts = [
        sum(moments(kind[i : i + 1], labels[i : i + 1], 2) for i in range(8)) for kind in pictures
    ]
    torch.testing.assert_close(spread(*parts), spread(*whole))


def test_grain_does_not_hide_a_collapse():
    """One picture with other noise on every pixel: as painters with grain show it."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(64, 3, 4, 4, generator=generator).repeat_interleave(8, 2)
    real = coarse.repeat_interleave(8, 3)
    made = real[:1] + 0.35 * torch.randn(64, 3, 32, 32, generator=generator)
    seen = spread(moments(real, None, 0), moments(made, None, 0))
    assert seen < COLLAPSED < 0.1 < made.var(0).mean() / real.var(0).mean()
