import pytest
from hypothesis import given
from hypothesis import strategies as st

from hiresvae.errors import UserError
from hiresvae.pyramid import nearest_sizes, parse_pyramid, sides_of


@pytest.mark.parametrize(
    ("size", "coarsest"), [(28, 7), (32, 4), (64, 4), (48, 6), (96, 6), (256, 4), (8, 4), (40, 5)]
)
def test_auto_halves_to_four_to_seven_under_one_vector(size, coarsest):
    levels = parse_pyramid("auto", size)
    assert levels[0] == (1, 1)
    assert levels[1] == (coarsest, 0)
    assert levels[-1] == (size, 0)
    assert sum(level.rungs for level in levels) == 1


@pytest.mark.parametrize(
    ("text", "size", "levels"),
    [
        ("1x1 4x2 8x4 16", 16, [(1, 1), (4, 2), (8, 4), (16, 0)]),
        ("4x1 8 16", 16, [(4, 1), (8, 0), (16, 0)]),
        ("1x1 8 16", 16, [(1, 1), (8, 0), (16, 0)]),
        ("  1   5x3\n10 20x1 ", 20, [(1, 0), (5, 3), (10, 0), (20, 1)]),
        ("1x1 4x2 ...", 16, [(1, 1), (4, 2), (8, 0), (16, 0)]),
        ("1x1 4x2 8x1 ...", 8, [(1, 1), (4, 2), (8, 1)]),
        ("1x2 ...", 28, [(1, 2), (7, 0), (14, 0), (28, 0)]),
        ("7x3 ...", 28, [(7, 3), (14, 0), (28, 0)]),
    ],
)
def test_words_become_levels(text, size, levels):
    assert [tuple(level) for level in parse_pyramid(text, size)] == levels


@pytest.mark.parametrize(
    ("text", "size", "sentence"),
    [
        ("auto", 100, "data.size 100 cannot be halved .* nearest valid: 96 or 112$"),
        ("auto", 9, "nearest valid: 8 or 10$"),
        ("", 16, "model.pyramid is empty; say 'auto'"),
        ("1x1 4 eight 16", 16, "'eight' is no level; write SIDE or SIDExRUNGS"),
        ("1x1 4x 8", 8, "'4x' is no level"),
        ("0x1 4 8", 8, "'0x1' is no level"),
        ("1 4 8", 8, "has no rung, so no latents; start with '1x1'"),
        ("1x1 4 16", 16, "16 follows 4, .* nearest valid: 8$"),
        ("8x1 4", 4, "4 follows 8"),
        ("1x1 16 32", 32, "first side after the vector is 16, but may be 8 at most"),
        ("1x1 1x1 2 4 8", 8, "two vectors"),
        ("1x1 4 8", 32, "ends at 8, but data.size is 32; nearest valid: '1x1 4 8 16 32'"),
        ("1x1", 32, "nearest valid: '1x1 4 8 16 32'"),
        ("1x1 6 12", 16, "nearest valid: data.size 12, or model.pyramid 'auto'"),
        ("1x1 6x2 ...", 64, "ends at 48, but data.size is 64; nearest valid: data.size 48"),
        ("1x1 4x2 32 ...", 64, "32 follows 4"),
        ("1x1 ... 8", 8, "'...' is no level"),
        ("...", 8, "'...' is no level"),
        ("1x1 ...", 100, "cannot be halved"),
        ("1x1 4 8 16", 8, "ends at 16, but data.size is 8; nearest valid: data.size 16"),
    ],
)
def test_mistakes_are_sentences(text, size, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_pyramid(text, size)


@given(st.integers(1, 4096))
def test_nearest_sizes_are_valid_and_nothing_valid_is_nearer(size):
    near = nearest_sizes(size)
    assert all(sides_of(valid) for valid in near)
    below, above = (near[0] if len(near) == 2 else 0), near[-1]
    assert below < size < above
    assert not any(sides_of(s) for s in range(below + 1, above) if s != size)


@given(st.text(alphabet="0123456789x auto.", max_size=20), st.integers(8, 2048))
def test_any_words_give_levels_or_a_sentence(text, size):
    try:
        levels = parse_pyramid(text, size)
    except UserError as error:
        assert "model.pyramid" in str(error) or "data.size" in str(error)
    else:
        assert levels[-1].side == size
        assert sum(level.rungs for level in levels) >= 1
