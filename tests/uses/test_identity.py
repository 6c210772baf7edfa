import pytest
import torch

from hiresvae.errors import UserError
from hiresvae.metrics.identity import IdentityNetwork, distance, load_identity
from hiresvae.uses.identity import STRANGERS, kept, yardstick


@pytest.fixture
def faces_network(network, tmp_path, monkeypatch) -> IdentityNetwork:
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    return load_identity(network)


def test_what_does_not_move_stays_the_same_person(faces_network, scenes):
    own = scenes(4, 0)
    strip = torch.stack([own, 255 - own], 1)
    stays, moves = kept(faces_network, strip, own, own, None)
    assert stays == {"from_reconstruction": 0.0, "from_original": 0.0}
    away = distance(faces_network(255 - own), faces_network(own)).mean()
    assert moves["from_reconstruction"] == pytest.approx(float(away), abs=1e-4) and away > 0.01


def test_the_same_pictures_are_looked_at_once(scenes):
    own, seen = scenes(4, 0), []

    def network(pictures):
        seen.append(len(pictures))
        return pictures.float().flatten(1)

    strip = torch.stack([own, 255 - own], 1)
    once = kept(network, strip, own, own, None, strip)
    assert len(seen) == 4, "the edited at two strengths, the unedited, the originals"
    assert once == kept(network, strip, own, own, None)


def test_the_original_is_not_the_reconstruction(faces_network, scenes):
    own, other = scenes(4, 0), scenes(4, 1)
    (row,) = kept(faces_network, own[:, None], own, other, None)
    assert row["from_reconstruction"] == 0 < row["from_original"]


def test_strangers_are_held_out_pictures_and_what_the_model_makes_of_them(
    make_painter, faces_network, scenes
):
    painter = make_painter()
    people = yardstick(painter, faces_network)
    held_out = painter.data().held_out
    count = min(len(held_out), STRANGERS)
    assert people.role == "held_out" and len(people.real) == count * (count - 1) // 2
    told = people.to_json()
    assert told["pictures"]["quantile_5_percent"] < told["pictures"]["mean"]
    assert told["reconstructions"]["mean"] != told["pictures"]["mean"]
    own = scenes(2, 0)
    strip = torch.stack([own, 255 - own], 1)
    stays, moves = kept(faces_network, strip, own, own, people)
    assert stays["same_person"] == 1
    assert stays["margin"] == pytest.approx(told["reconstructions"]["mean"], abs=1e-3)
    assert stays["margin_from_original"] == pytest.approx(told["pictures"]["mean"], abs=1e-3)
    lost = moves["from_reconstruction"] - stays["from_reconstruction"]
    assert stays["margin"] - moves["margin"] == pytest.approx(lost, abs=1e-3)
    # What is delivered counts, not what the model made on the way to it.
    (given_back,) = kept(faces_network, strip[:, 1:], own, own, people, own[:, None])
    assert given_back["same_person"] == 1 and given_back["margin"] == moves["margin"]


def test_without_the_data_those_given_are_strangers(
    make_painter, faces_network, scenes, monkeypatch
):
    painter = make_painter()

    def gone():
        raise UserError("the folder is gone")

    monkeypatch.setattr(painter, "data", gone)
    people = yardstick(painter, faces_network, scenes(3, 0))
    assert people.role == "given" and len(people.real) == 3
    assert yardstick(painter, faces_network, scenes(1, 0)) is None
    assert yardstick(painter, faces_network) is None
