import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hiresvae import images
from hiresvae.priors import Density
from hiresvae.uses.attributes import Examples, of_data, read_columns, two_folders
from hiresvae.uses.codes import decode, encode
from hiresvae.uses.edit import drift, edited, learn, strengths, to_label
from hiresvae.uses.measure import brightness, skin_tone


@pytest.fixture(scope="module")
def example_pictures():
    rng = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (60, 3, 16, 16), generator=rng, dtype=torch.uint8)


def test_strength_0_changes_nothing_and_more_moves_further(painter, example_pictures):
    known = encode(painter, example_pictures).vector()[:, 0].double()
    codes = encode(painter, example_pictures[:3])
    edit = learn(painter, Examples(example_pictures, None, {"age": known}), "age")
    made = edited(painter, codes, edit, strengths(20, 3)).int()
    own = decode(painter, codes).int()
    assert made.shape == (3, 3, 3, 16, 16)
    assert (made[:, 1] - own).abs().max() <= 1
    assert (made[:, 0] - own).abs().max() > 1
    moved = edit.apply(codes, 1.5).vector(edit.rungs) - codes.vector(edit.rungs)
    assert torch.allclose(moved, 1.5 * edit.step.expand_as(moved), atol=1e-5)


def test_an_attribute_that_is_one_latent_is_found(make_painter, example_pictures):
    painter = make_painter()
    vectors = encode(painter, example_pictures).vector()
    known = {"here": vectors[:, 2].double(), "there": vectors[:, 4].double()}
    examples = Examples(example_pictures, None, known, ("here", "there"))
    edit = learn(painter, examples, "here", keep=["there"])
    codes = encode(painter, example_pictures[:4])
    moved = edit.apply(codes, 1.0).vector() - codes.vector()
    assert moved[:, 2].mean() == pytest.approx(float(vectors[:, 2].std()), rel=0.1)
    assert moved[:, 4].abs().max() < 0.1 * float(vectors[:, 4].std())
    assert edit.probes is not None
    assert edit.probes.explained["here"] > 0.9


def test_the_report_tells_what_else_moved(make_painter, example_pictures):
    painter = make_painter()
    known = {"bright": brightness(example_pictures).double()}
    edit = learn(painter, Examples(example_pictures, None, known), "bright")
    codes, levels = encode(painter, example_pictures[:5]), [-1.0, 0.0, 1.0]
    made = edited(painter, codes, edit, levels)
    report = drift(painter, decode(painter, codes), None, edit, levels, made)
    assert list(report) == ["-1", "0", "1"]
    change = float((brightness(made[:, 2]) - brightness(made[:, 1])).mean())
    assert report["1"]["measured"]["brightness"] == pytest.approx(change, abs=2e-3)
    assert report["0"]["read_from_latents"]["bright"] == pytest.approx(0, abs=0.05)


def test_a_label_is_exchanged_by_decoding_under_another(make_painter, pictures):
    painter = make_painter(classes=2)
    codes = encode(painter, pictures, torch.zeros(5, dtype=torch.int64))
    edit = to_label(painter, "smiling")
    under = painter.encode(pictures, torch.zeros(5, dtype=torch.int64))
    expected = painter.decode(under, torch.ones(5, dtype=torch.int64))
    assert (decode(painter, edit.apply(codes, 2.0)).int() - expected.int()).abs().max() <= 1
    half = edit.apply(codes, 1.0).labels
    assert torch.allclose(half, torch.full((5, 2), 0.5))
    # Beyond a label there is nothing: no weight is below 0 or above 1.
    for strength, labels in ((5.0, [0.0, 1.0]), (-1.0, [1.0, 0.0])):
        assert edit.apply(codes, strength).labels.tolist() == [labels] * 5


def test_less_than_nothing_of_one_of_two_labels_is_the_other(make_painter, pictures):
    painter = make_painter(classes=2)
    codes = encode(painter, pictures, torch.ones(5, dtype=torch.int64))
    smile = to_label(painter, "smiling")
    for strength, labels in ((-1.0, [0.5, 0.5]), (-2.0, [1.0, 0.0]), (-9.0, [1.0, 0.0])):
        assert smile.apply(codes, strength).labels.tolist() == [labels] * 5
    there = to_label(painter, "neutral").apply(codes, 2.0)
    torch.testing.assert_close(smile.apply(codes, -2.0).vector(), there.vector())
    three = replace(smile, other=None)
    assert torch.equal(three.apply(codes, -2.0).labels, codes.labels), "which, is not said"


