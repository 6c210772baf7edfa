import numpy as np
import pytest
import torch

from hiresvae.metrics.features import FeatureNetwork
from hiresvae.uses import memory_figures
from hiresvae.uses.memory_figures import memory, memory_pixels

NETWORK = FeatureNetwork("means", "a" * 64, lambda x: x, None, torch.device("cpu"))


def pictures(n: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 8, 8), generator=rng, dtype=torch.uint8)


def measured(made: torch.Tensor, train: torch.Tensor, unseen: torch.Tensor | None, seed: int = 0):
    found = memory_pixels("made", made, iter(train.split(7)), unseen, {"made": len(made)}, seed)
    return {figure.name: figure for figure in found}


def test_some_copies_are_told_by_the_share_where_the_median_sees_none() -> None:
    train, unseen, news = pictures(200, 0), pictures(100, 1), pictures(100, 2)
    honest = measured(news, train, unseen)
    assert honest["copies_pixels_share_made"].value < 0.08
    part = measured(torch.cat([train[150:180], news[:70]]), train, unseen)
    assert part["nearest_pixels_ratio_made"].value > 0.9
    assert part["copies_pixels_share_made"].value >= 0.3
    low, high = part["copies_pixels_share_made"].interval
    assert honest["copies_pixels_share_made"].interval[1] < low <= 0.4 <= high + 0.1
    assert part["copies_pixels_share_made"].better == "down"
    whole = measured(train[100:], train, unseen)
    assert whole["copies_pixels_share_made"].value == 1
    assert whole["nearest_pixels_ratio_made"].value < 0.01


def test_without_unseen_pictures_nothing_is_compared() -> None:
    for unseen in (None, pictures(1, 1)):
        assert set(measured(pictures(9, 2), pictures(20, 0), unseen)) == {"nearest_pixels_made"}


def test_the_seed_decides_the_intervals() -> None:
    sets = pictures(30, 0), pictures(50, 1), pictures(20, 2)
    first, again, other = (
        measured(*sets, seed=seed)["nearest_pixels_ratio_made"] for seed in (0, 0, 1)
    )
    assert first == again
    assert first.value == other.value and first.interval != other.interval


def test_the_nearest_are_sought_once_for_all_that_is_said_of_them(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    train, made, unseen = (rng.normal(size=(n, 5)) for n in (40, 20, 10))
    calls, seek = [], memory_figures.cosine_to_nearest

    def count(fakes, reals):
        calls.append(len(fakes))
        return seek(fakes, reals)

    monkeypatch.setattr(memory_figures, "cosine_to_nearest", count)
    copies = train[:20] + 1e-3 * made
    found = {f.name: f for f in memory("made", copies, train, unseen, NETWORK, {}, 0, frechet=2.0)}
    assert calls == [20, 10]
    assert found["copies_share_made"].value == 1 and found["nearest_ratio_made"].value < 0.01
    assert found["gmifrechet_made"].value == pytest.approx(2 / (found["nearest_made"].value + 1e-6))
