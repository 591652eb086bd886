"""The emulator's house: rooms of at most ten modules, and neither files nor rooms in a circle."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import is_dataclass
from graphlib import TopologicalSorter
from inspect import signature
from pathlib import Path
from typing import Final

from ecs_emulator import World

PROJECT: Final = Path(__file__).parents[2]
PACKAGE: Final = "ecs_emulator"
MOST_MODULES: Final = 10
MOST_COLLABORATORS: Final = 6


def modules() -> dict[str, Path]:
    """Every module by its name; the two entrances, which nobody inside imports, left out."""
    paths = [p for p in (PROJECT / PACKAGE).rglob("*.py") if not p.name.startswith("__")]
    return {".".join(path.relative_to(PROJECT).with_suffix("").parts): path for path in paths}


def imports_of(path: Path, known: set[str]) -> set[str]:
    """The modules that one imports, those for the type checker alone included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return found & known


def room_of(module: str) -> str:
    """A module's folder; one that lies in no folder is a room by itself."""
    folder = module.rpartition(".")[0]
    return module if folder == PACKAGE else folder


def imports() -> dict[str, set[str]]:
    found = modules()
    return {name: imports_of(path, set(found)) for name, path in found.items()}


def test_no_module_and_no_room_imports_itself_in_a_circle() -> None:
    between_modules = imports()
    between_rooms: dict[str, set[str]] = {}
    for module, imported in between_modules.items():
        rooms = {room_of(each) for each in imported} - {room_of(module)}
        between_rooms.setdefault(room_of(module), set()).update(rooms)
    assert len(between_rooms) > 8
    for graph in (between_modules, between_rooms):
        TopologicalSorter(graph).prepare()  # raises CycleError and names the circle


def test_a_room_has_at_most_ten_modules() -> None:
    sizes = Counter(module.rpartition(".")[0] for module in modules())
    assert {room: count for room, count in sizes.items() if count > MOST_MODULES} == {}


def test_a_world_is_made_of_parts_with_few_collaborators() -> None:
    assert World.__mro__ == (World, object)
    parts = {type(part) for part in vars(World()).values()}
    ours = {
        each for each in parts if each.__module__.startswith(PACKAGE) and not is_dataclass(each)
    }
    assert len(ours) > 10
    assert {part for part in ours if len(signature(part).parameters) > MOST_COLLABORATORS} == set()
