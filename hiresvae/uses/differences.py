"""In what the settings of several models differ, in words."""

from collections.abc import Sequence
from typing import Any

from hiresvae.settings import Settings

ABSENT = "-"


def setting_differences(settings: Sequence[Settings]) -> list[tuple[str, list[Any]]]:
    """Returns dotted keys and each one's value wherever settings are not the same for all.

    Of a section that one of them has not at all, the keys that others left at their defaults are
    left out. The name is no difference.
    """
    flat = [_flat(one) for one in settings]
    whole = [one.model_dump(mode="json") for one in settings]
    optional = {key for one in whole for key, value in one.items() if value is None}
    rows = []
    for key in dict.fromkeys(key for one in flat for key in one):
        values = [one.get(key, ABSENT) for one in flat]
        section = key.partition(".")[0]
        if key == "name" or all(value == values[0] for value in values):
            continue
        if "." in key and section in optional and _all_default(key, values, settings):
            continue
        rows.append((key, values))
    return rows


def sees(settings: Settings) -> str:
    """Returns in words what a model's encoder sees of a picture that it is to make."""
    corruption = settings.corruption
    if corruption is None:
        return "the pictures themselves"
    if corruption.kind == "pairs":
        return f"the corrupted pictures of {corruption.inputs}"
    amount = f"share {corruption.share:g}"
    if corruption.kind == "gaussian":
        amount = f"sigma {corruption.sigma:g}"
    elif corruption.kind == "masking":
        amount += f" in squares of {corruption.blocks} px"
    return f"the pictures with noise on them ({corruption.kind}, {amount})"


def _flat(settings: Settings) -> dict[str, Any]:
    """Returns values by dotted key; a section that may be absent is ``present`` or None."""
    out: dict[str, Any] = {}
    for key, value in settings.model_dump(mode="json").items():
        if not isinstance(value, dict):
            out[key] = value
            continue
        if Settings.model_fields[key].default is None:
            out[key] = "present"
        out |= {f"{key}.{name}": inner for name, inner in value.items()}
    return out


def _all_default(key: str, values: Sequence[Any], settings: Sequence[Settings]) -> bool:
    section, _, name = key.partition(".")
    found = [getattr(one, section) for one in settings]
    default = next(type(one)().model_dump(mode="json")[name] for one in found if one is not None)
    return all(value in (ABSENT, default) for value in values)
