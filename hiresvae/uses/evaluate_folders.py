"""A folder of made pictures beside a folder of real ones."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hiresvae.errors import UserError, printable
from hiresvae.metrics.results import Figure
from hiresvae.paths import user_path
from hiresvae.settings import DataSettings
from hiresvae.uses.figures import Counts, patches_floor
from hiresvae.uses.groups import (
    RealFeatures,
    complete,
    feature_groups,
    features_of,
    floors,
    pixel_groups,
    real_features,
)
from hiresvae.uses.memory_figures import memory_pixels
from hiresvae.uses.plan import LEAST_PICTURES, Plan
from hiresvae.uses.reals import Reals

if TYPE_CHECKING:
    from hiresvae.data import PictureData


def measure_folders(fakes: Path, reference: Path, plan: Plan) -> tuple[list[Figure], Counts]:
    """Returns the figures of a folder's pictures beside a reference, and what was counted.

    Args:
        fakes: folder of made pictures.
        reference: folder of real ones, archive, or the name of a set.
        plan: what is wanted; gets the side at which was measured, and notes.

    Raises:
        UserError: a folder has too few pictures, or none.
    """
    # The made pictures decide the side: most are measured as they are, the real ones are resized.
    sides = _sides(fakes)
    plan.size = size = _commonest(sides, fakes)
    with plan.timed("pictures"):
        opened = [_open(folder, size) for folder in (fakes, reference)]
        made, real = (Reals.of(data, size, plan.most, "reference") for data in opened)
    told = [(fakes, one) for one in (*_resized(sides, size), *_skipped(opened[0]))]
    told += [(reference, one) for one in (*_resized_reals(opened[1], size), *_skipped(opened[1]))]
    plan.notes += [printable(f"{folder}: {words}") for folder, words in told]
    counts = {"pictures": len(made.train), "reference": len(real.train)}
    if min(counts.values()) < LEAST_PICTURES:
        few, count = min(zip((fakes, reference), counts.values(), strict=True), key=lambda x: x[1])
        raise UserError(f"{few} has {count} picture(s): {LEAST_PICTURES} or more are needed")
    for part, why in (("paired", "have no pairs"), ("likelihood", "have no model")):
        if plan.wants(part):
            plan.notes.append(f"{part} was left out: two folders of pictures {why}")
    if fakes.resolve().is_relative_to(user_path(reference, "--reference").resolve()):
        plan.notes.append(f"{fakes} lies in {reference}: its pictures count as real ones, too")
    for folder, data in zip((fakes, reference), opened, strict=True):
        if len(data.train) > plan.most:
            plan.notes.append(
                f"{folder}: {plan.most} of {len(data.train)} pictures were drawn and measured; "
                f"--samples {len(data.train)} takes them all"
            )
    if any(path.suffix.lower() in (".jpg", ".jpeg") for path in fakes.rglob("*")):
        plan.notes.append(
            f"{fakes} holds JPEG files: compression changes sharpness, spectrum and FID; measure "
            "PNG files of the same pictures"
        )
    figures = pixel_groups("pictures", made.train, real.train, counts, plan)
    if plan.wants("patches"):
        figures += patches_floor(real.train, None, plan.seed)
    if plan.wants("memory"):
        with plan.timed("memory"):
            figures += memory_pixels(
                "pictures", made.train, real.blocks(), None, {**counts, "reference": real.total},
                plan.seed,
            )  # fmt: skip
    if plan.network is None:
        return figures, counts
    with plan.timed("reference_features"):
        of_real = real_features(real.train, plan.network)
    with plan.timed("features"):
        of_made = features_of(made.train, plan.network)
    known = RealFeatures(of_real, None, complete(len(of_real), real.total, plan))
    figures += feature_groups("pictures", of_made, known, plan.network, counts, plan)
    return figures + floors(of_real, plan.network, plan), counts


def _open(folder: Path, size: int) -> "PictureData":
    """Returns the pictures of a folder in colour: one may be all grey and the other not."""
    from hiresvae.data import open_data
    from hiresvae.data.catalogue import reference_source

    settings = DataSettings(source=reference_source(folder), size=size, held_out=0.0, channels=3)
    return open_data(settings)


def _sides(folder: Path) -> Counter[int]:
    """Returns how many pictures below a folder have which shorter side, by their headers."""
    from hiresvae.data.decode import header_size
    from hiresvae.data.folders import walk

    sizes = (header_size(path) for path in walk(folder).files.values())
    return Counter(min(size) for size in sizes if size is not None)


def _commonest(sides: Counter[int], folder: Path) -> int:
    """Returns the side that most pictures have, of several such the smallest, within bounds."""
    if not sides:
        raise UserError(f"{folder} holds neither a model nor a picture")
    side = min(sides, key=lambda side: (-sides[side], side))
    return min(max(side, 8), 2048)


def _resized(sides: Counter[int], size: int) -> list[str]:
    """Returns a sentence about pictures of another side than is measured, if there are any."""
    smaller = sum(count for side, count in sides.items() if side < size)
    larger = sum(count for side, count in sides.items() if side > size)
    if not smaller + larger:
        return []
    of, span = sides.total(), f"{min(sides)} to {max(sides)} px"
    return [
        f"shorter sides are {span}; {smaller} of {of} pictures were enlarged to {size} px and "
        f"{larger} reduced to it, which changes sharpness, spectrum and FID"
    ]


def _resized_reals(data: "PictureData", size: int) -> list[str]:
    """Returns sentences about real pictures that had to be brought to the side of the made ones."""
    sides = [min(found) for found in data.report.sizes.values()]
    told = []
    if min(sides) < size:
        told.append(
            f"real pictures were enlarged to {size} px (from {min(sides)} px) and are blurred: "
            "figures favour what is blurred, too"
        )
    if max(sides) > size:
        told.append(
            f"real pictures were reduced to {size} px (from {max(sides)} px): made pictures are "
            "compared with what is sharp at that side"
        )
    return told


def _skipped(data: "PictureData") -> list[str]:
    """Returns a sentence about files that are no pictures or broken, if there are any."""
    skipped = data.report.skipped
    if not skipped:
        return []
    name, reason = skipped[0]
    return [f"{len(skipped)} of {data.report.found} files were skipped, first {name} ({reason})"]
