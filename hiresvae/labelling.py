"""What `data.labels` says, taken apart once for all who need to know."""

import re
from typing import NamedTuple

from hiresvae.errors import UserError, nearest

CLUSTERS = range(2, 1001)
VALID = ("none", "folders", "set", "csv:FILE:COLUMN", "clusters:8")


class Labelling(NamedTuple):
    """Where classes come from.

    Attributes:
        kind: none, folders, set, csv or clusters.
        file: of csv, as it was written.
        column: of csv.
        clusters: their number, 0 for all other kinds.
    """

    kind: str
    file: str = ""
    column: str = ""
    clusters: int = 0


def parse_labels(labels: str, limit: int | None = None) -> Labelling:
    r"""Returns the parts of ``data.labels``.

    Args:
        labels: none, folders, set, csv:FILE:COLUMN or clusters:K.
        limit: ``data.limit``; there cannot be more clusters than pictures.

    Raises:
        UserError: it is none of these, or K is no number of clusters.

    Example:
        >>> parse_labels(r"csv:C:\labels.csv:style")
        Labelling(kind='csv', file='C:\\labels.csv', column='style', clusters=0)
    """
    kind, _, rest = labels.partition(":")
    if labels in ("none", "folders", "set"):
        return Labelling(labels)
    if kind == "clusters":
        return Labelling(kind, clusters=_clusters(labels, rest, limit))
    if kind == "csv":
        file, _, column = rest.rpartition(":")
        if not file or not column:
            raise UserError(
                f"data.labels is {labels!r}, but needs a file and a column: 'csv:FILE:COLUMN'"
            )
        return Labelling(kind, file, column)
    raise UserError(f"data.labels {labels!r} is unknown: {nearest(labels, VALID)}")


def _clusters(labels: str, number: str, limit: int | None) -> int:
    if not re.fullmatch(r"\d{1,9}", number, re.ASCII):
        raise UserError(
            f"data.labels is {labels!r}, but the number of clusters is missing or no number; "
            "nearest valid: 'clusters:8'"
        )
    count = int(number)
    most = CLUSTERS[-1] if limit is None else max(CLUSTERS[0], min(CLUSTERS[-1], limit))
    if not CLUSTERS[0] <= count <= most:
        bound = CLUSTERS[0] if count < CLUSTERS[0] else most
        because = f" (data.limit is {limit})" if limit is not None and bound == limit else ""
        raise UserError(
            f"data.labels is {labels!r}, but clusters may be {CLUSTERS[0]} to {most}{because}; "
            f"nearest valid: 'clusters:{bound}'"
        )
    return count
