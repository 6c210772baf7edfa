import pytest
import torch

from hiresvae.errors import UserError
from hiresvae.uses.sheets import sheet


def test_a_sheet_has_a_place_for_every_picture() -> None:
    pictures = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
    page = sheet([list(pictures), [None, pictures[0], None]], scale=2)
    assert page.shape == (3, 2 * 16 + 2, 3 * 16 + 2 * 2)
    assert (page[:, :16, :16] == 100).all() and (page[:, 18:, :16] == 255).all()


def test_a_sheet_that_nothing_could_show_is_refused() -> None:
    picture = torch.zeros(1, 8, 8, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"131,996 x 1,316 pixels is larger than 80 .*--scale"):
        sheet([[picture] * 1000] * 10, scale=16)