def test_under_another_label_latents_keep_their_place_among_those_of_the_label(
    make_painter, pictures
):
    painter = make_painter(classes=2)
    dim = math.prod(painter.model.latent_shapes[0])
    means = torch.stack([torch.zeros(dim), torch.arange(dim).float()])
    spread = torch.eye(dim).expand(2, dim, dim)
    shares = torch.full((2,), 0.5).log()
    painter = replace(painter, prior=Density("classes", shares, means, spread))
    codes = encode(painter, pictures, torch.zeros(5, dtype=torch.int64))
    moved = to_label(painter, "smiling").apply(codes, 1.0)
    torch.testing.assert_close(moved.vector() - codes.vector(), (means[1] / 2).expand(5, dim))
    there = to_label(painter, "smiling").apply(codes, 2.0)
    back = to_label(painter, painter.classes[0]).apply(there, 2.0)
    torch.testing.assert_close(back.vector(), codes.vector())


def test_drawn_faces_bring_their_exact_attributes(make_painter):
    from hiresvae.data.embedded import faces

    examples = of_data(make_painter(), limit=10)
    assert set(faces.ATTRIBUTES) <= set(examples.exact)
    assert len(examples.pictures) == 10
    known = [faces.attributes(i)["skin_tone"] for i in range(40)]
    assert all(any(abs(float(v) - k) < 1e-9 for k in known) for v in examples.column("skin_tone"))
    assert {"brightness", "colourfulness"} <= set(examples.columns)


def test_tables_of_numbers_and_words(tmp_path, refused):
    path = tmp_path / "known.csv"
    path.write_text("file,age,hair,sex\na/1.png,30,red,m\n2.png,,fair,f\n3.png,50,dark,m\n")
    found = read_columns(path, ["a/1.png", "b/2.png", "3.png", "4.png"])
    age = found["age"]
    assert age.nan_to_num(-1).tolist() == [30, -1, 50, -1]
    assert found["sex"].nan_to_num(-1).tolist() == [1, 0, 1, -1]
    assert found["hair=red"].nan_to_num(-1).tolist() == [1, 0, 0, -1]
    with refused("names none of the pictures", "'x.png'"):
        read_columns(path, ["x.png"])
    with refused(f"{str(tmp_path)!r} cannot be read (Is a directory)"):
        read_columns(tmp_path, ["x.png"])
    with refused("there is no file", "known.csv"):
        read_columns(tmp_path / "none.csv", ["x.png"])


def test_strengths_have_a_nought_that_is_one():
    assert strengths(0.7, 7)[3] == 0 and "-" not in str(strengths(-0.7, 7)[3])
    assert strengths(2, 3, both=False) == [0, 1, 2] and str(strengths(-0.0, 5)) == "[0.0]"
    assert len({f"{level:g}" for level in strengths(0.7, 7)}) == 7


def test_two_small_folders(make_painter, tmp_path, refused):
    rng = np.random.default_rng(0)
    for folder, low in (("with", 120), ("without", 0)):
        for i in range(3):
            noise = rng.integers(low, low + 100, (3, 16, 16), dtype=np.uint8)
            images.save(torch.from_numpy(noise), tmp_path / folder / f"{i}.png")
    painter = make_painter()
    examples = two_folders(painter, tmp_path / "with", tmp_path / "without", "bright")
    assert examples.column("bright").tolist() == [1, 1, 1, 0, 0, 0]
    edit = learn(painter, examples, "bright")
    means = encode(painter, examples.pictures).vector().view(2, 3, -1).mean(1)
    assert torch.allclose(edit.step, (means[0] - means[1]) / 2, atol=1e-4)
    with refused("has 1 pictures", "(b.png: not a picture)"):
        (tmp_path / "one").mkdir()
        images.save(examples.pictures[0], tmp_path / "one" / "a.png")
        (tmp_path / "one" / "b.png").write_text("no picture")
        two_folders(painter, tmp_path / "one", tmp_path / "without", "bright")
    with refused("'brigth' is not known", "did you mean 'bright"):
        learn(painter, examples, "brigth")


def test_skin_tone_is_the_angle_of_the_skin():
    # L* = 66.1, a* = 14.7, b* = 25.9 by the formulas of the CIE: an angle of 31.9 degrees.
    face = torch.tensor([201, 150, 115], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    dark = torch.tensor([90, 60, 40], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    both = skin_tone(torch.cat([face, dark]))
    assert both[0] == pytest.approx(31.87, abs=0.1)
    assert both[1] == pytest.approx(-50.94, abs=0.1)
    hat = face.clone()
    hat[:, 2, 12:18] = 255  # a blue thing in the middle is no skin
    assert skin_tone(hat)[0] == pytest.approx(float(both[0]), abs=0.01)
