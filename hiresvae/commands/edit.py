"""``hiresvae edit``: pictures with one attribute moved, and what else moved."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from hiresvae import images
from hiresvae.commands.reconstruct import distinct, tell
from hiresvae.errors import UserError, nearest
from hiresvae.generator import PictureModel, load
from hiresvae.metrics.identity import BOXES, Box, IdentityNetwork, check_box, load_identity
from hiresvae.run import explained, write_whole
from hiresvae.uses.attributes import Examples, of_data, two_folders
from hiresvae.uses.codes import Inputs, decode, gather
from hiresvae.uses.detail import give_back
from hiresvae.uses.edit import STRONGEST, Edit, drift, edited, learn, strengths, to_label
from hiresvae.uses.identity import kept, yardstick
from hiresvae.uses.sheets import sheet

SHOWN = 12
"""Pictures in the sheet."""


def run(
    *,
    model: str,
    paths: list[str],
    attribute: str,
    strength: float = 2.0,
    out: Path = Path("edited"),
    method: str = "auto",
    keep: list[str] | None = None,
    csv: Path | None = None,
    having: Path | None = None,
    lacking: Path | None = None,
    source: str | None = None,
    steps: int = 5,
    detail: float = 1.0,
    identity: bool | None = None,
    features: Path | None = None,
    face_box: Box | None = None,
    device: str | None = None,
) -> Path:
    """Writes ``NAME_edited.png`` a picture, a sheet of strengths, and ``edit.json``.

    Args:
        model: run folder or model folder.
        paths: pictures, folders and archives of pictures, or ``sample:SEED``.
        attribute: what is moved.
        strength: by how many units; 2 is about the way from one class to the other, and of a
            label all of it. Of two labels less than 0 goes to the other one.
        out: folder of the result.
        method: means, normal, label, or auto: label where the model knows the attribute as one.
        keep: attributes to hold still; None: all the exact ones of a drawn set.
        csv: table of attributes.
        having: folder of pictures with the attribute.
        lacking: folder of pictures without it.
        source: where examples come from, as ``data.source``; None: the model's own data.
        steps: strengths in the sheet.
        detail: how much of what the model forgets of a picture is given back to it, 0 to 1; see
            `hiresvae.uses.detail.give_back`.
        identity: whether to report how far faces stay the same person; None: where a network or a
            box is given, and where the model's data are a known set of faces.
        features: TorchScript network that tells people apart; None: MobileFaceNet.
        face_box: left, top and side of the face in shares of the picture; None: as is right for the
            model's data.
        device: None takes what there is.

    Returns:
        Path of the JSON file.
    """
    if (having is None) != (lacking is None):
        raise UserError("--with and --without go together: a folder of pictures each")
    if having is not None and (csv is not None or source is not None):
        raise UserError("--with and --without are all the examples: leave --csv and --source")
    if not abs(strength) <= STRONGEST:
        raise UserError(f"--strength {strength:g} must be from -{STRONGEST} to {STRONGEST}")
    if identity is False and (features is not None or face_box is not None):
        raise UserError("--features and --face-box tell how --identity looks: leave --no-identity")
    if face_box is not None:
        check_box(face_box)
    painter = load(model, device=device)
    if identity is None:
        faces = painter.settings.data.source in BOXES
        identity = faces or features is not None or face_box is not None
    network = _network(painter, features, face_box) if identity else None
    inputs = gather(painter, paths)
    tell(inputs.skipped)
    edit, examples = _edit(painter, attribute, method, keep, csv, having, lacking, source)
    skipped = [*inputs.skipped, *(examples.skipped if examples else ())]
    tell(skipped[len(inputs.skipped) :])
    both = edit.label is None or edit.other is not None
    if strength < 0 and not both:
        raise UserError(
            f"--strength {strength:g} leads away from the label {attribute!r}, and to which of the "
            f"other {len(painter.classes) - 1} is not said: take 0 to 2, or --method means"
        )
    levels = strengths(strength, steps, both=both)
    unedited = decode(painter, inputs.codes)
    made = edited(painter, inputs.codes, edit, levels)
    strip = give_back(made, unedited[:, None], inputs.pictures[:, None], detail)
    final = strip[:, -1]
    names = distinct(inputs.names)
    with explained("writing pictures", out):
        out.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, final, strict=True):
            images.save(picture, out / f"{Path(name).stem}_edited.png")
        rows: list[list[Tensor | None]] = [
            [original if real else None, *row]
            for original, real, row in zip(inputs.pictures, inputs.real, strip, strict=True)
        ][:SHOWN]
        real = any(inputs.real)
        shown = rows if real else [row[1:] for row in rows]
        words = [f"{level:+.2g}" if level else "0" for level in levels]
        headings = ["original", *words] if real else words
        images.save(sheet(shown, headings=headings, gaps=(1,) if real else ()), out / "sheet.png")
    at_rest = give_back(unedited, unedited, inputs.pictures, detail)
    labels = inputs.codes.labels
    labels = None if labels is None else labels.argmax(1)
    change = drift(painter, at_rest, labels, edit, levels, strip)
    report: dict[str, Any] = {
        "model": model,
        "attribute": attribute,
        "method": edit.method,
        "detail_given_back": detail,
        "examples": len(examples.pictures) if examples else 0,
        "unit": "half the way between the two classes, or one standard deviation; measured ones "
        "in their own: L* for brightness, chroma for colourfulness, degrees for skin_tone",
        "explained_by_probe": edit.probes.explained if edit.probes else {},
        "change_by_strength": change,
        "skipped": [{"name": name, "reason": reason} for name, reason in skipped],
    }
    if isinstance(network, IdentityNetwork):
        report["identity"] = _identity(painter, inputs, made, unedited, strip, change, network)
    elif network is not None:
        report["identity"] = {"missing": network}
    write_whole(out / "edit.json", json.dumps(report, indent=2) + "\n")
    print(f"{len(final)} pictures, {attribute} by {levels[-1]:+g}; sheet in {out / 'sheet.png'}")
    if "missing" in report.get("identity", {}):
        print(report["identity"]["missing"])
    return out / "edit.json"


def _edit(
    painter: PictureModel,
    attribute: str,
    method: str,
    keep: list[str] | None,
    csv: Path | None,
    having: Path | None,
    lacking: Path | None,
    source: str | None,
) -> tuple[Edit, Examples | None]:
    """Returns the edit and the examples from which it was learned; a label needs none."""
    known = ("auto", "means", "normal", "label")
    if method not in known:
        raise UserError(f"--method {method!r} is not known; {nearest(method, known)}")
    own = having is None and csv is None and source is None
    if method == "label" or (method == "auto" and own and attribute in painter.classes):
        if painter.conditional:
            if not own or keep:
                raise UserError(
                    f"{attribute!r} is edited by its label, which needs no examples and keeps no "
                    "attribute still: leave --csv, --with, --without, --source and --keep, or take "
                    "--method means"
                )
            return to_label(painter, attribute), None
        if method == "label":
            raise UserError("--method label needs a model that was trained with labels")
    examples: Examples
    if having is not None and lacking is not None:
        examples = two_folders(painter, having, lacking, attribute)
    else:
        examples = of_data(painter, source=source, table=csv)
    examples.column(attribute)
    if keep is None:
        drawn = (source or painter.settings.data.source).startswith("embedded:")
        # The classes are cut from attributes that are kept already.
        keep = [n for n in examples.exact if n not in painter.classes] if drawn and own else []
    edit = learn(
        painter, examples, attribute, keep=keep, method="means" if method == "auto" else method
    )
    return edit, examples


def _network(
    painter: PictureModel, features: Path | None, box: Box | None
) -> IdentityNetwork | str:
    """Returns what tells people apart.

    Without the weights of MobileFaceNet that is a sentence: the rest of the report stands alone.

    Raises:
        UserError: another network was named, and cannot be had.
    """
    if features is None and box is None:
        box = BOXES.get(painter.settings.data.source)
    try:
        return load_identity(
            "auto" if features is None else str(features), box=box, device=painter.device
        )
    except UserError as error:
        if features is not None:
            raise
        return str(error)


def _identity(
    painter: PictureModel,
    inputs: Inputs,
    made: Tensor,
    unedited: Tensor,
    detailed: Tensor,
    change: dict[str, Any],
    network: IdentityNetwork,
) -> dict[str, Any]:
    """Puts into the change of each strength how far faces moved; returns the measure used."""
    people = yardstick(painter, network, inputs.pictures)
    rows = kept(network, made, unedited, inputs.pictures, people, detailed)
    for entry, row in zip(change.values(), rows, strict=True):
        entry["identity"] = row
    report: dict[str, Any] = {"features": network.to_json()}
    if people is not None:
        report["random_people"] = people.to_json()
    return report
