"""A folder of made pictures beside a folder of real ones."""

from functools import partial
from pathlib import Path

from hiresvae.data.decode import Framing, attempt
from hiresvae.data.folders import read_file
from hiresvae.errors import UserError
from hiresvae.metrics.results import Figure
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


def measure_folders(fakes: Path, reference: Path, plan: Plan) -> tuple[list[Figure], Counts]:
    """Returns the figures of a folder's pictures beside a reference, and what was counted.

    Args:
        fakes: folder of made pictures.
        reference: folder of real ones.
        plan: what is wanted.

    Raises:
        UserError: a folder has too few pictures, or none.
    """
    # The made pictures decide the side: they are measured as they are, the real ones are resized.
    size = _side(fakes)
    with plan.timed("pictures"):
        made, real = (_opened(folder, size, plan) for folder in (fakes, reference))
    counts = {"pictures": len(made.train), "reference": len(real.train)}
    if min(counts.values()) < LEAST_PICTURES:
        raise UserError(
            f"{fakes} or {reference} has too few pictures: {LEAST_PICTURES} or more are needed"
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


def _opened(folder: Path, size: int, plan: Plan) -> Reals:
    """Returns the pictures of a folder in colour: one may be all grey and the other not."""
    from hiresvae.data import open_data
    from hiresvae.data.catalogue import as_source

    settings = DataSettings(source=as_source(folder), size=size, held_out=0.0, channels=3)
    return Reals.of(open_data(settings), size, plan.most, "reference")


def _side(folder: Path) -> int:
    """Returns the shorter side of the first readable picture in a folder, in pixels."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found = attempt(partial(read_file, path), Framing(8))
        if not isinstance(found, str):
            return min(max(min(found.size), 8), 2048)
    raise UserError(f"{folder} holds neither a model nor a picture")
