import json
import warnings

import edits
import edits_drawn
import numpy as np
import pytest
import torch
from edits_photos import goals, of_photographs
from edits_shared import Asked, goal, kept_goal, seen

from hiresvae.data.embedded import faces
from hiresvae.generator import load
from hiresvae.metrics import identity
from hiresvae.uses.attributes import Examples, of_data
from hiresvae.uses.codes import decode, encode

SMALL = ("--faces", "12", "--epochs", "1", "--lessons", "16", "--device", "cpu")
FACES = ("data.source=embedded:faces", "data.limit=60", "data.held_out=0.3", "training.images=32")


class Patches(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x / 255 - 0.5, 4).flatten(1)


@pytest.fixture(scope="module")
def plain(train, tmp_path_factory):
    """A run on drawn faces without labels."""
    return train(tmp_path_factory.mktemp("edits") / "plain", "adversary=null", *FACES)


@pytest.fixture(scope="module")
def smiling(train, tmp_path_factory):
    """A run on drawn faces whose label is the smile."""
    words = ("adversary=null", "model.conditional=true", "data.labels=set", *FACES)
    return train(tmp_path_factory.mktemp("edits") / "smiling", *words)


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(tmp_path))


@pytest.fixture
def stub_weights(tmp_path, monkeypatch):
    """Another network in MobileFaceNet's place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Patches()).save(str(tmp_path / identity.IDENTITY))
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(identity, "answers_as_mobilefacenet", lambda network: True)


def test_each_attribute_of_drawn_faces_is_moved_and_read(plain, tmp_path, no_weights, capsys):
    edits.main([str(plain), "--out", str(tmp_path / "out"), *SMALL])
    found = json.loads((tmp_path / "out" / "edits.json").read_text())
    assert set(found["by_attribute"]) == set(faces.ATTRIBUTES) and found["faces"] == 12
    for name, row in found["by_attribute"].items():
        assert row["method"] == "means" and 0 <= row["right_way"] <= 1
        assert set(row["others"]) == set(faces.ATTRIBUTES) - {name}
        assert set(row["drawing_itself"]["others"]) == set(row["others"])
        # All that was forgotten is given back: at rest they are the originals.
        assert row["beside_originals"]["moved"] == pytest.approx(row["moved"])
        assert (tmp_path / "out" / f"{name}.png").is_file()
        assert "margin" not in row
    assert "mobilefacenet_features.pt" in found["identity"]["missing"]
    # A judge of sixteen lessons can read nothing, so nothing is held against the model.
    assert {line["reached"] for line in found["goals"]} == {None}
    assert "not measured" in capsys.readouterr().out


def test_a_model_with_labels_smiles_by_its_label(smiling, tmp_path, stub_weights):
    edits.main([str(smiling), "--out", str(tmp_path / "out"), *SMALL])
    found = json.loads((tmp_path / "out" / "edits.json").read_text())
    methods = {name: row["method"] for name, row in found["by_attribute"].items()}
    assert methods.pop("smile") == "label" and set(methods.values()) == {"means"}
    assert (tmp_path / "out" / "smiling.png").is_file()
    for row in found["by_attribute"].values():
        assert row["from_reconstruction"] >= 0 and 0 <= row["same_person"] <= 1
    assert found["identity"]["random_people"]["people"] == "held_out"


@pytest.mark.parametrize("run", ["plain", "smiling"])
def test_photographs_are_made_to_smile(run, request, tmp_path, stub_weights):
    # Drawn faces in place of photographs: they have the same label.
    painter = load(request.getfixturevalue(run), device="cpu")
    found = of_photographs(painter, Asked(tmp_path, faces=10, epochs=1))
    data = painter.data()
    neutral = int((np.asarray(data.labels)[data.held_out] == 0).sum())
    assert found["smiling"]["neutral_faces"] == min(neutral, 10)
    assert found["smiling"]["method"] == ("label" if run == "smiling" else "means")
    levels = ["0", "0.5", "1", "1.5", "2"] if run == "smiling" else ["-2", "-1", "0", "1", "2"]
    assert list(found["smiling"]["by_strength"]) == levels
    assert found["classifier"]["held_out_pictures"] == len(data.held_out)
    at_rest = found["skin_tone"]["by_strength"]["0"]
    assert abs(at_rest["degrees_moved"]) < 1e-3 and abs(at_rest["smile_score_moved"]) < 1e-3
    # One picture's margin at rest is that of no way at all.
    assert at_rest["from_reconstruction"] == pytest.approx(0, abs=1e-3)
    assert {path.name for path in tmp_path.glob("s*.png")} == {"smiling.png", "skin_tone.png"}
    assert 0 <= found["classifier"]["accuracy_held_out"] <= 1
    reached = [line["reached"] for line in found["goals"]]
    assert len(reached) == 5
    assert None not in (reached[1], *reached[3:]), "skin and identity need no classifier"


def test_paintings_and_strange_words_are_refused(trained, tmp_path, refused, capsys):
    with pytest.raises(SystemExit) as stop:
        edits.main([str(trained), "--out", str(tmp_path), *SMALL])
    assert stop.value.code == 2
    assert "tells no smiles; nearest valid: a run on lfw" in capsys.readouterr().err
    with refused("--method 'mean'", "'means'"):
        Asked(tmp_path, method="mean")
    with refused("--strength inf must be at most 100"):
        Asked(tmp_path, strength=float("inf"))
    with refused("--faces must be more than 0"):
        Asked(tmp_path, faces=0)


def test_labels_that_are_not_the_sets_own_are_refused(smiling, tmp_path, refused):
    painter = load(smiling, device="cpu")
    painter.classes = ("0", "1")
    with refused("labels are not those of the set"):
        of_photographs(painter, Asked(tmp_path))


def test_faces_are_moved_to_the_other_end(plain, tmp_path):
    painter = load(plain, device="cpu")
    pictures, known = edits_drawn.new_faces(6, 16)
    assert torch.equal(pictures[5], torch.from_numpy(faces.draw(5, seed=1, size=16)))
    assert known[5, 0] == faces.attributes(5, seed=1)["skin_tone"]
    codes = encode(painter, pictures)
    way, back = edits_drawn.pair(painter, Asked(tmp_path, strength=30), of_data(painter), "age", [])
    assert way[1] == 30 and back[1] == -30 and way[0] is back[0]
    up = torch.tensor([True, False, True, True, False, True])
    moved = edits_drawn.towards(painter, codes, [way, back], up)
    for edit, rows in ((way, up), (back, ~up)):
        expected = decode(painter, edit[0].apply(codes, edit[1]))[rows].int()
        assert (moved[rows].int() - expected).abs().max() <= 1
    assert torch.equal(
        edits_drawn.towards(painter, codes, [way, back], torch.ones(6).bool())[1:2],
        decode(painter, way[0].apply(codes, 30))[1:2],
    )


def test_the_drawing_itself_is_changed_in_one_attribute_inside_its_range():
    pictures, known = edits_drawn.new_faces(3, 32)
    k = faces.ATTRIBUTES.index("age")
    assert torch.equal(edits_drawn.redrawn(known, k, torch.zeros(3), 32), pictures)
    oldest = edits_drawn.redrawn(known, k, torch.tensor([0.0, 5.0, 1e9]), 32)
    assert torch.equal(oldest[0], pictures[0]) and not torch.equal(oldest[1], pictures[1])
    expected = faces.draw_attributes({"age": 80.0}, index=2, seed=edits_drawn.NEW, size=32)
    assert (oldest[2].numpy() == expected).all()


def test_what_an_edit_did_in_numbers():
    change = torch.tensor([[1.0, 0.5, 0.2], [-1.0, 0.5, 0.2], [3.0, -0.5, 0.2], [1.0, -0.5, -1.4]])
    found = edits_drawn.change_figures(
        change.double(), torch.tensor([1.0, -1.0, 1.0, -1.0]).double(), 0, ("a", "b", "c")
    )
    assert found["right_way"] == 0.75 and found["moved"] == pytest.approx(1.0)
    # Of a mean size of 1.5: b moves by 0.5 each, but as often one way as the other.
    assert found["others"]["b"]["each"] == pytest.approx(1 / 3)
    assert found["others"]["b"]["together"] == pytest.approx(0.0)
    assert found["others"]["c"] == pytest.approx({"each": 1 / 3, "together": 0.4 * 2 / 3})


def test_the_reader_of_attributes_is_judged_by_what_it_explains():
    rng = torch.Generator().manual_seed(0)
    shade = torch.rand(200, generator=rng)
    pictures = (shade.view(-1, 1, 1, 1).expand(-1, 3, 16, 16) * 255).to(torch.uint8)
    nothing = torch.randn(200, generator=rng)
    columns = {"shade": shade.double(), "nothing": nothing.double()}
    lessons = Examples(pictures[:150], None, {k: v[:150] for k, v in columns.items()})
    reader = edits_drawn.Reader(lessons, ("shade", "nothing"), epochs=12)
    known = torch.stack([column[150:] for column in columns.values()], 1)
    explained = reader.explained(pictures[150:], known)
    assert explained["shade"] > 0.8 and explained["nothing"] < 0.3


def test_only_what_the_judge_can_read_is_a_goal():
    def row(explained, right, drift, other):
        others = {other: {"each": drift, "together": 0.0}}
        return {"explained_by_judge": explained, "right_way": right, "others": others}

    lines = edits_drawn.goals({"a": row(0.9, 0.99, 0.5, "b"), "b": row(0.2, 0.5, 0.1, "a")})
    told = {line["what"].split(" of")[0]: line["reached"] for line in lines}
    assert told["a: moved the right way"] is True and told["b: moved the right way"] is None
    # The only other attribute cannot be read: whether it drifted is not known.
    assert lines[1]["reached"] is None


def test_goals_say_what_was_wanted():
    assert goal("x", 0.5, "> 0", True)["reached"] is True
    assert goal("x", None, "> 0", True)["reached"] is None
    rows = [{"margin": 0.1, "margin_from_original": far} for far in (0.3, -0.1)]
    assert kept_goal("x", rows)["value"] == -0.1
    assert kept_goal("x", [{}])["reached"] is None
    full = {"told_smiling": 0.9, "score_moved": 0.8}
    skin = {"monotone_faces": 1.0, "mean_is_monotone": True}
    for drift, reached in ((0.1, True), (-0.3, False)):
        at = {"by_strength": {"2": {"smile_score_moved": drift}}}
        lines = goals({"by_strength": {"2": full}}, {**skin, **at}, can_tell=True)
        assert [line["reached"] for line in lines[:3]] == [True, True, reached]
        lines = goals({"by_strength": {"2": full}}, {**skin, **at}, can_tell=False)
        assert [line["reached"] for line in lines[:3]] == [None, True, None]


def test_judges_see_colour_pictures_of_64_pixels():
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert seen(grey).shape == (1, 3, 64, 64)
