"""The arrow of imports, and that light modules stay light."""

import ast
import graphlib
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hiresvae

ROOT = Path(hiresvae.__file__).parent
BASE = (
    {"errors", "settings", "images", "colour", "seeding", "hub"}
    | {"batching", "held_memory", "pyramid", "plain_yaml", "checks", "checks_adversary"}
    | {"devices", "labelling", "model_folder", "paths", "section", "configuration"}
    | {"autoencoding", "adversarial"}
)  # fmt: skip
KNOW_NO_MODEL = {"data", "metrics", "run"}
# From the ground up; a room imports from its own floor and from those below.
FLOORS = [
    BASE,
    {"blocks"},
    {"distributions"},
    {"models", "priors"},
    {"adversary"},
    {"generator", "model_files"} | KNOW_NO_MODEL,
    {"training"},
    {"uses"},
    {"report", "explore"},
    {"commands"},
    {"cli", "cli_common", "cli_uses"},
    {"__main__"},
]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "hiresvae.")
    if not module.name.endswith("__main__")
)


def imports(path: Path, *, lazy: bool = True) -> set[str]:
    """Dotted modules of the package that a file imports; without lazy only at import time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree)) if lazy else tree.body
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: imports are absolute")
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= whole or {str(node.module)}
    return {name for name in found if name.startswith("hiresvae.")}


def room(dotted: str) -> str:
    return dotted.split(".")[1]


def files() -> list[tuple[str, Path]]:
    named = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = [p for p in path.relative_to(ROOT).with_suffix("").parts if p != "__init__"]
        if parts:
            named.append((".".join(["hiresvae", *parts]), path))
    return named


def test_every_room_has_a_floor():
    assert {room(name) for name, _ in files()} <= set().union(*FLOORS)


@pytest.mark.parametrize(("name", "path"), files(), ids=lambda part: str(part).split("/")[-1])
def test_imports_point_down(name, path):
    height = {r: level for level, rooms in enumerate(FLOORS) for r in rooms}
    for imported in imports(path):
        assert height[room(imported)] <= height[room(name)], f"{name} imports {imported}"
        if room(name) in KNOW_NO_MODEL:
            assert room(imported) in BASE | {room(name)}, f"{name} imports {imported}"


def test_no_circles():
    graph = {name: imports(path, lazy=False) for name, path in files()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) >= len(graph)


@pytest.mark.parametrize("name", MODULES)
def test_module_is_importable_and_says_what_it_is(name):
    module = importlib.import_module(name)
    assert module.__doc__ or not module.__file__.endswith("__init__.py")


def test_the_package_names_resolve():
    # `load` and `train` bring torch and accelerate: their homes are checked, not run.
    assert hiresvae.UserError.__module__ == "hiresvae.errors"
    assert hiresvae.Settings().data.size > 0
    for home in hiresvae._HOMES.values():
        assert home in MODULES
    with pytest.raises(AttributeError, match="sampel"):
        _ = hiresvae.sampel


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("hiresvae", {"torch", "numpy", "pydantic", "typer", "yaml", "rich", "PIL"}),
        ("hiresvae.cli", {"torch", "numpy", "pydantic", "yaml", "rich", "PIL", "scipy"}),
        ("hiresvae.configuration", {"torch", "numpy", "PIL", "scipy", "rich", "matplotlib"}),
        ("hiresvae.commands.data", {"torch", "numpy", "PIL", "scipy", "matplotlib"}),
    ],
)
def test_light_modules_stay_light(module, absent):
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())
