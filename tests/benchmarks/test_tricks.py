import json
from pathlib import Path

import numpy as np
import pytest
import torch
import tricks
from torchvision.transforms.functional import gaussian_blur
from tricks import measured, missing_noise, tricked

from hiresvae.metrics.sharpness import sharpness_ratio
from hiresvae.metrics.spectrum import spectrum_distance
from hiresvae.uses.memory_figures import memory_pixels
from hiresvae.uses.plan import Plan
from hiresvae.uses.verdict import FOOLED, best, nearest, winner

N = 80
ROOT = Path(__file__).parents[2]


def leaves(n: int, seed: int, side: int = 32) -> torch.Tensor:
    """Discs of many sizes that cover each other: edges and spectrum as in photographs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    out = np.empty((n, 3, side, side))
    for picture in out:
        picture[:] = rng.uniform(0, 255, (3, 1, 1))
        for _ in range(30):
            radius = min(side / 2, 1.5 / (rng.uniform() ** 0.7 + 0.02))
            cy, cx = rng.uniform(0, side, 2)
            picture[:, (y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.uniform(0, 255, (3, 1))
    return torch.from_numpy(out).round().to(torch.uint8)


@pytest.fixture(scope="module")
def reals() -> torch.Tensor:
    return leaves(N, 0)


@pytest.fixture(scope="module")
def tricked_sets(reals) -> dict[str, torch.Tensor]:
    """What a plain VAE draws, which is blurred, and each trick on it."""
    plain = gaussian_blur(leaves(N, 1), 13, 2.0)
    return {"plain VAE": plain} | tricked(plain, reals)[0]


@pytest.fixture(scope="module")
def figures(reals, tricked_sets) -> dict[str, dict]:
    """Figures of the tricks and of a rival: sharper than a VAE, yet softer than real pictures."""
    rival = gaussian_blur(leaves(N, 2), 3, 0.4)
    assert 0.3 < sharpness_ratio(rival, reals).value < 0.8
    plan = Plan(frozenset({"texture", "patches", "diversity"}), N, 0)
    out = {}
    for who, made in {**tricked_sets, "with adversary": rival}.items():
        out[who] = measured(made, reals, plan)
        near = memory_pixels("samples", made, [reals], leaves(N, 3), {}, 0)
        out[who] |= {figure.name: figure.to_json() for figure in near}
    return out


def test_each_trick_reaches_what_it_aims_at(reals, tricked_sets) -> None:
    plain, masked, noisy, mended = tricked_sets.values()
    assert sharpness_ratio(plain, reals).value < 0.05
    for made in (masked, noisy):
        assert sharpness_ratio(made, reals).value == pytest.approx(1, abs=0.01)
    far, near = (spectrum_distance(made, reals).mean_db for made in (plain, mended))
    assert near < 0.1 * far and near < 1.5
    # Their colours vary together as those of real pictures do.
    again = missing_noise(torch.full_like(plain, 128), reals[:, :1].expand(-1, 3, -1, -1))
    assert (again.float() - again.float().mean(1, keepdim=True)).abs().mean() < 1


def test_a_strength_that_is_never_enough_is_refused(reals, refused) -> None:
    with refused("no strength of this trick"):
        tricks.until_sharp(lambda strength: torch.full_like(reals, 9), reals)


def test_values_alone_would_let_tricks_win(figures) -> None:
    """The reason for the rule: by its interval each trick is better in a figure of sharpness."""
    rival = figures["with adversary"]
    for trick in ("unsharp mask", "white noise"):
        name = "sharpness_ratio_samples"
        assert best([figures[trick][name], rival[name]]) == 0, trick
    assert (
        figures["missing noise"]["spectrum_distance_samples"]["value"]
        < (rival["spectrum_distance_samples"]["value"])
    )


@pytest.mark.parametrize("trick", ["plain VAE", "unsharp mask", "white noise", "missing noise"])
def test_no_trick_wins_a_figure_of_samples_from_sharper_pictures(figures, trick: str) -> None:
    pair = [figures[trick], figures["with adversary"]]
    won = {name: winner(name, pair) for name in figures[trick]}
    assert not [name for name, who in won.items() if who == 0]
    score = nearest([one["textures_samples"] for one in pair])
    assert score == 1, "a training would keep the rival as its best model"


@pytest.mark.parametrize("trick", ["unsharp mask", "white noise", "missing noise"])
def test_no_trick_wins_from_the_blur_where_nothing_but_pixels_was_measured(figures, trick) -> None:
    """As tools without the Inception measure: all of a trick's pixels may be nearer to real."""
    pair = [
        {name: one for name, one in figures[who].items() if one["features"] is None}
        for who in (trick, "plain VAE")
    ]
    assert not [name for name in pair[0] if name.startswith(FOOLED) and winner(name, pair) == 0]
    assert any(name.startswith(FOOLED) for name in pair[0])


def test_no_trick_of_the_committed_table_wins_and_the_adversary_keeps_what_it_wins() -> None:
    kept = json.loads((ROOT / "benchmarks/results/tricks.json").read_text())["variants"]
    models = {who: one["figures"] for who, one in kept.items()}
    plain, rival = models["plain VAE"], models["with adversary"]
    for trick in ("unsharp mask", "white noise", "missing noise"):
        for other in (plain, rival):
            won = {name: winner(name, [models[trick], other]) for name in plain}
            assert not [name for name, who in won.items() if who == 0 and name.startswith(FOOLED)]
    assert winner("sharpness_ratio_samples", [plain, rival]) == 1


def test_the_benchmark_writes_figures_and_a_sheet(trained, tmp_path, capsys) -> None:
    out, sheet = tmp_path / "tricks.json", tmp_path / "tricks.png"
    run = str(trained)
    more = ["--samples", "16", "--features", "none", "--metrics", "texture,patches"]
    tricks.main([run, run, *more, "--out", str(out), "--sheet", str(sheet)])
    found = json.loads(out.read_text())
    assert list(found["variants"]) == [
        "plain VAE", "unsharp mask", "white noise", "missing noise", "with adversary", "real",
    ]  # fmt: skip
    names = [set(variant["figures"]) for variant in found["variants"].values()]
    assert all(one == names[0] for one in names) and "textures_samples" in names[0]
    assert "gfid_fitted" not in names[0] and found["notes"]
    assert sheet.is_file() and "marked as better" in capsys.readouterr().out


def test_models_of_other_shapes_are_refused(trained, train, tmp_path, capsys) -> None:
    other = train(tmp_path / "other", "data.size=32", "training.images=8")
    with pytest.raises(SystemExit) as ended:
        tricks.main([str(trained), str(other), "--features", "none"])
    assert ended.value.code == 2 and "different shapes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--samples=4", "--samples 4 is too few"),
        ("--metrics=foo", "'foo' is no group"),
        ("--features=/no/network.pt", "nor a TorchScript file"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_drawn(word, said, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        tricks.main(["no_model", "no_model", word])
    assert ended.value.code == 2 and said in capsys.readouterr().err
