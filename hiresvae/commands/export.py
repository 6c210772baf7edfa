"""``hiresvae export``: a model, its encoder or its decoder as files for use elsewhere."""

from pathlib import Path

from hiresvae.generator import load
from hiresvae.uses.parts import FormatName, PartName, can_compare, export


def run(
    *,
    model: str,
    out: Path,
    part: PartName = "all",
    format: FormatName = "safetensors",
    device: str | None = None,
) -> list[Path]:
    """Writes the files and returns their paths.

    Args:
        model: run folder or model folder.
        out: folder of the files.
        part: all, encoder or decoder.
        format: safetensors, torchscript or onnx.
        device: where it is traced; None takes the CPU, so that it loads anywhere.
    """
    files = export(load(model, device=device or "cpu"), out, part, format)
    total = sum(file.stat().st_size for file in files) / 1e6
    print(f"{part} as {format}, {total:.1f} MB: {', '.join(map(str, files))}")
    if not can_compare(format):
        print("not held against the model: that needs onnxruntime, of the extra 'onnx'")
    return files
