import pytest

from hiresvae.errors import UserError
from hiresvae.labelling import Labelling, parse_labels


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("none", Labelling("none")),
        ("set", Labelling("set")),
        ("folders", Labelling("folders")),
        ("clusters:12", Labelling("clusters", clusters=12)),
        ("csv:a:b.csv:c", Labelling("csv", file="a:b.csv", column="c")),
    ],
)
def test_labels_are_taken_apart(words: str, parts: Labelling) -> None:
    assert parse_labels(words) == parts


@pytest.mark.parametrize("number", ["", "²", "x", "1.0", "٣", "-2", "9" * 40])
def test_a_number_of_clusters_is_a_number(number: str) -> None:
    with pytest.raises(UserError, match="nearest valid: 'clusters:8'"):
        parse_labels(f"clusters:{number}")


def test_there_are_no_more_clusters_than_pictures() -> None:
    assert parse_labels("clusters:9", limit=9).clusters == 9
    with pytest.raises(UserError, match=r"2 to 9 \(data.limit is 9\); nearest valid: 'clusters:9'"):
        parse_labels("clusters:10", limit=9)
