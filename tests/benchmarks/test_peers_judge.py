import warnings

import pytest
import torch
from peers_judge import GROUPS, Judge
from torch import nn

from hiresvae.data import open_data
from hiresvae.settings import DataSettings


class Means(nn.Module):
    """Mean colours of the four quarters and their product: features that few pictures fill."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(x.float(), 2).flatten(1) / 255


@pytest.fixture(scope="module")
def data():
    settings = DataSettings(source="embedded:paintings", size=16, limit=200)
    return open_data(settings, progress=False)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "means.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Means()).save(str(path))
    return str(path)


def test_real_pictures_are_nearer_than_noise_and_copies_are_told(data, network):
    judge = Judge(data, 16, 16, features=network, metrics="distance,memory,texture", device="cpu")
    real = judge.figures(judge.reals.held_out)
    noise = judge.figures(torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8))
    for name in ("gfrechet_samples", "gkernel_samples", "gkernel_held_out"):
        assert real[name]["value"] < noise[name]["value"], name
    floors = judge.floors
    assert 0 < floors["floor_frechet"]["value"] < noise["gfrechet_samples"]["value"]
    copies = judge.figures(judge.reals.train[:16])
    assert copies["nearest_pixels_samples"]["value"] == pytest.approx(0, abs=1e-5)
    assert copies["copies_pixels_share_samples"]["value"] > 0.9
    assert real["sharpness_ratio_samples"]["value"] == pytest.approx(1)


def test_what_was_measured_is_kept_for_these_pictures_and_this_question(
    data, tmp_path, monkeypatch
):
    judge = Judge(data, 16, 16, features="none", metrics="texture", device="cpu")
    made, file = judge.reals.train[:16].numpy(), tmp_path / "a" / "a.json"
    first = judge.kept(made, file)
    calls = []
    monkeypatch.setattr(judge, "figures", lambda pictures: calls.append(len(pictures)) or {})
    assert judge.kept(made, file) == first and not calls
    judge.kept(255 - made, file)
    other = Judge(data, 16, 16, features="none", metrics="texture,patches", device="cpu")
    monkeypatch.setattr(other, "figures", lambda pictures: calls.append(len(pictures)) or {})
    judge.kept(made, file)
    other.kept(made, file)
    assert calls == [16, 16, 16]


def test_too_few_pictures_are_refused(data, refused):
    with refused("8 or more"):
        Judge(data, 16, 4, features="none")


def test_what_needs_a_model_is_refused_and_all_is_the_rest(data, refused):
    with refused("'likelihood'", "without their model", "texture"):
        Judge(data, 16, 16, features="none", metrics="texture,likelihood")
    judge = Judge(data, 16, 16, features="none", metrics="all")
    assert judge.plan.groups == set(GROUPS.split(","))
