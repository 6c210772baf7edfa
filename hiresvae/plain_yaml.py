"""YAML as plain data: text, numbers, truth, lists and mappings, and nothing that surprises.

Scalars follow the core schema of YAML 1.2, not PyYAML's 1.1: ``4e-4`` is a number, ``no`` and
``1:30`` are text. Tags, aliases, repeated keys and deep nesting are refused, so that a file can
neither run anything nor grow beyond what one reads in it.
"""

import re
from pathlib import PurePath
from typing import Any

import yaml

from hiresvae.errors import UserError

MAX_DEPTH = 16  # sections go two deep, lists three

_CORE = "tag:yaml.org,2002:"
_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?\d+|0o[0-7]+|0x[\da-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own protocol
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        line = self.peek_event().start_mark.line + 1
        if self.check_event(yaml.AliasEvent):
            raise UserError(f"line {line}: aliases (*name) are not allowed; write the value again")
        if self.depth == MAX_DEPTH:
            raise UserError(f"line {line}: nested more than {MAX_DEPTH} deep")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # what is said twice is written twice: `read` takes no aliases

    def represent_path(self, path: PurePath) -> yaml.Node:
        return self.represent_text(str(path))

    def represent_list(self, values: list[Any]) -> yaml.Node:
        return self.represent_sequence(_CORE + "seq", values, flow_style=True)

    def represent_text(self, text: str) -> yaml.Node:
        # Rare breaks of lines survive only as escapes, which only double quotes have.
        style = '"' if _BREAKS.search(text) else None
        return self.represent_scalar(_CORE + "str", text, style=style)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(tuple, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_multi_representer(PurePath, _Dumper.represent_path)

for _name, (_pattern, _first) in _SCALARS.items():
    # \Z and ASCII: PyYAML only asks whether the start matches, and \d knows many scripts.
    _regexp = re.compile(rf"(?:{_pattern})\Z", re.A)
    _Loader.add_implicit_resolver(_CORE + _name, _regexp, _first)
    # Beside PyYAML's own: text that either schema takes for something else gets quotes.
    _Dumper.add_implicit_resolver(_CORE + _name, _regexp, _first)


def read(text: str) -> Any:
    r"""Returns what the YAML text says, as dict, list, str, int, float, bool and None only.

    Raises:
        UserError: no YAML, or more of YAML than this; names the line.

    Example:
        >>> read("lr: 4e-4\nprecision: no\nattention: [16, 8]")
        {'lr': 0.0004, 'precision': 'no', 'attention': [16, 8]}
    """
    try:
        loader = _Loader(text)
        return _plain(loader.get_single_node())
    except UserError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise UserError(f"{where}not valid YAML ({error.problem or error.context})") from None
    except yaml.YAMLError:
        raise UserError("not valid YAML (it has characters that are no text)") from None
    except (ValueError, OverflowError):
        raise UserError("not valid YAML (a number or a character beyond all bounds)") from None


def write(values: Any) -> str:
    r"""Returns YAML that `read` turns into the same values; keys in order, lists on one line.

    Paths become text and tuples become lists.

    Raises:
        UserError: a value that is no plain data.

    Example:
        >>> write({"name": "no", "sides": [16, 8]})
        "name: 'no'\nsides: [16, 8]\n"
    """
    try:
        return str(
            yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
        )
    except yaml.representer.RepresenterError as error:
        kind = type(error.args[-1]).__name__
        raise UserError(f"a {kind} is no plain value; give text, numbers, lists or null") from None


def _plain(node: yaml.Node | None) -> Any:
    if node is None:
        return None
    line = node.start_mark.line + 1
    kind = node.tag.removeprefix(_CORE)
    if isinstance(node, yaml.ScalarNode) and (kind in _SCALARS or kind == "str"):
        return _scalar(node.value, kind)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_plain(child) for child in node.value]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _mapping(node)
    raise UserError(f"line {line}: the tag {node.tag!r} is not allowed; write a plain value")


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"line {line}: a key must be a name, not a list or a mapping")
        name = _scalar(key.value, "str")
        if name in result:
            raise UserError(f"line {line}: the key {name!r} is given twice; keep one")
        result[name] = _plain(value)
    return result


def _scalar(text: str, kind: str) -> Any:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            number = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            most = 2**63 - 1
            if abs(number) > most:
                raise UserError(
                    f"{number} is beyond 64 bits; nearest is {max(-most, min(number, most))}"
                )
            return number
        case "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    text.encode()  # half of a surrogate pair is no text: ValueError
    return text
