"""The device that a name means, and one sentence where this machine has no such device."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from hiresvae.errors import UserError


def choose_device(name: str | None) -> torch.device:
    """Returns the device of a name; None: a CUDA GPU if there is one, else the CPU.

    Args:
        name: such as "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        UserError: there is no such device, or it cannot be used here.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        # Whether there is a driver shows only when the device is used, and "meta" holds nothing.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        valid = ", ".join(repr(kind) for kind in usable_kinds())
        raise UserError(f"device {name!r} is not on this machine; valid are {valid}") from error
    return device


def usable_kinds() -> list[str]:
    """Returns the kinds of device of this machine, the CPU last."""
    kinds = ["cuda"] if torch.cuda.is_available() else []
    kinds += ["mps"] if torch.backends.mps.is_available() else []
    return [*kinds, "cpu"]


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    of_process = getattr(os, "sched_getaffinity", None)  # macOS and Windows have none
    return len(of_process(0)) if of_process else os.cpu_count() or 1


def use_all_cores(processes: int) -> None:
    """Gives a process that trains alone all cores where a launcher left it one thread.

    ``accelerate launch`` sets ``OMP_NUM_THREADS=1``, meant for processes that share a machine, also
    where it starts a single one on a CPU; the rest of the machine would then idle.

    Args:
        processes: that train together.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ
    if launched and processes == 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        torch.set_num_threads(usable_cores())


# Ways of sharing the work in which no process holds the networks whole. The averaged weights, the
# critic's gradient at the pictures, the guard's norms and the checkpoints all need them whole.
SPLIT = ("FSDP", "DEEPSPEED", "MEGATRON_LM")


def refuse_split(distributed_type: Any) -> None:
    """Refuses to train where networks are split over processes.

    Args:
        distributed_type: of the Accelerator, a member of accelerate's enumeration.

    Raises:
        UserError: it is one of `SPLIT`.
    """
    kind = str(getattr(distributed_type, "value", distributed_type))
    if kind in SPLIT:
        raise UserError(
            f"accelerate was told to train by {kind}, which splits the networks over processes, "
            "but this training needs them whole on each; nearest valid: accelerate launch "
            "--multi_gpu, and training.gradient_checkpointing true or training.accumulation 2 "
            "where memory is short"
        )


@contextlib.contextmanager
def flushing_denormals() -> Iterator[None]:
    """Numbers below float32's normal range count as 0 within; afterwards all is as it was.

    A CPU takes a hundred times as long for them, and a training is full of them: the optimiser's
    running means of weights that get no gradient fall among them. Threads that torch starts within
    keep this, so it belongs around a whole training.
    """
    before = (torch.tensor(2.0**-130) * 1.0).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextlib.contextmanager
def shortened_products(device: torch.device) -> Iterator[None]:
    """On CUDA, float32 products and convolutions may round their factors to TF32 within.

    That is several times as fast on the GPUs that know it. Ten bits of the fraction are left, and
    all of float32's range; sums, the KL and whatever else is no product stay float32, and so do
    the steps with gradient penalties, by `exact_products`. ``NVIDIA_TF32_OVERRIDE=0`` in the
    environment forbids it. Figures are measured in `exact_products`.

    Args:
        device: on which is trained; on any other kind nothing changes.
    """
    with _products("high", tf32=True) if device.type == "cuda" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Within, float32 products and convolutions are float32: figures must not depend on devices."""
    with _products("highest", tf32=False):
        yield


@contextlib.contextmanager
def _products(precision: str, *, tf32: bool) -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
