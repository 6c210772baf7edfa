import platform

import pytest

from hiresvae import held_memory
from hiresvae.held_memory import free_memory, hold_memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
STEPS = """
# Pages that the system had to clear in each of ten steps, before and after memory is held.
import resource, sys, torch
from hiresvae.held_memory import hold_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(1 << power) for power in (24, 22, 23, 24, 23)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = [faults() for _ in range(10)]
assert hold_memory() and hold_memory()
print(before[-1], [faults() for _ in range(10)][-1])
"""


@glibc
def test_memory_that_is_held_need_not_be_cleared_again(python) -> None:
    if free_memory() < 8 << 30:
        pytest.skip("less memory than it takes")
    said = python("-c", STEPS)
    before, after = map(int, said.stdout.split())
    assert before > 10_000 and after < 100, said.stderr


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A machine with a GiB free and a group without limits: (name of a file) -> it."""
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1048576 kB\n")
    monkeypatch.setattr(held_memory, "SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(held_memory, "GROUP", tmp_path)
    monkeypatch.setattr(held_memory, "_holds", False)
    asked = []

    class Library:
        def mallopt(self, *given):
            asked.append(given)

    monkeypatch.setattr(held_memory.ctypes, "CDLL", lambda _: Library())
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    return tmp_path, asked


def test_where_memory_is_short_nothing_is_held(library, monkeypatch) -> None:
    pytest.importorskip("resource")
    folder, asked = library
    monkeypatch.setattr(held_memory, "PLENTY", 1 << 20)
    assert free_memory() == 1 << 30
    assert not hold_memory() and not asked
    (folder / "meminfo").write_text("MemAvailable: 1000000000000000000 kB\n")
    assert hold_memory() and asked == [(-4, 0), (-1, -1)]
    assert hold_memory() and len(asked) == 2, "once is enough"


def test_the_limit_of_a_group_of_processes_counts(library) -> None:
    folder, _ = library
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.max").write_text("max\n")
    assert free_memory() == 1 << 30
    (folder / "memory.max").write_text("5000\n")
    assert free_memory() == 4000
    (folder / "memory.max").write_text("500\n")
    assert free_memory() == 0


def test_elsewhere_nothing_is_held(library, monkeypatch) -> None:
    folder, asked = library
    (folder / "meminfo").write_text("MemAvailable: 1000000000000 kB\n")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not hold_memory() and not asked
    (folder / "meminfo").unlink()
    assert free_memory() == 0
