"""Encoder, decoder and whole model as modules of tensors alone, for use elsewhere.

What they take and give is float32 in [-1, 1], so that nothing of this package is needed beside
them; a part that was exported as safetensors comes back by `load_part`.
"""

import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, load
from hiresvae.model_files import BROKEN, shapes
from hiresvae.models.draws import FromPosterior, FromPrior, Given
from hiresvae.models.vae import VAE
from hiresvae.paths import aside
from hiresvae.run import explained
from hiresvae.settings import DataSettings, ModelSettings

PartName = Literal["all", "encoder", "decoder"]
FormatName = Literal["safetensors", "torchscript", "onnx"]
FORMAT = 1


class Part(nn.Module):
    """A part of a model: tensors in, tensors out, without noise.

    - ``encoder``: pictures ``(N, C, S, S)`` -> the posterior's mean of each rung, top first,
      ``(N, D, h, w)``. A ladder's lower posteriors look at the way down, so its encoder holds most
      of the decoder too.
    - ``decoder``: latents of every rung, top first -> pictures ``(N, C, S, S)``.
    - ``all``: pictures -> their reconstructions.

    A conditional model takes labels int64 ``(N,)`` as its last argument.

    Args:
        model: the whole network.
        part: which part.
    """

    def __init__(self, model: VAE, part: PartName) -> None:
        super().__init__()
        self.model, self.part = model, part

    @property
    def inputs(self) -> list[str]:
        """Names of the arguments."""
        rungs = [f"latent_{i}" for i in range(len(self.model.latent_shapes))]
        return (rungs if self.part == "decoder" else ["pictures"]) + (
            ["labels"] if self.model.classes else []
        )

    @property
    def outputs(self) -> list[str]:
        """Names of the results."""
        if self.part == "encoder":
            return [f"latent_{i}" for i in range(len(self.model.latent_shapes))]
        # ONNX knows but one value of a name: what comes out may not be called as what goes in.
        return ["pictures" if self.part == "decoder" else "reconstructions"]

    def forward(self, *tensors: Tensor) -> Any:
        """Returns a tensor, or a tuple of the rungs' latents; see the class."""
        labels = tensors[-1] if self.model.classes else None
        given = list(tensors[:-1]) if self.model.classes else list(tensors)
        count = given[0].shape[0]
        if self.part == "decoder":
            latents: list[Tensor | None] = [*given]
            walk = self.model.walk(Given(latents, FromPrior(None)), labels, count)
            return self.model.likelihood(walk.head).mean
        features = self.model.features(given[0], labels)
        walk = self.model.walk(FromPosterior(features, None), labels, count)
        if self.part == "encoder":
            return tuple(drawn.z for drawn in walk.drawn)
        return self.model.likelihood(walk.head).mean


def example(part: Part, count: int = 2) -> tuple[Tensor, ...]:
    """Returns arguments that fit a part, always the same ones."""
    model, rng = part.model, torch.Generator().manual_seed(0)
    shapes: list[tuple[int, ...]] = [(model.channels, model.size, model.size)]
    if part.part == "decoder":
        shapes = [*model.latent_shapes]
    tensors = [torch.randn(count, *shape, generator=rng).clamp(-1, 1) for shape in shapes]
    if model.classes:
        tensors.append(torch.arange(count) % model.classes)
    return tuple(tensor.to(model.last_layer.device) for tensor in tensors)


def needed(part: Part) -> set[str]:
    """Returns the names of the weights that a part's results depend on."""
    wanted = {name: p.requires_grad for name, p in part.model.named_parameters()}
    part.model.requires_grad_(True)
    try:
        results = part(*example(part))
        results = results if isinstance(results, tuple) else (results,)
        names, parameters = zip(*part.model.named_parameters(), strict=True)
        found = torch.autograd.grad(
            sum((r.float().square().sum() for r in results), torch.zeros(())),
            parameters,
            allow_unused=True,
        )
    finally:
        for name, parameter in part.model.named_parameters():
            parameter.requires_grad_(wanted[name])
    used = {name for name, gradient in zip(names, found, strict=True) if gradient is not None}
    return used | {name for name, _ in part.model.named_buffers()}


def export(painter: PictureModel, out: Path, part: PartName, format: FormatName) -> list[Path]:
    """Writes a part of a model, checks that it gives the same, and returns the files.

    ONNX files are checked where onnxruntime is installed, see `can_compare`.

    Args:
        painter: the model.
        out: folder of the files.
        part: all, encoder or decoder.
        format: safetensors (`load_part`; ``all`` is a model folder for `hiresvae.load`),
            torchscript, or onnx (extra ``onnx``).

    Raises:
        UserError: the extra is not there, or the folder cannot be written.
        RuntimeError: what was written gives something else, by more than 1e-5.
    """
    piece = Part(painter.model, part).eval()
    with explained("exporting", out):
        out.mkdir(parents=True, exist_ok=True)
        if format == "safetensors" and part == "all":
            painter.save(out)
            _compare(piece, Part(load(out, device=str(painter.device)).model, part))
            return sorted(path for path in out.iterdir() if path.is_file())
        if format == "safetensors":
            files = _save_tensors(painter, piece, out)
            _compare(piece, load_part(out, part, device=str(painter.device)))
            return files
        path = (
            out
            / f"{'model' if part == 'all' else part}.{'pt' if format == 'torchscript' else 'onnx'}"
        )
        with aside(path) as file:
            if format == "torchscript":
                _trace(piece, file)
            else:
                _to_onnx(piece, file)
    words = {"part": part, "inputs": piece.inputs, "outputs": piece.outputs, "range": [-1, 1]}
    note = out / f"{path.stem}.{format}.json"
    note.write_text(json.dumps(words | _shape(painter), indent=2) + "\n", encoding="utf-8")
    return [path, note]


