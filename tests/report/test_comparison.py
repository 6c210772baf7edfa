import json
import re
import shutil
import subprocess
from itertools import pairwise

import pytest

from hiresvae.report.comparison import page, summary, to_json

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


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


def test_the_better_one_is_marked_only_beyond_the_intervals(markup, compared):
    marked = markup.count('class="badge"')
    wins = compared.wins()
    assert marked == sum(len(won) for won in wins.values())
    assert marked > 0, "a run of half the length is worse at something"
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
    asked = "--out DIR --samples 16 --features none --metrics all --seed 0"
    assert asked in shown.text
    assert all(one.model in shown.text for one in compared.contestants)


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
    made = [name for name in compared.figures() if not name.startswith("floor_")]
    assert len(made) < len(compared.figures())
    undecided = len(made) - sum(map(len, wins.values()))
    assert f"{undecided} of {len(made)} figures are not decided" in words


@pytest.mark.skipif(BROWSER is None, reason="needs a chromium")
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1400, "dark")])
def test_a_browser_shows_it_without_a_complaint(markup, tmp_path, width, scheme):
    """At most as wide as the window; no message on the console; nothing asked of the network."""
    # The page itself runs no script; this one measures it, so its policy is taken out.
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', markup)[0]
    probe = (
        "<script>addEventListener('load', () => { const page = document.documentElement;"
        "document.title = [page.scrollWidth <= innerWidth, innerWidth,"
        "performance.getEntriesByType('resource').filter(x => !x.name.startsWith('data:')).length,"
        "matchMedia('(prefers-color-scheme: dark)').matches,"
        "[...document.images].every(x => x.naturalWidth > 0)].join(' ') })</script>"
    )
    results = []
    for name, text in (("as_it_is", markup), ("probed", markup.replace(policy, probe))):
        file = tmp_path / f"{name}.html"
        file.write_text(text)
        dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
        done = subprocess.run(
            [
                BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *dark,
                f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
                "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom",
                file.as_uri(),
            ],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0 and "CONSOLE" not in done.stderr, done.stderr
        results.append(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    fits, inner, requests, dark, loaded = results[1].split()
    assert (fits, requests, loaded) == ("true", "0", "true")
    assert dark == str(scheme == "dark").lower() and int(inner) > 0
