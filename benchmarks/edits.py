"""Whether edits of faces do what they say, and leave the rest.

Of a run on photographed faces (lfw, celeba): a small classifier learns smiles from the real
training pictures, and is asked about held-out neutral faces before and after they were made to
smile; faces are made darker and lighter, the angle of their skin is measured, and the classifier is
asked whether their smile moved too. Of a run on embedded:faces: a small network learns the exact
attributes of drawn faces, and is asked about 500 new ones before and after each attribute was
moved. What judges is judged itself, on pictures that it has not learned from. Whether faces stay
the same person tells a face-recognition network, where its weights are found.

Usage:
    python benchmarks/edits.py runs/faces_vae --out edits

Writes edits.json, and a sheet of five faces at five strengths for each attribute.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from command_line import parser_of
from edits_drawn import of_drawings
from edits_photos import of_photographs
from edits_shared import Asked

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.run import explained, write_json

DRAWN = "embedded:faces"


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--out", type=Path, default=Path("edits"), help="folder")
    parser.add_argument("--faces", type=int, default=500, help="edited at most")
    parser.add_argument("--strength", type=float, default=2.0, help="of the edits")
    parser.add_argument("--method", default="auto", help="auto, means or normal")
    parser.add_argument("--epochs", type=int, default=8, help="of the judge")
    parser.add_argument("--lessons", type=int, default=4000, help="drawn faces for the judge")
    parser.add_argument(
        "--detail", type=float, default=1.0, help="share of what the model forgets, given back"
    )
    parser.add_argument("--device", default=None)
    given = parser.parse_args(words)
    asked = Asked(**{field.name: getattr(given, field.name) for field in fields(Asked)})
    with explained("writing the results", given.out):
        given.out.mkdir(parents=True, exist_ok=True)
    painter = hiresvae.load(given.run, device=given.device)
    source = painter.settings.data.source
    measure = of_drawings if source == DRAWN else of_photographs
    found = {"run": given.run, "source": source, "size": painter.model.size}
    found |= {"images_seen": painter.images_seen, "detail_given_back": asked.detail}
    found |= measure(painter, asked)
    write_json(given.out / "edits.json", found)
    for goal in found["goals"]:
        reached = {True: "reached", False: "missed", None: "not measured"}[goal["reached"]]
        value = "" if goal["value"] is None else f" {goal['value']:.3g}"
        print(f"{goal['what']}:{value} (wanted {goal['wanted']}): {reached}")


if __name__ == "__main__":
    main()
