from pathlib import Path

import pytest
import torch

from hiresvae import held_memory
from hiresvae.held_memory import free_memory, hold_memory, knows_how

HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
STEPS = """
# Pages that the system had to clear in each of ten steps, before and after memory is held.
import resource, torch
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


@pytest.mark.skipif(not knows_how(), reason="no glibc")
def test_memory_that_is_held_need_not_be_cleared_again(python) -> None:
    if free_memory() < 8 << 30:
        pytest.skip("less memory than it takes")
    if HUGE.exists() and "[always]" in HUGE.read_text():
        pytest.skip("pages are so large that few are cleared")
    said = python("-c", STEPS)
    before, after = map(int, said.stdout.split())
    assert before > 10_000 and after < 100, said.stderr


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A process of 1 GiB on a machine with 4 GiB free: (its folder, what the C library is told)."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("Name:\tx\n\nVmHWM:\t 1048576 kB\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4194304 kB\n")
    monkeypatch.setattr(held_memory, "PROC", tmp_path)
    monkeypatch.setattr(held_memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(held_memory, "_holds", False)
    monkeypatch.setattr(held_memory, "knows_how", lambda: True)
    asked = []

    class Library:
        def mallopt(self, *given):
            asked.append(given)

    monkeypatch.setattr(held_memory.ctypes, "CDLL", lambda _: Library())
    return tmp_path, asked


def test_memory_is_held_where_there_is_plenty(machine, caplog) -> None:
    caplog.set_level("INFO", logger="hiresvae")
    _, asked = machine
    assert free_memory() == 4 << 30
    assert hold_memory() and asked == [(-4, 0), (-1, -1)]
    assert hold_memory() and len(asked) == 2 and len(caplog.records) == 1, "once is enough"


@pytest.mark.parametrize("free", ["MemAvailable: 3145728 kB\n", "MemAvailable:\n", "x\n", None])
def test_where_memory_is_short_or_unknown_nothing_is_held(machine, free) -> None:
    folder, asked = machine
    (folder / "meminfo").unlink()
    if free is not None:
        (folder / "meminfo").write_text(free)
    assert not hold_memory() and not asked
    (folder / "meminfo").write_text("MemAvailable: 4194304 kB\n")
    (folder / "self/status").unlink()
    assert not hold_memory() and not asked


def test_another_c_library_is_left_alone(machine, monkeypatch) -> None:
    monkeypatch.setattr(held_memory, "knows_how", lambda: False)
    assert not hold_memory() and not machine[1]


@pytest.mark.parametrize(
    ("line", "root", "limit", "used", "files"),
    [
        ("0::/a/b", "", "memory.max", "memory.current", "inactive_file"),
        (
            "4:memory,cpu:/a/b", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
)  # fmt: skip
def test_the_limits_of_groups_of_processes_count(machine, line, root, limit, used, files) -> None:
    folder, _ = machine
    (folder / "self/cgroup").write_text(f"9:name=systemd:/\n{line}\n")
    assert free_memory() == 4 << 30, "a group that is not to be seen here"
    top = folder / "groups" / root
    for group, most in ((top, "max"), (top / "a", "5000"), (top / "a/b", "9000")):
        group.mkdir(parents=True, exist_ok=True)
        (group / limit).write_text(most + "\n")
        (group / used).write_text("1000\n")
        (group / "memory.stat").write_text(f"anon 700\n{files} 300\n")
    assert free_memory() == 4300, "the tightest, but what files take is as good as free"
    (top / limit).write_text("800\n")
    assert free_memory() == 100
    (top / used).write_text("2000\n")
    assert free_memory() == 0


def test_a_training_on_a_cpu_asks_for_it(train, tmp_path, monkeypatch) -> None:
    from hiresvae.training import trainer

    asked = []
    monkeypatch.setattr(trainer, "hold_memory", lambda: asked.append(torch.get_num_threads()))
    train(tmp_path / "run", "adversary=null", "training.images=32")
    assert len(asked) == 2, "at each tick"
