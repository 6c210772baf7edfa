"""The network and the prior of a model folder, read as if a stranger had written its files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from hiresvae.errors import UserError, is_out_of_memory
from hiresvae.model_folder import FILES, Words, read_words
from hiresvae.models.vae import VAE
from hiresvae.paths import readable
from hiresvae.priors import Density

BROKEN = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
    RuntimeError, SafetensorError,
)  # fmt: skip
"""What comes of files that are damaged or say what cannot be."""


@contextmanager
def intact(folder: Path) -> Iterator[None]:
    """Turns what comes of a broken model folder into one sentence; too little memory stays itself.

    Raises:
        UserError: a file cannot be read, is damaged, or the files do not fit one another.
    """
    try:
        with readable(f"model folder {folder}"):
            yield
    except UserError:
        raise
    except BROKEN as error:
        if is_out_of_memory(error):
            raise
        sentence = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"model folder {folder} is broken: {sentence}") from error


def read_model(folder: Path) -> tuple[Words, VAE, Density]:
    """Returns what a model folder says, its network and its prior.

    Raises:
        UserError: a file is missing, or its settings are not known here.
        OSError: a file cannot be read.
        BROKEN: a file is damaged, or the files do not fit one another.
    """
    missing = next((file for file in FILES if not (folder / file).is_file()), None)
    if missing:
        raise UserError(f"model folder {folder} lacks {missing}")
    words = read_words(folder)
    weights = folder / "model.safetensors"
    # Words may claim a model larger than this machine: it is held against the file without memory.
    with torch.device("meta"):
        _network(words).load_state_dict(shapes(weights))
    model = _network(words)
    model.load_state_dict(load_file(weights))
    _check_finite(model.state_dict(), weights.name)
    prior = Density.from_tensors(load_file(folder / "prior.safetensors"))
    _check_finite(prior.tensors(), "prior.safetensors")
    dim = prior.means.shape[1]
    if dim != model.top_dim:
        raise ValueError(f"a prior of {dim} numbers for latents of {model.top_dim}")
    if prior.kind == "classes" and len(prior.means) != max(1, model.classes):
        raise ValueError(f"a prior of {len(prior.means)} classes for {model.classes} labels")
    return words, model, prior


def _network(words: Words) -> VAE:
    return VAE(
        words.settings.model, size=words.size, channels=words.channels, classes=len(words.classes)
    )


def shapes(file: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file as shapes alone, of which none is read."""
    with safe_open(file, "pt") as stored:
        return {
            name: torch.empty(stored.get_slice(name).get_shape(), device="meta")
            for name in stored.keys()
        }


def _check_finite(tensors: Mapping[str, Tensor], file: str) -> None:
    """Refuses weights of which every picture would be noise without a word."""
    for name, tensor in tensors.items():
        # A component that is never drawn has a weight of minus infinity.
        if tensor.isnan().any() or (name != "log_weights" and tensor.isinf().any()):
            raise ValueError(f"{file}: {name} has numbers that are not finite")
