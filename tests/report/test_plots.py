import numpy as np
import pytest

from hiresvae.report.plots import HEIGHT, WIDTH, Line, legend, line_plot, short, ticks

X = np.linspace(0.1, 0.5, 20)


def plot(*lines, **words):
    words = {"title": "power", "x_label": "cycles", "y_label": "dB"} | words
    return line_plot(lines, **words)


def points(page):
    lines = [one["points"] for one in page.all("polyline") if "line" in one["class"].split()]
    return [np.array([p.split(",") for p in one.split()], float) for one in lines]


def test_lines_lie_within_the_drawing_and_upwards_is_more(read):
    page = read(plot(Line("real", 0, X, X), Line("a", 1, X, 2 - X)))
    assert not page.faults
    rising, falling = points(page)
    for drawn in (rising, falling):
        assert (drawn >= 0).all() and (drawn <= [WIDTH, HEIGHT]).all()
        assert (np.diff(drawn[:, 0]) > 0).all()
    assert (np.diff(rising[:, 1]) < 0).all() and (np.diff(falling[:, 1]) > 0).all()
    assert rising[-1, 1] > falling[-1, 1], "0.5 is drawn below 1.5"


def test_a_plot_says_in_words_what_it_shows_and_escapes_names(read):
    markup = plot(Line("<me>", 1, X, X), title="a < b")
    page = read(markup)
    assert not page.faults and "<me>" not in markup
    drawing = next(one for one in page.all("svg") if one.get("role") == "img")
    assert drawing["aria-label"] == "a < b"
    assert "<me>: from 0.1 at 0.1 to 0.5 at 0.5 cycles" in page.text


def test_lines_differ_by_more_than_colour(read):
    page = read(plot(*(Line(str(i), i, X, X + i) for i in range(4))))
    drawn = [one for one in page.all("polyline") if "line" in one["class"].split()]
    assert len({one["stroke-dasharray"] for one in drawn}) == 4
    assert len({one["class"] for one in drawn}) == 4


def test_no_model_looks_like_the_real_pictures_nor_like_another(read):
    page = read(plot(*(Line(str(i), i, X, X + i) for i in range(13))))
    drawn = [one for one in page.all("polyline") if "line" in one["class"].split()]
    looks = [(one["class"], one["stroke-dasharray"]) for one in drawn]
    assert len(set(looks)) == 13 and [look[0] for look in looks].count("line s0") == 1
    assert {look[1] for look in looks[1:6]}.isdisjoint({"none"}) and looks[0][1] == "none"


def test_values_far_apart_get_a_logarithmic_axis(read):
    near = plot(Line("a", 1, X, np.linspace(1, 40, 20)))
    far = plot(Line("a", 1, X, np.logspace(0, 4, 20)))
    assert "logarithmic" in far and "logarithmic" not in near
    (drawn,) = points(read(far))
    np.testing.assert_allclose(np.diff(drawn[:, 1]), np.diff(drawn[:, 1])[0], atol=0.2)
    assert "logarithmic" not in plot(Line("a", 1, X, np.linspace(-1, 4000, 20)))


@pytest.mark.parametrize("values", [[3.0], [0.0], [-2.0], [5.0, 5.0], [1e-9, 1.1e-9]])
def test_a_single_or_constant_value_is_drawn(values, read):
    page = read(plot(Line("a", 1, np.arange(len(values)) + 1.0, np.array(values))))
    (drawn,) = points(page)
    assert np.isfinite(drawn).all() and len(drawn) == len(values)


def test_what_is_not_finite_is_left_out(read):
    (drawn,) = points(read(plot(Line("a", 1, X[:4], np.array([1, np.nan, np.inf, 2.0])))))
    assert len(drawn) == 2
    assert "nothing finite" in plot(Line("a", 1, X[:1], np.array([np.nan])))


@pytest.mark.parametrize(("low", "high"), [(0, 97), (-0.3, 0.1), (1e-8, 3e-8), (0, 4e9), (5, 6)])
def test_ticks_are_round_few_and_inside(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0])
    assert f"{steps[0]:.0e}"[0] in "125"


def test_numbers_of_an_axis_are_short():
    assert [short(x) for x in (0, 12_000, 1_500_000, 0.001, 9_000)] == [
        "0", "12k", "1.5M", "0.001", "9000",
    ]  # fmt: skip


def test_a_legend_names_each_line(read):
    page = read(legend([("real", 0), ("<a>", 1)]))
    assert not page.faults and len(page.all("li")) == 2 and "<a>" in page.text
