"""``hiresvae ladder``: sheets of what each rung of a model says."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from hiresvae import images
from hiresvae.commands.reconstruct import tell
from hiresvae.errors import UserError
from hiresvae.generator import load
from hiresvae.run import explained
from hiresvae.uses.codes import SAMPLE, Inputs, gather
from hiresvae.uses.ladder import check_keep, coarse_to_fine, mixed, resampled
from hiresvae.uses.sheets import sheet

SAMPLES = 4
"""Samples that are shown where no picture is named."""
MOST = 16
"""More pictures than this make a sheet of pairings that nobody can look at."""


def run(
    *,
    model: str,
    keys: list[str],
    out: Path,
    keep: int | None = None,
    draws: int = 6,
    seed: int = 0,
    temperature: float | Sequence[float] = 1.0,
    scale: int | None = None,
    device: str | None = None,
) -> list[Path]:
    """Writes ``coarse_to_fine.png``, ``kept.png`` and, of several pictures, ``mixed.png``.

    Args:
        model: run folder or model folder, with two rungs or more.
        keys: pictures, or ``sample:SEED``; none is four samples from ``seed`` on.
        out: folder of the sheets.
        keep: rungs that stay from the top; None is half of them.
        draws: pictures a row of ``kept.png``.
        seed: of samples and draws.
        temperature: of samples and draws, of all rungs or of each from the top.
        scale: times to enlarge; None makes small pictures large enough to be seen.
        device: None takes what there is.
    """
    painter = load(model, device=device)
    rungs = len(painter.model.latent_shapes)
    keep = max(1, rungs // 2) if keep is None else keep
    check_keep(painter, keep)
    if draws < 1:
        raise UserError(f"--draws {draws}: at least 1 is needed")
    keys = keys or [f"{SAMPLE}{seed + i}" for i in range(SAMPLES)]
    inputs = gather(painter, keys, temperature=temperature)
    tell(inputs.skipped)
    if len(inputs.names) > MOST:
        raise UserError(
            f"{len(inputs.names)} pictures make a sheet too large to look at; nearest valid: {MOST}"
        )
    # Of a real picture the original stands first, as not even all rungs bring it back whole.
    tops = [f"top {k}" if k > 1 else "top rung" for k in range(1, rungs)]
    steps = ["average", *tops, "all rungs"]
    again = [f"drawn {i + 1}" for i in range(draws)]
    sheets = {
        "coarse_to_fine.png": (coarse_to_fine(painter, inputs.codes), steps),
        "kept.png": (
            resampled(painter, inputs.codes, keep, draws, seed=seed, temperature=temperature),
            again,
        ),
    }
    if len(inputs.names) > 1:
        names = [_stem(name) for name in inputs.names]
        sheets["mixed.png"] = (mixed(painter, inputs.codes, keep), [f"fine: {n}" for n in names])
    written = []
    with explained("writing sheets", out):
        out.mkdir(parents=True, exist_ok=True)
        for name, (pictures, headings) in sheets.items():
            images.save(_beside_originals(inputs, pictures, headings, scale), out / name)
            written.append(out / name)
    print(
        f"{len(inputs.names)} pictures, {keep} of {rungs} rungs kept, in "
        f"{', '.join(map(str, written))}"
    )
    return written


def _stem(name: str) -> str:
    return Path(name).stem


def _beside_originals(
    inputs: Inputs, pictures: Tensor, headings: Sequence[str], scale: int | None
) -> Tensor:
    """Returns a sheet of ``(N, M, C, S, S)``, each row after the picture that it comes from."""
    rows = [[inputs.pictures[i], *row] for i, row in enumerate(pictures)]
    return sheet(
        rows,
        headings=["original" if any(inputs.real) else "sample", *headings],
        names=[_stem(name) for name in inputs.names],
        scale=scale,
        gaps=(1,),
    )
