import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from hiresvae.devices import (
    SPLIT,
    choose_device,
    exact_products,
    flushing_denormals,
    refuse_split,
    shortened_products,
    usable_cores,
    usable_kinds,
    use_all_cores,
)
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


@pytest.mark.parametrize(
    ("processes", "environment", "all_cores"),
    [
        (1, {"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "no"}, True),
        (2, {"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "no"}, False),
        (1, {"OMP_NUM_THREADS": "3", "ACCELERATE_MIXED_PRECISION": "no"}, False),
        (1, {"OMP_NUM_THREADS": "1"}, False),
    ],
)
def test_one_launched_process_uses_all_cores(
    monkeypatch: pytest.MonkeyPatch,
    processes: int,
    environment: dict[str, str],
    all_cores: bool,
) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    use_all_cores(processes)
    assert given == ([usable_cores()] if all_cores else [])


def test_denormals_are_zero_within_and_numbers_again_after_a_mistake() -> None:
    small = torch.tensor(2.0**-130)
    with pytest.raises(UserError), flushing_denormals():
        assert (small * 1.0).item() == 0
        with flushing_denormals():
            pass
        assert (small * 1.0).item() == 0, "the inner one found it so"
        raise UserError("some mistake")
    assert (small * 1.0).item() > 0


def test_products_are_shortened_on_cuda_alone_and_exact_where_figures_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: ["highest", *said][-1])
    monkeypatch.setattr(torch, "set_float32_matmul_precision", said.append)
    convolutions = torch.backends.cudnn.allow_tf32
    with shortened_products(torch.device("cpu")):
        assert said == [] and torch.backends.cudnn.allow_tf32 == convolutions
    with pytest.raises(UserError), shortened_products(torch.device("cuda", 1)):
        assert said == ["high"] and torch.backends.cudnn.allow_tf32
        with exact_products():
            assert said == ["high", "highest"] and not torch.backends.cudnn.allow_tf32
        assert said[-1] == "high" and torch.backends.cudnn.allow_tf32
        raise UserError("some mistake")
    assert said[-1] == "highest" and torch.backends.cudnn.allow_tf32 == convolutions


def test_networks_that_would_be_split_over_processes_are_refused(refused) -> None:
    assert set(SPLIT) <= {kind.value for kind in DistributedType}, "accelerate's own names"
    for kind in DistributedType:
        if kind.value in SPLIT:
            with refused(f"by {kind.value},", "--multi_gpu", "gradient_checkpointing"):
                refuse_split(kind)
        else:
            refuse_split(kind)


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_a_training_that_accelerate_would_split_ends_with_a_sentence(
    kind, train, tmp_path, monkeypatch, refused
) -> None:
    """FSDP would have averaged shards as if they were whole layers."""
    monkeypatch.setattr(Accelerator, "distributed_type", kind)
    with refused(f"train by {kind.value}"):
        train(tmp_path / "run", "training.images=16")
    assert not list(tmp_path.glob("run/checkpoints/*"))
