import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from hiresvae.report.markup import detailed_square, joined, mosaic, picture, table, tag


def decoded(markup: str) -> Image.Image:
    data = re.search(r'src="data:image/webp;base64,([^"]+)"', markup)[1]
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.fixture
def noise():
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 3, 16, 16), generator=rng, dtype=torch.uint8)


def test_text_is_escaped_wherever_it_enters():
    strange = "<b>&\"'"
    assert tag("p", strange) == "<p>&lt;b&gt;&amp;&quot;&#x27;</p>"
    assert tag("p", title=strange) == '<p title="&lt;b&gt;&amp;&quot;&#x27;"></p>'
    assert joined([strange, tag("br")]).endswith("&#x27;<br>")
    assert tag("p", tag("i", strange)).count("&lt;") == 1, "markup is not escaped twice"


def test_attributes_have_their_names_of_html():
    made = tag("svg", class_="a", aria_label="b", viewBox="0 0 1 1", tabindex=0, id=None)
    assert made == '<svg class="a" aria-label="b" viewBox="0 0 1 1" tabindex="0"></svg>'
    assert tag("meta", name="viewport") == '<meta name="viewport">'


def test_a_table_scrolls_by_itself_and_the_keyboard_reaches_it(read):
    page = read(table("<what>", [tag("tr", tag("th", "a", scope="col"))], [tag("tbody")]))
    assert not page.faults
    (region,) = page.all("div")
    assert region["tabindex"] == "0" and region["role"] == "region"
    assert region["aria-label"] == "<what>"


def test_a_picture_is_embedded_pixel_for_pixel(noise):
    markup = picture(noise[0], 'a "name"', side=70)
    shown = np.asarray(decoded(markup))
    np.testing.assert_array_equal(shown.transpose(2, 0, 1), noise[0].numpy())
    assert 'width="64"' in markup and 'class="exact"' in markup
    assert 'alt="a &quot;name&quot;"' in markup
    assert 'width="16"' in picture(noise[0], "larger than asked", side=4)


def test_a_grey_picture_stays_grey(noise):
    shown = np.asarray(decoded(picture(noise[0, :1], "grey", side=16)).convert("RGB"))
    for channel in range(3):
        np.testing.assert_array_equal(shown[..., channel], noise[0, 0].numpy())


def test_a_mosaic_keeps_order_and_has_gaps_that_show_the_page(noise):
    shown = np.asarray(decoded(mosaic(noise, "five", columns=2, side=16)).convert("RGBA"))
    assert shown.shape == (3 * 17 - 1, 2 * 17 - 1, 4)
    np.testing.assert_array_equal(shown[17:33, 17:33, :3].transpose(2, 0, 1), noise[3].numpy())
    assert (shown[16, :, 3] == 0).all() and (shown[:16, :16, 3] == 255).all()
    assert (shown[34:, 17:, 3] == 0).all(), "the sixth place is empty"


def test_the_most_detailed_square_is_where_the_detail_is():
    flat = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    flat[:, 20:26:2, 6:12] = 255
    top, left = detailed_square(flat, 10)
    assert top <= 20 and top + 10 >= 25 and left <= 6 and left + 10 >= 12
    assert detailed_square(flat, 32) == (0, 0)
