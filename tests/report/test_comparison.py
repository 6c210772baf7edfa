import contextlib
import json
import re
import shlex
from dataclasses import replace
from itertools import pairwise

import pytest

from hiresvae.report.comparison import _figure, page, summary, to_json


@pytest.fixture(scope="module")
def strange(compared):
    """The name of the second model, which would be a tag."""
    name = compared.contestants[1].name
    assert name.startswith("<script>")
    return name


@pytest.fixture(scope="module")
def markup(compared):
    return page(compared)


@pytest.fixture(scope="module")
def shown(markup, read):
    return read(markup)


def test_the_page_is_whole(markup, shown):
    assert not shown.faults
    assert markup.startswith('<!doctype html>\n<html lang="en">')
    assert len(shown.all("h1")) == len(shown.all("main")) == 1
    plots = [one for one in shown.all("svg") if one.get("role") == "img"]
    assert len(shown.all("title")) == 1 + len(plots), "the page's own, and one of each plot"
    levels = [int(name[1]) for name, _ in shown.elements if re.fullmatch(r"h[1-6]", name)]
    assert all(b - a <= 1 for a, b in pairwise(levels)), "no level is skipped"


def test_nothing_leaves_the_page_and_nothing_runs_in_it(markup, shown):
    for name, attributes in shown.elements:
        assert name not in ("script", "link", "iframe", "object", "form", "base")
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in ("src", "href", "srcset", "action", "xlink:href"):
                assert value.startswith(("data:image/webp;base64,", "#")), value[:60]
    (style,) = re.findall(r"<style>(.*?)</style>", markup, re.S)
    assert "url(" not in style and "@import" not in style
    policy = next(one for one in shown.all("meta") if "http-equiv" in one)
    assert "default-src 'none'" in policy["content"]


def test_a_prank_of_a_name_is_text(markup, shown, strange):
    assert strange not in markup and strange in shown.text
    assert not shown.all("script")


def test_the_page_can_be_used_without_eyes_and_without_a_mouse(shown):
    assert shown.all("img") and all(one.get("alt") for one in shown.all("img"))
    assert all(
        one.get("scope") in ("row", "col", "rowgroup", "colgroup") for one in shown.all("th")
    )
    assert len(shown.all("caption")) == len(shown.all("table"))
    for region in shown.all("div"):
        if region.get("class") == "scroll":
            assert region["tabindex"] == "0" and region["aria-label"]
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {one["href"][1:] for one in shown.all("a")} == set(ids), "every section is linked"
    assert all(one.get("role") == "img" or one.get("aria-hidden") for one in shown.all("svg"))


def test_every_figure_has_its_unit_and_says_where_better_is(markup, compared):
    rows = re.findall(r"<tr><th scope=\"row\"><code>(\w+)</code>(.*?)</tr>", markup)
    told = {name: row for name, row in rows if "<small>" in row}
    assert set(told) == set(compared.figures())
    words = ("higher is better", "lower is better", "nearest to 1 is best", "neither direction")
    for name, (figure, _) in compared.figures().items():
        assert f"<small>{figure['unit'].replace('<', '&lt;')}; " in told[name]
        assert any(word in told[name] for word in words)


def test_the_better_one_is_marked_only_beyond_the_intervals(compared, monkeypatch):
    before = sum(len(won) for won in compared.wins().values())
    for one, interval in zip(compared.contestants, ([20.0, 21.0], [22.0, 23.0]), strict=True):
        psnr = one.evaluation["figures"]["psnr_reconstructions"]
        monkeypatch.setitem(psnr, "interval", interval)
    marked = page(compared).count('class="badge"')
    wins = compared.wins()
    assert marked == sum(len(won) for won in wins.values()) == before + 1
    for name in (name for won in wins.values() for name in won):
        (a, b), (c, d) = (figure["interval"] for figure in compared.figures()[name])
        assert b < c or d < a


def test_pictures_are_all_there(shown, compared):
    models, pictures = len(compared.contestants), len(compared.originals)
    alts = [one["alt"] for one in shown.all("img")]
    assert sum(alt.startswith("picture ") for alt in alts) == pictures * (models + 1)
    assert sum(alt.startswith("zoom ") for alt in alts) == pictures * (models + 1)
    assert sum(alt.startswith("16 samples") for alt in alts) == 2 * models
    assert sum("nearest to sample" in alt for alt in alts) == 6 * models
    plots = [one["aria-label"] for one in shown.all("svg") if one.get("role") == "img"]
    assert {"power of samples", "power of reconstructions"} <= set(plots)
    for axis in ("images seen", "seconds of training"):
        assert any(label.endswith(f"by {axis}") for label in plots)


def test_settings_that_differ_are_shown(shown):
    assert "training.images" in shown.text and "adversary.width" in shown.text
    assert "data.size" not in shown.text


def test_the_command_asks_the_same_again(shown, compared):
    first = compared.contestants[0].evaluation["asked"]
    told = re.search(r"The command: (hiresvae compare .*?) ?Notes and versions", shown.text)[1]
    models = [one.model for one in compared.contestants]
    options = ["--samples", "16", "--features", first["features"], "--metrics", "all"]
    # A shell reads the very names, whatever is in them.
    assert shlex.split(told)[2:] == [*models, "--out", "DIR", *options, "--seed", "0"]
    assert "'" in told


