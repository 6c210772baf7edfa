"""From a YAML file and `--set` to `Settings`; every mistake becomes one sentence."""

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hiresvae import plain_yaml
from hiresvae.checks import check
from hiresvae.errors import UserError, nearest
from hiresvae.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

MAX_BYTES = 1_000_000
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WORDS |= {type(None): "null"}


class SettingsError(UserError):
    """One mistake in the settings and the dotted key where it is."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


class Row(NamedTuple):
    """One setting as `--help-settings` shows it: dotted key, default, valid values, meaning."""

    key: str
    default: str
    valid: str
    meaning: str


def load_settings(
    path: str | Path, overrides: Iterable[str] | Mapping[str, Any] | None = None
) -> Settings:
    """Returns the settings of a YAML file, changed by the overrides and checked as a whole.

    Args:
        path: a YAML file; what it leaves out has its default.
        overrides: ``["data.size=64", ...]`` with values as in YAML, or ``{"data.size": 64}``. A
            section that is absent is made; ``adversary=null`` removes one.

    Raises:
        UserError: no such file, no YAML, an unknown key, a value of the wrong type or outside its
            range, or settings that exclude one another.
    """
    if isinstance(overrides, Mapping):
        given, changes = "overrides", {str(k): _plain(k, v) for k, v in overrides.items()}
    else:
        given, changes = "--set", parse_overrides(overrides or [])
    raw = _read(Path(path))
    for key, value in changes.items():
        _put(raw, key, value)
    try:
        settings = validate(raw)
    except SettingsError as mistake:
        key = mistake.key
        changed = any(key == k or key.startswith((f"{k}.", f"{k}[")) for k in changes)
        raise UserError(f"{given if changed else path}: {mistake}") from None
    check(settings)
    return settings


def validate(raw: Mapping[str, Any]) -> Settings:
    """Returns the settings of nested plain values, each checked by itself, not yet as a whole.

    Raises:
        SettingsError: an unknown key or a value that its key does not allow.

    Example:
        >>> validate({"data": {"size": 32}}).data.size
        32
    """
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        raise _mistake(error) from None


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """Returns ``{"a.b": v}`` for words ``a.b=v``; v is read as YAML, the last one counts.

    Example:
        >>> parse_overrides(["training.lr=4e-4", "adversary=null", "model.attention=[16, 8]"])
        {'training.lr': 0.0004, 'adversary': None, 'model.attention': [16, 8]}
    """
    changes: dict[str, Any] = {}
    for word in words:
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals or not key:
            missing = "key" if equals else "value"
            raise UserError(f"--set {word!r} has no {missing}; write KEY=VALUE")
        try:
            changes.pop(key, None)  # the order of the last mention is the one that counts
            changes[key] = plain_yaml.read(value)
        except UserError as error:
            raise UserError(f"--set {word!r}: {error}") from None
    return changes


def dump_settings(settings: Settings) -> str:
    """Returns the settings as YAML that `load_settings` reads back to the same."""
    return plain_yaml.write(settings.model_dump(mode="json"))


def settings_rows() -> list[Row]:
    """Returns one row a setting, in the order of a configuration."""
    return [
        Row(key, _show(field.get_default()), _wanted(field), field.description or "")
        for key, field in _fields(Settings)
        if _section(field) is None
    ]


def settings_table() -> "Table":
    """Returns the table that `hiresvae train --help-settings` prints."""
    from rich.table import Table

    table = Table("key", "default", "valid", "meaning", box=None, pad_edge=False)
    for row in settings_rows():
        table.add_row(*(text.replace("[", r"\[") for text in row))
    return table


def _read(path: Path) -> dict[str, Any]:
    """Returns the file as a mapping of sections; an empty file is an empty mapping."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a YAML file such as {path / 'config.yaml'}")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than 1 MB, too large for settings; is it a picture?")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"no configuration {str(path)!r}; {_neighbours(path)}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; name a YAML file") from None
    except UserError:
        raise
    except ValueError:  # a name that no file can have
        raise UserError(f"no configuration {str(path)!r}") from None
    try:
        raw = plain_yaml.read(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds {_show(raw)}, but settings are sections such as 'data:'")
    return raw


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {str(folder)!r}"
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".yaml", ".yml"))
    return nearest(path.name, names) if names else f"{str(folder)!r} holds no YAML file"


def _plain(key: object, value: Any) -> Any:
    """Returns a value from Python as a file would give it, so that it can be written to one."""
    try:
        return plain_yaml.read(plain_yaml.write(value))
    except UserError as error:
        raise UserError(f"overrides: {key}: {error}") from None


def _put(raw: dict[str, Any], dotted: str, value: Any) -> None:
    """Sets one key of nested mappings; sections on the way that are absent are made."""
    *path, last = dotted.split(".")
    place = raw
    for depth, name in enumerate(path, start=1):
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
        if not isinstance(place, dict):
            section = ".".join(path[:depth])
            raise UserError(f"--set {dotted}: {section!r} is {_show(place)}, which has no keys")
    place[last] = value


