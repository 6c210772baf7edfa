import io
import struct
import zlib
from dataclasses import replace

import pytest
import torch
from PIL import Image

from hiresvae.explore import studio as module
from hiresvae.explore.studio import between, furnish, learn_all, mix, paint, place
from hiresvae.explore.wishes import Between, Knobs, Mix, Paint, Picture
from hiresvae.generator import load
from hiresvae.uses.measure import brightness


def file(picture, kind="PNG"):
    held = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(held, kind)
    return held.getvalue()


@pytest.fixture(scope="module")
def studio(trained):
    return furnish(load(trained, device="cpu"), axes=4)


@pytest.fixture(scope="module")
def ladder(laddered):
    return furnish(load(laddered, device="cpu"), axes=2)


def painted(studio, *pictures, **knobs):
    return paint(studio, Paint(pictures=list(pictures), knobs=Knobs(**knobs)))


SAMPLE = Picture(sample=7)


def test_a_sample_is_the_one_that_sampling_makes(studio):
    assert torch.equal(painted(studio, SAMPLE), studio.painter.sample(1, seed=7))
    cooler = painted(studio, SAMPLE, temperature=0.5)
    assert torch.equal(cooler, studio.painter.sample(1, seed=7, temperature=0.5))


def test_each_slider_changes_the_picture_and_none_at_zero(studio):
    plain = painted(studio, SAMPLE)
    for place_of in range(4):
        axes = [0.0] * place_of + [3.0]
        assert not torch.equal(painted(studio, SAMPLE, axes=axes), plain)
    assert {"brightness", "colourfulness"} <= set(studio.edits)
    for name in studio.edits:
        assert not torch.equal(painted(studio, SAMPLE, attributes={name: 3.0}), plain)
    still = {"axes": [0.0] * 4, "attributes": dict.fromkeys(studio.edits, 0.0)}
    assert torch.equal(painted(studio, SAMPLE, **still), plain)


def with_data(painter, **changes):
    data = painter.settings.data.model_copy(update=changes)
    return replace(painter, settings=painter.settings.model_copy(update={"data": data}))


def test_exact_attributes_come_from_drawn_sets(studio):
    faces = learn_all(with_data(studio.painter, source="embedded:faces", limit=48))
    assert {"smile", "brightness"} <= set(faces)


def test_a_grey_model_has_no_sliders_of_colour(train, tmp_path):
    words = ("data.channels=1", "adversary=null", "training.images=64")
    painter = load(train(tmp_path / "grey", *words), device="cpu")
    assert painter.model.channels == 1
    assert set(learn_all(with_data(painter, source="monet"))) == {"brightness"}


def test_attributes_of_other_models_come_from_samples_and_nothing_is_fetched(studio, monkeypatch):
    painter = with_data(studio.painter, source="monet", labels="folders")
    monkeypatch.setattr(module, "of_data", lambda *a, **k: pytest.fail("the data were opened"))
    learned = learn_all(painter)
    assert "brightness" in learned
    many = [Picture(sample=seed) for seed in range(32)]
    other = replace(studio, edits=learned)
    levels = [
        float(brightness(painted(other, *many, attributes={"brightness": s})).mean())
        for s in (-3.0, 0.0, 3.0)
    ]
    assert levels[0] < levels[1] < levels[2], "more of it is brighter"


def test_a_dropped_picture_is_reconstructed_and_edited(studio):
    own = studio.painter.sample(1, seed=50)[0]
    key, seen = place(studio, file(own))
    assert torch.equal(seen, own)
    again = painted(studio, Picture(key=key))
    assert torch.equal(again, studio.painter.reconstruct(own[None]))
    assert torch.equal(painted(studio, Picture(key=key), temperature=0.1), again)
    assert not torch.equal(painted(studio, Picture(key=key), axes=[3.0]), again)


def test_what_the_model_forgets_of_a_dropped_picture_is_given_back(studio):
    own = studio.painter.sample(1, seed=50)[0]
    dropped = Picture(key=place(studio, file(own))[0])
    whole = painted(studio, dropped, SAMPLE, detail=1.0)
    assert torch.equal(whole[0], own) and torch.equal(whole[1], painted(studio, SAMPLE)[0])
    edited = painted(studio, dropped, axes=[3.0], detail=1.0)
    assert not torch.equal(edited[0], own)
    assert not torch.equal(edited, painted(studio, dropped, axes=[3.0]))


