import weakref

import numpy as np
import pytest
import torch

from hiresvae.metrics.chunks import by_chunk


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


def test_rows_of_chunks_that_are_done_are_not_kept():
    # Process memory would tell it too, but allocators alone change that by hundreds of megabytes.
    rows, alive = [], []

    def doubled(part):
        alive.append(sum(row() is not None for row in rows))
        of_part = part * 2
        rows.append(weakref.ref(of_part))
        return of_part

    found = by_chunk(doubled, torch.rand(12, 3), size=2)
    assert len(alive) == 6 and max(alive) <= 1
    assert found.shape == (12, 3) and not any(row() is not None for row in rows)
