"""``hiresvae compare``: one page that shows which model is better, and at what."""

import re
from collections.abc import Sequence
from pathlib import Path

from hiresvae.report.comparison import page, summary, to_json
from hiresvae.run import explained, write_json, write_whole
from hiresvae.uses.compare import Comparison, compare, distinct


def run(
    *,
    models: Sequence[str],
    out: Path,
    samples: int = 1000,
    features: str = "auto",
    metrics: str = "all",
    seed: int = 0,
    device: str | None = None,
    fresh: bool = False,
) -> Path:
    """Writes ``report.html`` and ``report.json`` and returns the page's path.

    Each evaluation is kept in the folder ``evaluations``, so that a comparison that was broken
    off, or one with another model beside, does not measure again.

    Args:
        models: anything that ``hiresvae.load`` takes, two or more of the same pictures.
        out: folder of the result.
        samples: pictures drawn from each model for its figures.
        features: ``auto`` (Inception), ``none``, or a TorchScript file.
        metrics: ``all``, or names of groups with commas between.
        seed: of samples and intervals.
        device: None takes what there is.
        fresh: measure anew what an earlier comparison measured.
    """
    with explained("writing the report", out):
        (out / "evaluations").mkdir(parents=True, exist_ok=True)
    kept = [out / "evaluations" / f"{file_name(name)}.json" for name in distinct(models)]
    comparison = compare(
        models, kept, samples=samples, features=features, metrics=metrics, seed=seed,
        device=device, fresh=fresh,
    )  # fmt: skip
    print(f"{summary(comparison)}\nwritten to {write(comparison, out)}")
    return out / "report.html"


def write(comparison: Comparison, out: Path) -> Path:
    """Writes the page and its numbers into a folder and returns the page's path."""
    with explained("writing the report", out):
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "report.json", to_json(comparison))
        write_whole(out / "report.html", page(comparison))
    return out / "report.html"


def file_name(name: str) -> str:
    """Returns a name as one that any disk takes.

    Example:
        >>> file_name("x/a (2)")
        'x-a-2'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "model"
