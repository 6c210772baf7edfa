import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hiresvae import plain_yaml
from hiresvae.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4e-4", 4e-4), ("1E3", 1000.0), ("-.5", -0.5), ("1.", 1.0), ("+2", 2), ("0x1f", 31),
        ("0o17", 15), ("017", 17), (".inf", float("inf")), ("true", True), ("FALSE", False),
        ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"), ("~", None), ("null", None), ("", None), ("'4e-4'", "4e-4"),
        ("embedded:paintings", "embedded:paintings"), ("1x1 4x2 8", "1x1 4x2 8"),
        ("[16, 8]", [16, 8]), ("{a: {b: 1}}", {"a": {"b": 1}}), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value):
    read = plain_yaml.read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]", "line 2: the tag .* is not allowed"),
        ("a: !mine 1", "line 1: the tag '!mine' is not allowed"),
        ("a: !!set {x}", "the tag .*set' is not allowed"),
        ("a: !!binary aGk=", "the tag .*binary' is not allowed"),
        ("a: &x [1]\nb: *x", "line 2: aliases"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice"),
        ("{[1]: 2}", "line 1: a key must be a name"),
        ("[" * 100_000, "line 1: nested more than 16 deep"),
        ("a:\n  b: 1\n c: 2", "line 3: not valid YAML"),
        ("a: [1,\nb: 2", "line 2: not valid YAML"),
        ("a: 'x", "line 1: not valid YAML"),
        ("--- 1\n--- 2", "line 2: not valid YAML"),
        ("\x00", "characters that are no text"),
        ('"\\UFFFFFFFF"', "beyond all bounds"),
        ('"\\uD800"', "beyond all bounds"),
        ("9" * 6000, "beyond all bounds"),
        ("9223372036854775808", "64 bits; nearest is 9223372036854775807"),
        ("-9223372036854775809", "64 bits; nearest is -9223372036854775807"),
    ],
)
def test_what_surprises_is_refused_with_its_line(text, sentence):
    with pytest.raises(UserError, match=sentence):
        plain_yaml.read(text)


def test_text_that_any_yaml_takes_for_something_else_is_quoted():
    values = {"precision": "no", "rate": "4e-4", "time": "1:30", "sides": [16, 8], "small": 1e-5}
    text = plain_yaml.write(values)
    assert plain_yaml.read(text) == values
    assert yaml.safe_load(text) == values


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abc_1", min_size=1), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.text("abc_"), plain, max_size=4))
def test_what_is_written_is_read_back(values):
    assert plain_yaml.read(plain_yaml.write(values)) == values


@settings(deadline=None)
@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"%@#? \n\t01.e~\\uU\x00\ufeff"), max_size=60))
def test_any_text_gives_plain_values_or_a_sentence(text):
    try:
        plain_yaml.read(text)
    except UserError as error:
        assert str(error)
