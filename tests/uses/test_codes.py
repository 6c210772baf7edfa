from dataclasses import replace

import pytest
import torch

from hiresvae import images
from hiresvae.models.draws import Relative
from hiresvae.uses.codes import Codes, decode, drawn, encode, gather


def near(a, b):
    """Equal but for rounding by one level of 255."""
    return bool((a.int() - b.int()).abs().max() <= 1)


def test_codes_bring_back_what_the_model_makes_of_pictures(painter, pictures):
    codes = encode(painter, pictures)
    assert [tuple(z.shape) for z in codes.latents] == [
        (5, *shape) for shape in painter.model.latent_shapes
    ]
    assert near(decode(painter, codes), painter.reconstruct(pictures))


def test_a_drawn_code_is_the_sample_of_that_seed(painter):
    for temperature in (0.5, 1.0):
        code = drawn(painter, 7, temperature=temperature)
        assert near(decode(painter, code), painter.sample(1, seed=7, temperature=temperature))
    assert not near(decode(painter, drawn(painter, 8)), decode(painter, code))


def test_a_drawn_code_has_the_grain_of_that_sample(make_painter, pictures):
    painter = make_painter(grain=True)
    for layer in painter.model.decoder.grains:
        layer.strength.fill_(1.0)
    first, other = drawn(painter, 7), drawn(painter, 8)
    assert near(decode(painter, first), painter.sample(1, seed=7))
    changed = replace(first, grain=other.grain)
    assert not near(decode(painter, changed), decode(painter, first)), "the grain can be seen"
    # Pictures that were not drawn have the model's own, also beside drawn ones.
    both = Codes.joined([first, encode(painter, pictures)])
    assert near(decode(painter, both[1:]), painter.reconstruct(pictures))
    assert near(decode(painter, both[:1]), painter.sample(1, seed=7))
    assert drawn(make_painter(), 7).grain == {}


@pytest.mark.parametrize("fine", [0.0, 0.5])
def test_a_drawn_code_is_that_sample_where_fine_rungs_are_kept_back(make_painter, fine):
    painter = make_painter(pyramid="1x1 4x2 8x1 16", fine_temperature=fine)
    assert near(decode(painter, drawn(painter, 7)), painter.sample(1, seed=7))
    assert drawn(painter, 7).latents[1].any() == (fine > 0)
    wild = make_painter(pyramid="1x1 4x2 8x1 16")
    given, squared = (1, fine), (1, fine * fine)
    assert near(painter.sample(2, temperature=given), wild.sample(2, temperature=squared))


def test_what_is_fine_follows_what_is_coarse(make_painter, pictures):
    ladder = make_painter(pyramid="1x1 4x2 8x1 16")
    codes = encode(ladder, pictures[:1])
    moved = [codes.latents[0] + 2, *codes.latents[1:]]
    with torch.inference_mode():
        before, after = (
            ladder.model.walk(Relative(latents), None, 1).drawn[1]
            for latents in (codes.latents, moved)
        )
        told = (after.z - after.prior.mean) / after.prior.std
    assert torch.allclose(told, codes.latents[1], atol=1e-4), "as far from its prior as before"
    assert (after.z - before.z).abs().max() > 1e-3, "but the prior has moved"


def test_vectors_go_out_and_back(make_painter, pictures):
    codes = encode(make_painter(pyramid="1x1 4x2 8x1 16"), pictures)
    vector = codes.vector(2)
    assert vector.shape == (5, 6 + 2 * 4 * 4)
    back = codes.moved(torch.ones_like(vector))
    assert all(
        torch.equal(z, w + 1) for z, w in zip(back.latents[:2], codes.latents[:2], strict=True)
    )
    assert all(torch.equal(z, w) for z, w in zip(back.latents[2:], codes.latents[2:], strict=True))


def test_files_and_samples_are_gathered_in_order(make_painter, pictures, tmp_path, refused):
    painter = make_painter()
    images.save(pictures[0], tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = gather(painter, ["sample:3", str(tmp_path)])
    assert [name.rpartition("/")[2] for name in found.names] == ["sample_3.png", "a.png"]
    assert found.real == [False, True]
    assert len(found.codes) == 2
    assert torch.equal(found.pictures[1], pictures[0])
    assert [name.rpartition("/")[2] for name, _ in found.skipped] == ["broken.png"]
    closed = found.closed()
    assert closed.names == [*found.names, "sample_3.png"] and closed.real == [False, True, False]
    assert torch.equal(closed.pictures[2], found.pictures[0]) and len(closed.codes) == 3
    assert torch.equal(closed.codes.latents[0][2], found.codes.latents[0][0])
    with refused("'sample:x'", "whole number"):
        gather(painter, ["sample:x"])
    with refused("no pictures in", "broken.png"):
        gather(painter, [str(tmp_path / "broken.png")])
    with refused("does not exist"):
        gather(painter, [str(tmp_path / "none.png")])


def test_codes_are_found_and_shown_as_memory_holds(painter, pictures, monkeypatch):
    codes = encode(painter, pictures)
    made, walk = decode(painter, codes), painter.model.walk

    def walked(draw, labels, count, *rest):
        if count > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return walk(draw, labels, count, *rest)

    monkeypatch.setattr(painter.model, "walk", walked)
    assert near(decode(painter, codes), made)
    for z, of_all in zip(encode(painter, pictures).latents, codes.latents, strict=True):
        torch.testing.assert_close(z, of_all, atol=1e-4, rtol=1e-4)