def test_a_model_whose_name_is_an_option_comes_last_in_the_command(compared):
    first = replace(compared.contestants[0], model="-v a&b")
    words = page(replace(compared, contestants=[first, compared.contestants[1]]))
    assert re.search(r"--seed 0 -- &#x27;-v a&amp;b&#x27; ", words)


def test_the_numbers_are_json_and_the_same(compared, strange):
    told = json.loads(json.dumps(to_json(compared), allow_nan=False))
    assert [one["name"] for one in told["models"]] == ["tiny", strange]
    assert set(told["figures"]) == set(compared.figures())
    assert told["settings"]["training.images"] == {"tiny": 128, strange: 64}
    assert len(told["real_power_db"]) == len(told["frequency_cycles_per_pixel"])
    assert set(told["models"][0]["curves"]["error"]) == {"unit", "images", "seconds", "values"}


def test_the_summary_counts_what_is_decided(compared, strange):
    wins, words = compared.wins(), summary(compared)
    assert f"{strange} in {len(wins[strange])}" in words
    found = {name: one or other for name, (one, other) in compared.figures().items()}
    made = [name for name in found if not name.startswith("floor_")]
    assert len(made) < len(found)
    without = [name for name in made if found[name]["better"] == "none"]
    made = [name for name in made if name not in without]
    assert without and made
    undecided = len(made) - sum(map(len, wins.values()))
    assert f"{undecided} of {len(made)} figures are not decided" in words


@pytest.fixture
def show(markup, tmp_path, open_browser):
    """Opens the page: (width, dark) -> a context that gives it, loaded."""
    file = tmp_path / "report.html"
    file.write_text(markup)

    @contextlib.contextmanager
    def run(**chosen):
        with open_browser(**chosen) as page:
            page.send("Page.navigate", url=file.as_uri())
            page.wait("document.readyState === 'complete' && !!document.querySelector('main')")
            yield page
            assert page.complaints() == []
            asked = [one for one in page.asked() if not one.startswith("data:")]
            assert set(asked) == {file.as_uri()}, "nothing is fetched"

    return run


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1400, False)])
def test_a_browser_shows_it_in_the_window_s_width_and_colours(show, width, dark):
    with show(width=width, dark=dark) as page:
        assert page.look("innerWidth") == width
        assert page.look("document.documentElement.scrollWidth") <= width
        assert page.look("document.images.length") > 0
        assert page.look("[...document.images].every(x => x.naturalWidth > 0)")
        sheet = "getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number)"
        assert (max(page.look(sheet)[:3]) < 100) == dark


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_the_figures_of_all_models_whole(show, dark):
    """Intervals were cut, and all models but the first out of view."""
    right = "[...document.querySelectorAll('.figures th, .figures td, .figures small')]"
    with show(width=390, dark=dark) as page:
        assert page.look(f"Math.max(...{right}.map(x => x.getBoundingClientRect().right))") <= 390
        heads = "document.querySelectorAll('.figures thead th')"
        cells = "document.querySelector('.figures tbody tr:nth-child(2)').children"
        places, above = (
            [page.look(f"{row}[{i}].getBoundingClientRect().left") for i in (1, 2)]
            for row in (cells, heads)
        )
        assert places == above and places[0] < places[1], "each stands below its model's name"
        page.look("document.querySelector('.figures tbody:last-of-type').scrollIntoView()")
        assert page.look(f"{heads}[1].getBoundingClientRect().top") >= 0, "which stays in view"


def test_keys_are_enough(show):
    focus = "document.activeElement"
    with show(width=360, dark=False) as page:
        page.press("Tab")
        assert page.look(f"{focus}.className") == "skip"
        page.press("Enter")
        page.wait("location.hash === '#figures'")
        places = page.look("[...document.querySelectorAll('nav a')].map(x => x.hash)")
        page.look("history.replaceState(null, '', location.pathname); document.body.focus()")
        page.send("Page.reload")
        page.wait("document.readyState === 'complete' && !location.hash")
        seen = []
        for _ in range(300):
            page.press("Tab")
            seen.append(page.look(f"{focus}.hash || {focus}.className || {focus}.tagName"))
            if "scroll" in seen[-1].split() and page.look(
                f"{focus}.scrollWidth > {focus}.clientWidth + 40"
            ):
                break
        assert seen[: 1 + len(places)] == ["#figures", *places]
        page.press("ArrowRight")
        page.wait(f"{focus}.scrollLeft > 0")
        page.look("document.querySelector('details summary').focus()")
        page.press("Enter")
        page.wait("document.querySelector('details').open")


def test_values_of_other_units_say_which_is_which(read):
    of = {"better": "up", "interval": None, "features": None}
    values = [{"value": -500.0, "unit": "nats", **of}, {"value": -90.0, "unit": "coins", **of}]
    row = read(_figure("elbo", values, None))
    assert not row.faults and "nats, or coins; higher is better" in row.text
    assert row.text.count("coins") == 2 and row.text.count("nats") == 2
    assert read(_figure("elbo", values[:1] * 2, None)).text.count("nats") == 1
