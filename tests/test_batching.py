import pytest

from hiresvae.batching import at_once, in_batches
from hiresvae.errors import UserError


@pytest.mark.parametrize(
    ("side", "cpu", "gpu"), [(28, 32, 32), (64, 32, 32), (128, 8, 32), (256, 2, 32), (1024, 1, 2)]
)
def test_large_pictures_are_worked_off_a_few_at_a_time(side: int, cpu: int, gpu: int) -> None:
    assert (at_once(side, "cpu", 32), at_once(side, "cuda", 32)) == (cpu, gpu)
    assert at_once(side, "cpu", 1) == 1


def test_no_rows_are_one_empty_batch() -> None:
    assert list(in_batches(slice(3, 3), 4, lambda rows: rows.stop - rows.start, "nothing")) == [0]


def test_a_row_that_fits_nowhere_is_a_sentence_after_those_that_do() -> None:
    def work(rows: slice) -> slice:
        if rows.stop > 3:
            raise MemoryError
        return rows

    done = in_batches(slice(0, 8), 8, work, "a smaller picture")
    assert [next(done), next(done)] == [slice(0, 2), slice(2, 3)]
    with pytest.raises(UserError, match=r"memory ran out; what needs less: a smaller picture"):
        next(done)


def test_another_fault_is_not_tried_again() -> None:
    tried = []

    def work(rows: slice) -> None:
        tried.append(rows)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        list(in_batches(slice(0, 8), 4, work, "nothing"))
    assert tried == [slice(0, 4)]