def test_the_way_from_a_dropped_picture_begins_with_itself(studio):
    own = studio.painter.sample(1, seed=50)[0]
    dropped = Picture(key=place(studio, file(own))[0])
    bare, whole = (
        between(studio, Between(a=dropped, b=SAMPLE, knobs=Knobs(detail=share), steps=3))
        for share in (0.0, 1.0)
    )
    assert (whole[0].int() - own.int()).abs().max() <= 1 < (bare[0].int() - own.int()).abs().max()
    assert torch.equal(whole[-1], bare[-1]), "of a sample nothing was forgotten"


def test_a_dropped_picture_is_cut_to_the_model(studio):
    wide = torch.zeros(3, 40, 90, dtype=torch.uint8)
    wide[:, :, 25:65] = 200
    _, seen = place(studio, file(wide, "JPEG"))
    assert seen.shape == (3, 16, 16) and int(seen.float().mean()) in range(195, 205)


def test_what_is_no_picture_is_refused_and_a_bomb_unopened(studio, refused):
    with refused("cannot be used", "not a picture"):
        place(studio, b"#!/bin/sh")
    with refused("empty"):
        place(studio, b"")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    bomb += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT\x35\xaf\x06\x1e"
    with refused("gigantic"):
        place(studio, bomb)


def test_the_picture_unused_for_longest_is_forgotten(studio, refused, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    studio.shelf.clear()
    keys = [place(studio, file(one))[0] for one in studio.painter.sample(2, seed=60)]
    painted(studio, Picture(key=keys[0]))
    place(studio, file(studio.painter.sample(1, seed=61)[0]))
    painted(studio, Picture(key=keys[0]))
    with refused("drop it once more"):
        painted(studio, Picture(key=keys[1]))


def test_the_way_begins_at_a_as_changed_and_ends_at_b_as_it_is(studio):
    knobs = Knobs(axes=[2.0], attributes={"brightness": 1.0})
    way = between(studio, Between(a=SAMPLE, b=Picture(sample=8), knobs=knobs, steps=5))
    assert way.shape == (5, 3, 16, 16)
    first = paint(studio, Paint(pictures=[SAMPLE], knobs=knobs))[0]
    # In one batch and alone, sums may be rounded another way.
    assert (way[0].int() - first.int()).abs().max() <= 1
    assert (way[-1].int() - painted(studio, Picture(sample=8))[0].int()).abs().max() <= 1


def test_rungs_are_mixed(ladder, studio, refused):
    pair = {"a": SAMPLE, "b": Picture(sample=8)}
    one, other = mix(ladder, Mix(**pair, keep=2))
    own = painted(ladder, SAMPLE, pair["b"])
    assert not torch.equal(one, other)
    assert not torch.equal(one, own[0]) and not torch.equal(one, own[1])
    with refused("nearest valid: 3"):
        mix(ladder, Mix(**pair, keep=4))
    with refused("1 rung"):
        mix(studio, Mix(**pair, keep=1))


def test_a_label_is_drawn_and_shown(labelled, refused):
    told = furnish(load(labelled, device="cpu"), axes=2)
    name = told.painter.classes[-1]
    assert torch.equal(
        painted(told, SAMPLE, label=name), told.painter.sample(1, seed=7, label=name)
    )
    own = told.painter.sample(1, seed=50)
    key, _ = place(told, file(own[0]))
    shown = {
        painted(told, Picture(key=key), label=n).numpy().tobytes() for n in told.painter.classes
    }
    assert len(shown) > 1
    assert not set(told.edits) & set(told.painter.classes)
    with refused("label 'nobody'"):
        painted(told, Picture(key=key), label="nobody")


def test_what_is_not_known_is_refused(studio, refused):
    with refused("attribute 'smiel'"):
        painted(studio, SAMPLE, attributes={"smiel": 1.0})
    with refused("this model has 4"):
        painted(studio, SAMPLE, axes=[0.0] * 5)
    with refused("drop it once more"):
        painted(studio, Picture(key="0"))
