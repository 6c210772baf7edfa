"""The page and the file that show models side by side."""

import json
import math
import shlex
from collections.abc import Callable
from typing import Any

import hiresvae
from hiresvae.report import exhibits
from hiresvae.report.markup import Html, joined, scrolling, table, tag
from hiresvae.report.style import CSS
from hiresvae.report.words import GROUPS, group, listed, meaning, number
from hiresvae.uses.compare import Comparison
from hiresvae.uses.differences import ABSENT
from hiresvae.uses.verdict import DIRECTIONS, direction

# The page may show what it holds and nothing else: no request leaves it, no script runs.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

QUESTION = ("samples", "features", "metrics", "seed")
"""Options of the command that the figures depend on."""


def page(comparison: Comparison) -> str:
    """Returns the comparison as one HTML file that fetches nothing."""
    names = [contestant.name for contestant in comparison.contestants]
    title = f"Comparison of {listed(names)}"
    sections: list[tuple[str, str, Callable[[Comparison], Html]]] = [
        ("models", "Models", _models),
        ("figures", "Figures", _figures),
        ("reconstructions", "The same pictures, reconstructed", exhibits.reconstructions),
        ("zooms", "Zooms", exhibits.zooms),
        ("samples", "Samples", exhibits.samples),
        ("neighbours", "Nearest training pictures", exhibits.neighbours),
        ("spectra", "Power spectra", exhibits.spectra),
        ("curves", "Training", exhibits.curves),
        ("settings", "Settings that differ", _settings),
        ("method", "How this was made", _method),
    ]
    links = (tag("li", tag("a", words, href=f"#{place}")) for place, words, _ in sections)
    body = joined(
        [
            tag("a", "Skip to the figures", href="#figures", class_="skip"),
            tag("header", tag("h1", title), _summary(comparison)),
            tag("nav", tag("ul", *links), aria_label="Sections"),
            tag(
                "main",
                *(
                    tag("section", tag("h2", words), make(comparison), id=place)
                    for place, words, make in sections
                ),
            ),
        ]
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(CSS)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def summary(comparison: Comparison) -> str:
    """Returns in a sentence who is better in how many figures."""
    wins = comparison.wins()
    counts = [f"{name} in {len(won)}" for name, won in wins.items()]
    won = {name for names in wins.values() for name in names}
    asked = decidable(comparison)
    undecided = sum(name not in won for name in asked)
    return (
        f"Better beyond the 95 % intervals: {', '.join(counts)}; {undecided} of "
        f"{len(asked)} figures are not decided (intervals overlap, or there is none)."
    )


def decidable(comparison: Comparison) -> list[str]:
    """Returns the figures in which a model can be better: no floors, and none without direction."""
    return [
        name
        for name, values in comparison.figures().items()
        if not name.startswith("floor_")
        and any(value is not None and value["better"] in DIRECTIONS for value in values)
    ]


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Returns all numbers of the page as what JSON can hold."""
    every = comparison.contestants
    wins = comparison.wins()
    return {
        "models": [
            {
                "name": one.name,
                "model": one.model,
                "images_seen": one.images_seen,
                "parameters": one.parameters,
                "training_seconds": None if one.training is None else one.training.seconds,
                "curves": {}
                if one.training is None
                else {name: curve.to_json() for name, curve in one.training.curves.items()},
                "power_db": {role: power.tolist() for role, power in one.spectra.items()},
                "nearest_training": one.neighbours.distance.tolist(),
                "evaluation": {k: v for k, v in one.evaluation.items() if k != "figures"},
                "better_in": wins[one.name],
            }
            for one in every
        ],
        "figures": {
            name: {one.name: value for one, value in zip(every, values, strict=True)}
            for name, values in comparison.figures().items()
        },
        "frequency_cycles_per_pixel": comparison.frequency.tolist(),
        "real_power_db": comparison.real_spectrum.tolist(),
        "nearest_training_held_out_median": _finite(comparison.real_distance),
        "settings": {
            key: {one.name: value for one, value in zip(every, values, strict=True)}
            for key, values in comparison.differences()
        },
        "same_noise": comparison.same_noise(),
        "seed": comparison.seed,
        "hiresvae": hiresvae.__version__,
    }


def _summary(comparison: Comparison) -> Html:
    first = comparison.contestants[0]
    counts, size = first.evaluation["counts"], comparison.originals.shape[-1]
    data = (
        f"{first.settings.data.source} at {size} x {size} px: {counts.get('train', 0):,} training "
        f"pictures looked at, {counts.get('held_out', 0):,} held out, "
        f"{counts.get('samples', 0):,} samples of each model."
    )
    return joined([tag("p", data), tag("p", summary(comparison))])


def _models(comparison: Comparison) -> Html:
    heads = ("model", "images seen", "minutes", "images/s", "parameters", "device of the figures")
    rows = []
    for one in comparison.contestants:
        training = one.training
        cells = [
            f"{one.images_seen:,}",
            ABSENT if training is None else f"{training.seconds / 60:.1f}",
            ABSENT if training is None else f"{training.images / max(training.seconds, 1e-9):.1f}",
            f"{one.parameters:,}",
            str(one.evaluation.get("device", ABSENT)),
        ]
        name = tag("th", one.name, tag("br"), tag("small", one.model), scope="row")
        rows.append(tag("tr", name, *(tag("td", cell) for cell in cells)))
    head = tag("tr", *(tag("th", words, scope="col") for words in heads))
    words = "What is compared; minutes of training without pauses, snapshots included"
    return table(words, [head], [tag("tbody", *rows)])


def _figures(comparison: Comparison) -> Html:
    names = [one.name for one in comparison.contestants]
    head = tag("tr", *(tag("th", words, scope="col") for words in ("figure", *names)))
    bodies = []
    every = comparison.figures()
    for words in GROUPS:
        rows = [
            _figure(name, values, comparison.winner(name))
            for name, values in every.items()
            if group(name) == words
        ]
        if rows:
            heading = tag("th", words, scope="rowgroup", colspan=len(names) + 1, class_="group")
            bodies.append(tag("tbody", tag("tr", heading), *rows))
    rule = (
        "In brackets: 95 % intervals over pictures, for one training each. One is marked as better "
        "only where its interval and those of all others do not overlap; figures without an "
        "interval are never marked. What noise or sharpening raises too (sharpness, edges, "
        "variety, distance from training pictures) is marked only where the distances of patches "
        "and features are best for the same model."
    )
    return joined([tag("p", rule), table("All figures", [head], bodies, class_="figures")])


def _figure(name: str, values: list[dict[str, Any] | None], first: int | None) -> Html:
    known = next(value for value in values if value is not None)
    features = known.get("features")
    units = dict.fromkeys(value["unit"] for value in values if value is not None)
    facts = [", or ".join(units), direction(known)]
    facts += [f"features {features['name']}"] if features else []
    words = meaning(name)
    row = tag(
        "th",
        tag("code", name),
        *([tag("br"), words] if words else []),
        tag("br"),
        tag("small", "; ".join(facts)),
        scope="row",
    )
    cells = (_value(value, i == first, len(units) > 1) for i, value in enumerate(values))
    return tag("tr", row, *cells)


def _value(figure: dict[str, Any] | None, is_best: bool, with_unit: bool) -> Html:
    if figure is None:
        return tag("td", "not measured", class_="pale")
    shown: list[str] = [number(figure["value"])]
    if figure["interval"] is not None:
        low, high = figure["interval"]
        shown += [tag("br"), tag("small", f"({number(low)} to {number(high)})")]
    if with_unit:
        shown += [tag("br"), tag("small", figure["unit"])]
    if is_best:
        shown = [tag("strong", shown[0]), " ", tag("span", "better", class_="badge"), *shown[1:]]
    return tag("td", *shown, class_="best" if is_best else None)


def _settings(comparison: Comparison) -> Html:
    rows = comparison.differences()
    if not rows:
        return tag("p", "None: all settings are the same.")
    names = [one.name for one in comparison.contestants]
    head = tag("tr", *(tag("th", words, scope="col") for words in ("setting", *names)))
    body = [
        tag(
            "tr",
            tag("th", tag("code", key), scope="row"),
            *(tag("td", _setting(value)) for value in values),
        )
        for key, values in rows
    ]
    words = "Settings that are not the same for all; of sections that some lack, what was changed"
    return table(words, [head], [tag("tbody", *body)])


def _method(comparison: Comparison) -> Html:
    parts: list[Html] = []
    for one in comparison.contestants:
        report = one.evaluation
        network = report.get("features")
        facts = [f"seed {report['seed']}", f"{report['seconds']} s"]
        facts += [f"features {network['name']}, sha256 {network['sha256']}"] if network else []
        facts += [f"{name} {version}" for name, version in report["versions"].items()]
        notes = (tag("li", note) for note in report["notes"])
        parts += [
            tag("h3", one.name),
            tag("p", "; ".join(facts), class_="pale"),
            tag("ul", *notes) if report["notes"] else Html(),
        ]
    about = tag("p", "All numbers of this page are in report.json beside it. The command: ")
    return joined(
        [
            about,
            scrolling(tag("code", _command(comparison)), "the command"),
            tag("details", tag("summary", "Notes and versions of each evaluation"), *parts),
        ]
    )


def _command(comparison: Comparison) -> str:
    """Returns what makes the page again, as a shell takes it."""
    asked = comparison.contestants[0].evaluation["asked"]
    options = [word for name in QUESTION for word in (f"--{name}", str(asked[name]))]
    models = [one.model for one in comparison.contestants]
    # Where a name begins with a dash it would be an option.
    dashed = ["--", *models] if any(one.startswith("-") for one in models) else []
    words = [] if dashed else models
    return shlex.join(["hiresvae", "compare", *words, "--out", "DIR", *options, *dashed])


def _setting(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
