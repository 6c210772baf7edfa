import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same weights and pictures in whatever order the tests run."""
    torch.manual_seed(0)
