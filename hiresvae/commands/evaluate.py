"""``hiresvae evaluate``: measures, writes the figures, shows them as a table."""

from pathlib import Path
from typing import Any, Literal


def evaluate(
    model: str,
    out: Path,
    *,
    reference: Path | None = None,
    samples: int | None = None,
    features: str | None = None,
    seed: int = 0,
    device: str | None = None,
    metrics: str = "all",
    iwae: int = 0,
) -> dict[str, Any]:
    """Measures a model or a folder of pictures, prints a table and returns the report.

    The arguments are those of :func:`hiresvae.uses.evaluate.evaluate`.

    Raises:
        UserError: see there.
    """
    from rich.console import Console

    from hiresvae.uses.evaluate import evaluate as measure
    from hiresvae.uses.processes import is_first

    report = measure(
        model,
        out,
        reference=reference,
        samples=samples,
        features=features,
        seed=seed,
        device=device,
        metrics=metrics,
        iwae=iwae,
    )
    if not is_first():
        return report
    console = Console()
    console.print(_table(report))
    for note in report["notes"]:
        console.print(note, markup=False, highlight=False)
    console.print(f"written to {out}", markup=False, highlight=False)
    return report


def _table(report: dict[str, Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(report["model"]))
    for heading in ("figure", "value", "95 %", "unit", "better"):
        justify: Literal["right", "left"] = "right" if heading == "value" else "left"
        # Names are what one looks for in the file: a narrow terminal must not cut them.
        table.add_column(heading, justify=justify, overflow="fold")
    for name, figure in report["figures"].items():
        interval = figure["interval"]
        table.add_row(
            name,
            _number(figure["value"]),
            "" if interval is None else " to ".join(map(_number, interval)),
            figure["unit"],
            figure["better"],
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
