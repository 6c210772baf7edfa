import pytest
from records import recorded


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"figures": {', "cut short"),
        ("", "cut short"),
        ("{}", "lacks 'figures'"),
        ("[]", "lacks 'figures'"),
    ],
)
def test_a_broken_record_is_one_sentence_with_the_way_out(text, said, tmp_path, refused):
    file = tmp_path / "report.json"
    file.write_text(text)
    with refused(str(file), said, "evaluate again"):
        recorded(file, "figures", mend="evaluate again")


def test_a_record_is_what_was_written(tmp_path, refused):
    file = tmp_path / "report.json"
    file.write_text('{"figures": {}}')
    assert recorded(file) == recorded(file, "figures") == {"figures": {}}
    file.write_text("3")
    with refused("not what this command writes"):
        recorded(file)
    with refused("cannot be read", "delete it"):
        recorded(tmp_path / "gone.json")