def _mistake(error: ValidationError) -> SettingsError:
    """Returns the first mistake; misspelt keys go first, they may be the cause of others."""
    first = min(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        return _unknown([str(part) for part in first["loc"]])
    key, field = _place(first)
    value = _show(first["input"])
    wanted = _kind(get_args(field.annotation)[0]) if key.endswith("]") else _wanted(field)
    hint = _hint(first, field)
    return SettingsError(key, f"{key} is {value}, but must be {wanted}{hint and '; ' + hint}")


def _unknown(loc: list[str]) -> SettingsError:
    """Returns the words for a key that no section knows, with the likeliest that one does."""
    key = ".".join(loc)
    known = [tuple(name.split(".")) for name, _ in _fields(Settings)]
    siblings = [parts[-1] for parts in known if list(parts[:-1]) == loc[:-1]]
    close = difflib.get_close_matches(loc[-1], siblings, n=1)
    near = [".".join([*loc[:-1], *close])] if close else []
    near = near or [".".join(parts) for parts in known if parts[-1] == loc[-1]]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else nearest(loc[-1], siblings)
    return SettingsError(key, f"unknown key {key!r}: {hint}")


def _place(detail: ErrorDetails) -> tuple[str, FieldInfo]:
    """Returns the dotted key and the field of a mistake; what follows the field is its part."""
    known = dict(_fields(Settings))
    loc = [str(part) for part in detail["loc"]]
    parts = next(loc[:n] for n in range(len(loc), 0, -1) if ".".join(loc[:n]) in known)
    key = ".".join(parts)
    rest = detail["loc"][len(parts) :]
    # A list that is too short has no part to show, so the whole of it is at fault.
    indices = [part for part in rest if isinstance(part, int) and detail["type"] != "missing"]
    return key + "".join(f"[{index}]" for index in indices), known[key]


def _hint(detail: ErrorDetails, field: FieldInfo) -> str:
    """Returns the nearest valid value in words, or nothing where none is near."""
    value, bounds = detail["input"], detail.get("ctx") or {}
    for bound in ("ge", "le"):
        if bound in bounds:
            return f"nearest is {bounds[bound]}"
    if detail["type"] == "quoted":
        return "leave out the quotes"
    if field.annotation is str and isinstance(value, bool | int | float):
        return f"put it in quotes: '{_show(value)}'"
    if detail["type"] == "string_pattern_mismatch":
        allowed = re.sub(r"[^\w.-]+", "-", value).strip(".-")[:100]
        return f"nearest is {allowed!r}" if allowed else ""
    choices = [choice for choice in _choices(field.annotation) if isinstance(choice, str)]
    if isinstance(value, str) and choices:
        near = nearest(value, choices)
        return near if near.startswith("did") else ""
    if _section(field) is not None and value is None:
        return "leave it out for the defaults"
    return ""


def _fields(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        yield prefix + name, field
        inner = _section(field)
        if inner is not None:
            yield from _fields(inner, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """Returns the section that a key holds, also where it may be absent, or None."""
    kinds = get_args(field.annotation) or (field.annotation,)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _choices(annotation: Any) -> list[Any]:
    """Returns all named values in an annotation, at any depth."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _wanted(field: FieldInfo) -> str:
    """Returns what a key may hold, in words, such as 'a whole number from 8 to 2048'."""
    section = _section(field)
    if section is not None:
        return f"a section with keys such as {next(iter(section.model_fields))!r}"
    limits = {
        name: getattr(rule, name)
        for rule in field.metadata
        for name in ("ge", "gt", "le", "pattern", "min_length")
        if getattr(rule, name, None) is not None
    }
    words = _kind(field.annotation)
    bare = words.removesuffix(" or null")
    absent = words[len(bare) :]
    match limits:
        case {"ge": low, "le": high}:
            bare = f"{bare} from {low} to {high}"
        case {"ge": low}:
            bare = f"{bare} of {low} or more"
        case {"gt": low}:
            bare = f"{bare} above {low}"
        case {"pattern": _}:  # the one pattern there is: a name that any disk takes
            bare = f"{bare} of letters, digits, '_', '.' and '-'"
        case {"min_length": _}:
            bare = f"{bare}; not empty"
    return bare + absent


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(_show(choice) for choice in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(part) for part in parts)
    if origin is list:
        return f"a list, each {_kind(parts[0])}"
    if origin is tuple:
        return f"a list of {len(parts)}, each {_kind(parts[0])}"
    return _WORDS.get(annotation, str(annotation))


def _show(value: Any) -> str:
    """Returns a value as YAML would have it, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, BaseModel):
        return "a section"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a number beyond all bounds"  # Python refuses to print the longest ones
    text = ascii(value) if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
