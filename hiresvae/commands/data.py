"""``hiresvae data``: what is in a source of pictures, in words and as a sheet."""

from pathlib import Path
from typing import TYPE_CHECKING

from hiresvae.configuration import validate
from hiresvae.errors import UserError, nearest, printable

if TYPE_CHECKING:
    from torch import Tensor

    from hiresvae.data import PictureData

COLUMNS = 8
ROWS = 8  # of a sheet without labels; with labels each has its row


def run(
    source: str,
    *,
    out: Path | None = None,
    size: int = 64,
    labels: str = "none",
    limit: int | None = None,
) -> "PictureData":
    """Opens a source as training would, prints what is in it, and returns it.

    Args:
        source: as in ``data.source``.
        out: file of a sheet of pictures, a row a label where there are labels; None for no sheet.
        size: side of the pictures in pixels.
        labels: as in ``data.labels``.
        limit: at most so many pictures.

    Raises:
        UserError: no such source, labels that it does not have, a sheet that cannot be written.
    """
    from hiresvae import images
    from hiresvae.data import open_data

    section = {"source": source, "size": size, "labels": labels, "limit": limit}
    settings = validate({"data": section}).data
    if out is not None and out.suffix.lstrip(".").lower() not in images.FORMATS:
        raise UserError(
            f"--out {str(out)!r} is no kind of picture: "
            f"{nearest(out.suffix, ['.' + name for name in images.FORMATS])}"
        )
    data = open_data(settings)
    print(printable("\n".join(_lines(data))))
    if out is not None:
        try:
            images.save(images.grid(sheet(data), columns=COLUMNS), out)
        except OSError as error:
            raise UserError(f"cannot write {str(out)!r}: {error.strerror or error}") from None
        print(f"sheet written to {out}")
    return data


def sheet(data: "PictureData") -> "Tensor":
    """Returns the pictures of a sheet, uint8 ``(N, C, H, W)``, in rows of `COLUMNS`.

    Without labels they are spread evenly over the source; with labels each has a row, filled up
    with white where it has too few pictures.
    """
    import numpy as np
    import torch

    def spread(indices: "np.ndarray", count: int) -> "np.ndarray":
        places = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
        return np.asarray(data.pictures[indices[places]])

    if data.labels is None:
        return torch.from_numpy(spread(np.arange(len(data.pictures)), ROWS * COLUMNS))
    pictures = np.full((len(data.classes) * COLUMNS, *data.pictures.shape[1:]), 255, dtype=np.uint8)
    for label in range(len(data.classes)):
        row = spread(np.flatnonzero(data.labels == label), COLUMNS)
        pictures[label * COLUMNS : label * COLUMNS + len(row)] = row
    return torch.from_numpy(pictures)


def _lines(data: "PictureData") -> list[str]:
    labels = [f"label {name}: {count} pictures" for name, count in data.report.classes.items()]
    skipped = [f"skipped {name}: {reason}" for name, reason in data.report.skipped]
    return [data.describe(), *labels, *skipped]
