import shutil

import pytest
import torch

from hiresvae.generator import load
from hiresvae.model_folder import FILES, SHIPPED, find_folder, shipped

MEGABYTE = 2**20


def test_models_that_come_along_are_small_and_say_what_they_are():
    assert {"monet-64", "faces-64", "faces-ladder-64"} <= set(shipped())
    sizes = [sum(f.stat().st_size for f in (SHIPPED / name).iterdir()) for name in shipped()]
    assert max(sizes) <= 8 * MEGABYTE and sum(sizes) <= 20 * MEGABYTE
    for name in shipped():
        assert all((SHIPPED / name / file).is_file() for file in FILES)
        card = (SHIPPED / name / "README.md").read_text(encoding="utf-8")
        assert all(word in card for word in ("Data", "Licence", "Cost", "Measured"))


@pytest.mark.parametrize("name", shipped())
def test_a_model_that_comes_along_draws_different_pictures_that_are_not_flat(name):
    pictures = load(name, device="cpu").sample(3, seed=1).float()
    assert pictures.shape == (3, 3, 64, 64)
    assert pictures.flatten(1).std(1).min() > 10
    assert (pictures[0] - pictures[1]).abs().mean() > 10


def test_a_folder_goes_before_a_model_that_comes_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHIPPED / "monet-64", tmp_path / "monet-64")
    assert find_folder("monet-64").resolve() == (tmp_path / "monet-64").resolve()
    mine, theirs = load("monet-64", device="cpu"), load(SHIPPED / "monet-64", device="cpu")
    assert torch.equal(mine.sample(1), theirs.sample(1))
