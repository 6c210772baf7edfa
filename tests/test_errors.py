import pytest

from hiresvae.errors import UserError, enough_memory, is_out_of_memory, nearest, printable


def test_the_nearest_of_nothing_is_said_in_words() -> None:
    assert nearest("a", []) == "there is none to choose from"


def test_names_in_another_encoding_can_be_printed() -> None:
    assert printable("a\udcff.png").encode() == b"a\\udcff.png"
    assert printable("Übung") == "Übung"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
                     "allocate memory: you tried to allocate 512000000000000 bytes."),
        RuntimeError("Storage size calculation overflowed with sizes=[1, 2]"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("unable to mmap 4096 bytes from file <x>: Cannot allocate memory (12)"),
    ],
)  # fmt: skip
def test_memory_that_ran_out_is_a_sentence(error: Exception) -> None:
    assert is_out_of_memory(error)
    with pytest.raises(UserError, match=r"memory ran out; what needs less: batch_size 16$"):
        with enough_memory("batch_size 16"):
            raise error


def test_other_faults_stay_what_they_are() -> None:
    assert not is_out_of_memory(ValueError("out of memory of the war"))
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("x"):
        raise RuntimeError("shapes do not fit")


def test_torch_is_understood() -> None:
    import torch

    with pytest.raises(UserError, match="memory ran out"), enough_memory("less"):
        torch.empty(10**15)
