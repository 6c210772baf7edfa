from pathlib import Path

import pytest
import torch

from hiresvae.errors import UserError
from hiresvae.uses.sheets import save_movie, sheet


def test_a_sheet_has_a_place_for_every_picture() -> None:
    pictures = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
    page = sheet([list(pictures), [None, pictures[0], None]], scale=2)
    assert page.shape == (3, 2 * 16 + 2, 3 * 16 + 2 * 2)
    assert (page[:, :16, :16] == 100).all() and (page[:, 18:, :16] == 255).all()


def test_a_sheet_that_nothing_could_show_is_refused() -> None:
    picture = torch.zeros(1, 8, 8, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"131,996 x 1,316 pixels is larger than 80 .*--scale"):
        sheet([[picture] * 1000] * 10, scale=16)


def test_a_film_that_would_fill_the_memory_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"film of 819 million .*--scale"):
        save_movie(
            torch.zeros(2, 1, 8, 8, dtype=torch.uint8), tmp_path / "new" / "a.gif", scale=2529
        )
    assert not list(tmp_path.iterdir())
