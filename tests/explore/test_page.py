"""A person at the page, with a mouse, a keyboard and a picture to drop."""

import time

import pytest
from PIL import Image

from hiresvae import images

NAME = "<script>alert(1)</script><b>&'plain\""


def source(page, name):
    return page.look(f"document.getElementById({name!r}).src")


@pytest.fixture(scope="module")
def server(serve, laddered):
    with serve(laddered, NAME) as running:
        yield running


def go(page, server):
    page.send("Page.navigate", url=server.url)
    page.wait("document.querySelectorAll('#grid img[src]').length === 12")
    page.rest_now()


def fell(folder, name):
    deadline = time.monotonic() + 60
    while not (folder / "downloads" / name).exists():
        assert time.monotonic() < deadline, f"{name} was not downloaded"
        time.sleep(0.1)
    with Image.open(folder / "downloads" / name) as picture:
        return picture.size


def test_everything_answers(open_browser, server, tmp_path):
    with open_browser() as page:
        go(page, server)
        assert page.look("document.querySelector('h1').textContent") == NAME
        assert page.look("document.scripts.length") == 1

        before, way = source(page, "a-picture"), source(page, "way")
        page.look("document.getElementById('axis-0').focus()")
        page.press("End")
        page.rest_now()
        after = source(page, "a-picture")
        assert after != before and source(page, "way") != way, "a slider moves A, and what uses it"
        page.press("ArrowLeft", "ArrowLeft")
        page.rest_now()
        assert page.look("document.getElementById('axis-0').value") == "2.8"
        page.click("#reset")
        page.rest_now()
        assert source(page, "a-picture") == before

        page.look("document.getElementById('attribute-0').focus()")
        page.press("End")
        page.rest_now()
        assert source(page, "a-picture") != before
        page.click("#reset")

        shown = page.look("[...document.querySelectorAll('#grid img')].map(x => x.src)")
        assert len(set(shown)) == 12
        page.look("document.getElementById('temperature').focus()")
        page.press("ArrowLeft")
        page.rest_now()
        cooler = page.look("[...document.querySelectorAll('#grid img')].map(x => x.src)")
        assert not set(cooler) & set(shown), "the temperature changes every sample"
        page.click("#fresh")
        page.rest_now()
        page.click("input[name=target][value=b]")
        page.look("document.querySelectorAll('#grid button')[5].focus()")
        page.press("Enter")
        page.rest_now()
        assert page.look("document.getElementById('b-name').textContent") == "B: sample 17"

        end = source(page, "way")
        page.look("document.getElementById('share').focus()")
        page.press("End")
        assert source(page, "way") != end
        mixed = source(page, "mix-ab")
        page.look("document.getElementById('keep').focus()")
        page.press("End")
        page.rest_now()
        assert source(page, "mix-ab") != mixed and mixed.startswith("data:image/png")

        own = tmp_path / "<i>mine.png"
        images.save(server.studio.painter.sample(1, seed=99)[0], own)
        page.drop("#a", own)
        page.wait("document.getElementById('a-name').textContent.startsWith('<i>mine.png')")
        page.rest_now()
        assert source(page, "a-original").startswith("data:image/png")
        assert source(page, "a-picture") == source(page, "a-original"), "nothing was changed yet"
        page.click("#detail")
        page.rest_now()
        assert source(page, "a-picture") != source(page, "a-original"), "reconstructed"
        assert "remembers" in page.look("document.getElementById('a-name').textContent")
        page.drop("#b", own)
        page.wait("document.getElementById('b-name').textContent === 'B: <i>mine.png'")
        page.rest_now()

        page.click("#a-save")
        assert fell(tmp_path, "_i_mine_changed.png") == (16, 16)
        page.click("#strip-save")
        assert fell(tmp_path, "way.png") == (17 * 18 - 2, 16)
        page.click("#samples-save")
        assert fell(tmp_path, "samples.png") == (4 * 18 - 2, 3 * 18 - 2)

        assert page.complaints() == []
        asked = [address for address in page.asked() if not address.startswith(("data:", "blob:"))]
        assert asked and all(address.startswith(server.url) for address in asked)


def test_what_is_no_picture_is_said_and_the_page_stays(open_browser, server, tmp_path):
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no picture")
    with open_browser(width=390, dark=True) as page:
        go(page, server)
        before = source(page, "a-picture")
        page.drop("#a", wrong)
        page.wait("document.getElementById('words').textContent.includes('not a picture')")
        assert source(page, "a-picture") == before and page.look("location.href") == server.url
        assert page.look("document.documentElement.scrollWidth <= innerWidth"), "fits a phone"
        paper = "getComputedStyle(document.body).backgroundColor"
        assert page.look(paper) == "rgb(21, 23, 26)", "dark where that is preferred"
        unnamed = (
            "[...document.querySelectorAll('input, select, button')].filter(x => "
            "!(x.labels?.length || x.textContent.trim() || x.getAttribute('aria-label'))).length"
        )
        assert page.look(unnamed) == 0
