import pytest
import torch

from hiresvae.devices import choose_device, flushing_denormals, usable_kinds
from hiresvae.errors import UserError


def test_none_is_a_gpu_if_there_is_one() -> None:
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device(None).type == kind == usable_kinds()[0]
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "meta", "cpu:x", "xla"])
def test_a_device_that_is_not_there_is_a_sentence(name: str) -> None:
    with pytest.raises(UserError, match=r"is not on this machine; valid are .*'cpu'"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_without_a_driver_is_a_sentence() -> None:
    with pytest.raises(UserError, match="device 'cuda' is not on this machine"):
        choose_device("cuda")


def test_denormals_are_zero_within_and_numbers_again_after_a_mistake() -> None:
    small = torch.tensor(2.0**-130)
    with pytest.raises(UserError), flushing_denormals():
        assert (small * 1.0).item() == 0
        with flushing_denormals():
            pass
        assert (small * 1.0).item() == 0, "the inner one found it so"
        raise UserError("some mistake")
    assert (small * 1.0).item() > 0
