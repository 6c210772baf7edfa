import pytest

from hiresvae.explore.wishes import Between, Knobs, Paint, understood


def test_what_is_left_out_stays_as_it_is():
    wish = understood(Paint, b'{"pictures": [{"sample": 3}]}')
    assert wish.pictures[0].sample == 3 and wish.knobs == Knobs()


def test_the_second_picture_of_a_pair_is_not_moved():
    knobs = Knobs(temperature=0.5, label="x", axes=[1.0], attributes={"smile": 2.0})
    assert knobs.still() == Knobs(temperature=0.5, label="x")


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        (Paint, b"[", "JSON"),
        (Paint, b'{"pictures": []}', "pictures"),
        (Paint, b'{"pictures": [{}]}', "a sample or a key"),
        (Paint, b'{"pictures": [{"sample": 1, "key": "a"}]}', "a sample or a key"),
        (Paint, b'{"pictures": [{"sample": -1}]}', "pictures.0.sample"),
        (Paint, b'{"pictures": [{"path": "/etc/passwd"}]}', "pictures.0"),
        (Paint, b'{"pictures": [{"sample": 1}], "knobs": {"temperature": NaN}}', "temperature"),
        (Paint, b'{"pictures": [{"sample": 1}], "knobs": {"axes": [1e9]}}', "knobs.axes.0"),
        (Between, b'{"a": {"sample": 1}, "b": {"sample": 2}, "steps": 1000000}', "steps"),
    ],
)
def test_whatever_else_is_refused(refused, kind, body, word):
    with refused(word):
        understood(kind, body)
