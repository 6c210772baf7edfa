"""The tables of the README, made from the figures that evaluations wrote.

A table NAME stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. In brackets: 95 %
intervals; bold where one is better by the rule of `hiresvae.uses.verdict`: the intervals do not
overlap, and where noise or sharpening would do, distances that see through both agree.

Usage:
    python benchmarks/table.py --write README.md
    python benchmarks/table.py --check README.md

Without the figures of a table it is left as it is, and the check fails.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# So that a fresh clone checks its README without being installed.
sys.path.insert(0, str(ROOT))

from records import recorded  # noqa: E402
from tables import TABLES, Row, Table  # noqa: E402

from hiresvae.errors import UserError  # noqa: E402
from hiresvae.uses.verdict import winner  # noqa: E402

Report = Mapping[str, Any]


def markdown(table: Table, reports: Sequence[Report]) -> str:
    """Returns a table in Markdown.

    Args:
        table: what it shows.
        reports: the evaluation of each column.
    """
    lines = [
        f"| {' | '.join([table.title, *table.columns, 'real'])} |",
        "|" + "---|" * (len(table.columns) + 2),
    ]
    for row in table.rows:
        figures = [report["figures"].get(row.figure) for report in reports]
        if not any(figures):
            continue
        first = None
        if table.judged:
            first = winner(row.figure, [report["figures"] for report in reports])
        cells = [
            _cell(row, figure, i == first, table.intervals) for i, figure in enumerate(figures)
        ]
        # Of the same real pictures in all columns; older evaluations lack some.
        told = [report["figures"][row.real] for report in reports if row.real in report["figures"]]
        floor = told[0] if told else None
        real = row.real if floor is None else _number(row, floor["value"])
        # A floor that was not measured is not told.
        cells.append("" if floor is None and row.real.startswith("floor_") else real)
        lines.append(f"| {' | '.join([row.words, *cells])} |".replace("|  |", "| |"))
    return "\n".join(lines)


def evaluation(results: Path, place: str) -> Report:
    """Returns the evaluation that a column is made of.

    Args:
        results: folder of the evaluations.
        place: ``FILE``, or ``FILE:VARIANT``; real pictures, measured as another variant, are then
            its floors.

    Raises:
        UserError: the file is cut short, or has no figures of what is asked for.
    """
    file, _, variant = place.partition(":")
    key = "variants" if variant else "figures"
    report = recorded(results / file, key, mend="write it anew by what made it")
    if not variant:
        return report
    try:
        figures, real = (report["variants"][who]["figures"] for who in (variant, "real"))
    except KeyError as error:
        raise UserError(f"{results / file} has no {error} of {place!r}: write it anew") from error
    return {"figures": {**figures, **{f"floor_{name}": real[name] for name in real}}}


def filled(text: str, results: Path) -> tuple[str, list[str]]:
    """Returns a text with its tables made anew, and a sentence for each that could not be made.

    Args:
        text: Markdown with pairs of comments.
        results: folder of the evaluations.

    Raises:
        ValueError: a table that is not known, or a comment without its partner.
    """
    notes = []

    def make(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in TABLES:
            raise ValueError(f"table {name!r} is unknown; known are {', '.join(TABLES)}")
        places = TABLES[name].columns.values()
        files = dict.fromkeys(place.partition(":")[0] for place in places)
        absent = [file for file in files if not (results / file).is_file()]
        if absent:
            notes.append(f"table {name} stays as it is: there is no {' and no '.join(absent)}")
            return found[0]
        reports = [evaluation(results, place) for place in places]
        return f"{found['begin']}\n{markdown(TABLES[name], reports)}\n{found['end']}"

    pattern = (
        r"(?P<begin><!-- table: (?P<name>[\w-]+) -->)\n(?:(?!<!-- ).*\n)*?(?P<end><!-- /table -->)"
    )
    made, count = re.subn(pattern, make, text)
    comments = re.findall(r"<!-- (?:table:|/table)", text)
    if len(comments) != 2 * count:
        raise ValueError("a comment '<!-- table: NAME -->' lacks its '<!-- /table -->', or reverse")
    return made, notes


def main(words: Sequence[str] | None = None) -> int:
    """Writes or checks; returns 0, or 1 where file and figures differ or figures are not there.

    2 where the file or an evaluation cannot be read.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    either = parser.add_mutually_exclusive_group(required=True)
    readme = ROOT / "README.md"
    either.add_argument("--write", type=Path, nargs="?", const=readme, metavar="FILE")
    either.add_argument("--check", type=Path, nargs="?", const=readme, metavar="FILE")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args(words)
    file: Path = arguments.write or arguments.check
    # With its folder: two of the pages are README.md.
    whole = file.resolve()
    named = whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else file
    try:
        text = file.read_text(encoding="utf-8")
        made, notes = filled(text, arguments.results)
    except OSError as error:
        print(f"{file} cannot be read ({error.strerror}): name a file of Markdown", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"{named}: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{named}: {error}", file=sys.stderr)
        return 1
    if arguments.check and notes:
        # Figures that nobody can look up are not checked: that must not pass for a check.
        print(*(f"{named}: {note}" for note in notes), sep="\n", file=sys.stderr)
        return 1
    print(*notes, sep="\n", end="\n" if notes else "")
    if made == text:
        print(f"{named}: tables are those of the figures")
        return 0
    if arguments.check:
        mend = f"python benchmarks/table.py --write {named}"
        print(f"{named}: tables and figures differ; mend by: {mend}", file=sys.stderr)
        return 1
    file.write_text(made, encoding="utf-8")
    print(f"{named}: tables written")
    return 0


def _cell(row: Row, figure: Report | None, is_best: bool, intervals: bool) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    value = f"{_number(row, figure['value'])}{row.unit}"
    value = f"**{value}**" if is_best else value
    interval = figure["interval"]
    if not intervals or interval is None or None in interval:
        return value
    return f"{value} ({' to '.join(_number(row, bound) for bound in interval)})"


def _number(row: Row, value: float) -> str:
    # Three decimals say enough of a ratio near 0: 0.006, not 0.0058.
    return min(f"{value:{row.digits}}", f"{value:.3f}", key=len)


if __name__ == "__main__":
    sys.exit(main())
