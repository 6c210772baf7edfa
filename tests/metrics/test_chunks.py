import platform
import sys

import numpy as np
import pytest
import torch

from hiresvae.metrics.chunks import by_chunk

GROWTH = """
# Memory of its own, in MB, after a hundred pictures of 256 px and after two thousand.
import torch
from hiresvae.metrics.sharpness import laplacian_variance

def own():
    rows = open("/proc/self/status").read().splitlines()
    return next(int(row.split()[1]) // 1024 for row in rows if row.startswith("RssAnon:"))

torch.set_num_threads(1)
picture = torch.zeros(1, 1, 256, 256, dtype=torch.uint8)
laplacian_variance(picture.expand(128, -1, -1, -1))
few = own()
laplacian_variance(picture.expand(2048, -1, -1, -1))
print(few, own())
"""


@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_any_chunks_give_the_same_rows(size):
    x, y = torch.rand(5, 3), torch.rand(5, 3)
    seen = []

    def sums(a, b):
        seen.append(len(a))
        return torch.stack([a.sum(1), b.sum(1)], 1)

    found = by_chunk(sums, x, y, size=size)
    assert found.dtype == np.float32 and found.shape == (5, 2)
    assert np.array_equal(found, torch.stack([x.sum(1), y.sum(1)], 1).numpy())
    assert sum(seen) == 5 and max(seen) == min(size, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_more_chunks_take_no_more_memory(python):
    few, many = map(int, python("-c", GROWTH).stdout.split())
    assert many - few < 200