def can_compare(format: FormatName) -> bool:
    """Returns whether files of a format can be run here, to be held against the model."""
    return format != "onnx" or find_spec("onnxruntime") is not None


def _shape(painter: PictureModel) -> dict[str, Any]:
    return {
        "size": painter.model.size,
        "channels": painter.model.channels,
        "latent_shapes": painter.model.latent_shapes,
        "classes": painter.classes if painter.conditional else (),
    }


def _save_tensors(painter: PictureModel, piece: Part, out: Path) -> list[Path]:
    names = needed(piece)
    weights = {k: v.cpu().contiguous() for k, v in painter.model.state_dict().items() if k in names}
    config = {
        "format": FORMAT,
        "part": piece.part,
        **_shape(painter),
        "model": painter.settings.model.model_dump(mode="json"),
    }
    files = [out / f"{piece.part}.safetensors", out / f"{piece.part}.json"]
    save_file(weights, files[0])
    files[1].write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return files


def load_part(folder: Path | str, part: PartName, *, device: str = "cpu") -> Part:
    """Returns an encoder or a decoder that was exported as safetensors.

    Raises:
        UserError: it is not there, or its files are broken.

    Example:
        >>> decoder = load_part("parts", "decoder")  # doctest: +SKIP
        >>> decoder(torch.randn(1, 128, 1, 1)).shape  # doctest: +SKIP
        torch.Size([1, 3, 64, 64])
    """
    weights_file, config_file = (Path(folder) / f"{part}.{end}" for end in ("safetensors", "json"))
    for file in (weights_file, config_file):
        if not file.is_file():
            raise UserError(
                f"{folder} has no {file.name}; make it by: hiresvae export --part {part}"
            )
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
        # Words may claim a model larger than this machine: they are held against the file first.
        with torch.device("meta"):
            claimed = _network(config)
            missing, unknown = claimed.load_state_dict(shapes(weights_file), strict=False)
        if unknown or needed(Part(claimed, part)) & set(missing):
            raise ValueError("weights of another model")
        model = _network(config)
        model.load_state_dict(load_file(weights_file), strict=False)
        piece = Part(model, part)
    except BROKEN as error:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{weights_file} is broken: {words}") from error
    return piece.to(device).eval().requires_grad_(False)


def _network(config: dict[str, Any]) -> VAE:
    data = DataSettings(size=config["size"], channels=config["channels"])  # within their ranges
    return VAE(
        ModelSettings.model_validate(config["model"]),
        size=data.size,
        channels=int(data.channels),
        classes=len(config["classes"]),
    )


def _trace(piece: Part, path: Path) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # torch would rather see exported programs; TorchScript is what was asked for.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(piece, example(piece), check_inputs=[example(piece, 3)])
        torch.jit.save(traced, str(path))
        again = torch.jit.load(str(path), map_location=piece.model.last_layer.device)
    _compare(piece, again)


def _compare(piece: Part, other: Any) -> None:
    """Raises RuntimeError unless both give the same to 1e-5, at another number of pictures too."""
    with torch.no_grad():
        for count in (1, 3):
            given = example(piece, count)
            ours, theirs = piece(*given), other(*given)
            pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
            worst = max(float((a - b).abs().max()) for a, b in pairs)
            if worst > 1e-5:
                raise RuntimeError(f"the exported {piece.part} differs by {worst:.1e}")


def _to_onnx(piece: Part, path: Path) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            "onnx needs the extra 'onnx': pip install 'hiresvae[onnx]', or take "
            "--format torchscript"
        ) from error
    given = example(piece)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            piece,
            given,
            str(path),
            input_names=piece.inputs,
            output_names=piece.outputs,
            dynamic_shapes=(tuple({0: batch} for _ in given),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if can_compare("onnx"):
        _compare(piece, _running(piece, path))


def _running(piece: Part, path: Path) -> Callable[..., Any]:
    """Returns an ONNX file as a function of tensors."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    device = piece.model.last_layer.device

    def run(*tensors: Tensor) -> Any:
        given = {k: v.cpu().numpy() for k, v in zip(piece.inputs, tensors, strict=True)}
        found = session.run(piece.outputs, given)
        results = tuple(torch.from_numpy(one).to(device) for one in found)
        return results if piece.part == "encoder" else results[0]

    return run
