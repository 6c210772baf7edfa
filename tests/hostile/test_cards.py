"""Names in the card of a model, which goes to a site that renders it: read as they are."""

import html
import re
from types import SimpleNamespace

import pytest

from hiresvae.errors import printable
from hiresvae.generator import PictureModel
from hiresvae.training.card import model_card

NAMES = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](https://evil.example/x.png)",
    "[x](javascript:alert(1))", "https://evil.example", "www.evil.example", "`</code><b>",
    "a\n\n# b\n- c", "a\r---\nb", "*b* _i_ ~s~", "a | b", "$x$", "&lt;b&gt;", "\\", "\x1b[2J",
]  # fmt: skip
ESCAPE = r"\\([!-/:-@\[-`{-~])"


@pytest.mark.parametrize("name", NAMES)
def test_names_of_labels_and_folders_are_no_markup(painter, name):
    data = painter.settings.data.model_copy(update={"source": name})
    settings = painter.settings.model_copy(update={"data": data, "name": name})
    used = PictureModel(painter.model, painter.prior, (name, "b"), (0.5, 0.5), settings)
    data = SimpleNamespace(train=range(3), held_out=range(1))
    whole = model_card(used, data, [f"score: by {name}"])
    usual = model_card(painter, data, ["score: by textures"])
    assert len(whole.splitlines()) == len(usual.splitlines()), "no line is added"
    said = whole.split("---\n", 2)[2]
    obeyed = re.sub(ESCAPE + r"|&(lt|gt|amp);|```\n.*?\n```", "", said, flags=re.DOTALL)
    assert not re.search(r"[<>&`*_\[\]|~$\x00-\x09\x0b-\x1f]|://|www\.", obeyed)
    assert obeyed.count("#") == 1, "one heading"
    read = html.unescape(re.sub(ESCAPE, r"\1", said))
    assert read.count(" ".join(printable(name).split())) >= 4
