import pytest
import torch

from hiresvae.uses.restore import tiled
from hiresvae.uses.views import View, continued, views


@pytest.mark.parametrize("view", [View(), View(3, 0), View(5, 7, True), View(0, 20, True)])
def test_what_is_seen_otherwise_comes_back_where_it_was(view):
    picture = torch.rand(4, 9, 12)
    shown = view.of(picture)
    assert shown.shape == (4, 9 + view.up, 12 + view.left)
    assert torch.equal(view.back(shown), picture)
    # Through tiles, too: no seam where they begin.
    assert torch.allclose(view.back(tiled(shown, 8, lambda tiles, _: tiles)), picture, atol=1e-6)


def test_a_picture_goes_on_by_its_mirror_image():
    row = torch.tensor([1, 2, 3])[None, None]
    assert continued(row, 0, 5).flatten().tolist() == [1, 2, 3, 3, 2, 1, 1, 2]
    assert View(left=2).of(row).flatten().tolist() == [2, 1, 1, 2, 3]


def test_views_are_as_many_as_there_are_and_no_two_alike(make_painter):
    plain = make_painter(stochastic=False)
    found = views(plain, 1000)
    assert found[0] == View() and len(set(found)) == len(found) == 64, "half of 16 px, both ways"
    assert not any(view.mirrored for view in found), "it never saw a mirrored picture"
    assert max(view.up for view in found) == max(view.left for view in found) == 7
    assert views(plain, 3) == found[:3] != views(plain, 3, seed=1)
    data = plain.settings.data.model_copy(update={"mirror": True})
    plain.settings = plain.settings.model_copy(update={"data": data})
    assert len(set(views(plain, 1000))) == 128
    assert views(make_painter(), 3) == [View()] * 3, "noise makes its answers differ"
