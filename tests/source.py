"""The project's Python as text: its modules, who imports whom, its functions, classes and lines.

It reads texts alone, so another commit can be measured as well as the files at hand.
"""

from __future__ import annotations

import ast
import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1]
PRODUCT: Final = ("lambda_function.py", "AWSSession.py", "Notification.py", "ecs_task_recycle")

type Texts = Mapping[str, str]
"""The text of each file by its path from the project's folder."""
type Imports = Mapping[str, set[str]]
"""The modules that each module imports, those for the type checker alone included."""
type Definition = ast.FunctionDef | ast.AsyncFunctionDef

WRITES: Final = frozenset(
    {
        "set_limits",
        "set_desired_count",
        "stop_task",
        "clear_protection",
        "write",
        "start_execution",
    }
)
"""Methods of the gateway, the table and Step Functions' client that change something in AWS."""


def texts_here(*places: str) -> dict[str, str]:
    """Return the Python files in folders, or the files themselves, as they are on the disk."""
    paths = [path for each in places for path in _paths(PROJECT / each)]
    return {path.relative_to(PROJECT).as_posix(): path.read_text() for path in paths}


def _paths(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def texts_at(revision: str, *places: str) -> dict[str, str]:
    """Return the same as they are in a commit, without checking it out."""
    command = ["git", "archive", "--format=tar", revision, "--", *places]
    made = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)  # noqa: S603
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        files = {each.name: archive.extractfile(each) for each in archive if each.isfile()}
        return {
            name: file.read().decode()
            for name, file in files.items()
            if file is not None and name.endswith(".py")
        }


@cache
def tree_of(text: str) -> ast.Module:
    """Parse a text once."""
    return ast.parse(text)


# ---- Imports and rooms ----


def module_name(path: str) -> str:
    """Return the dotted name of a file."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def room_of(module: str) -> str:
    """Return the first folder under the package, else the module's own name."""
    return module.split(".")[1 if "." in module else 0]


def imports_of(texts: Texts) -> Imports:
    """Return who imports whom among these files."""
    known = {module_name(path) for path in texts}
    return {module_name(path): _imported_by(text, known) for path, text in texts.items()}


def _imported_by(text: str, known: set[str]) -> set[str]:
    nodes = list(ast.walk(tree_of(text)))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    from_ones = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    named = [(str(node.module), name.name) for node in from_ones for name in node.names]
    # `from package import module` names the module alone.
    modules = {f"{a}.{b}" if f"{a}.{b}" in known else a for a, b in named}
    return (plain | modules) & known


def rooms_of(imports: Imports) -> dict[str, set[str]]:
    """Return which rooms import which others."""
    rooms: dict[str, set[str]] = {}
    for module, imported in imports.items():
        own = room_of(module)
        rooms.setdefault(own, set()).update({room_of(each) for each in imported} - {own})
    return rooms


def circle_in(imports: Imports) -> list[str]:
    """Return a circle of those that import each other, the first again at its end; or nothing."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as circle:
        return list(circle.args[1])
    return []


def floors_of(imports: Imports) -> int:
    """Return the length of the longest way down."""

    @cache
    def height(module: str) -> int:
        return 1 + max((height(each) for each in imports[module]), default=0)

    return max(height(each) for each in imports)


# ---- Functions and classes ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function and how many lines it has, its decorators and its docstring left out."""

    name: str
    place: str
    lines_count: int
    node: Definition

    def __str__(self) -> str:
        """Say where it is."""
        return f"{self.place} {self.name}"

    @property
    def called(self) -> set[str]:
        """The last names of what it calls, functions and methods alike."""
        calls = [each.func for each in ast.walk(self.node) if isinstance(each, ast.Call)]
        return {_last_name(each) for each in calls}

    @property
    def is_question(self) -> bool:
        """Whether its name asks something."""
        return self.name.lstrip("_").startswith(("is_", "has_", "may_"))

    @property
    def is_bool(self) -> bool:
        """Whether it returns a bool, or perhaps one."""
        return self.node.returns is not None and "bool" in names_in(self.node.returns)


def functions_of(texts: Texts) -> list[Function]:
    """Return the functions and methods of files."""
    return [
        Function(
            name=node.name,
            place=f"{path}:{node.lineno}",
            lines_count=_lines_count(node),
            node=node,
        )
        for path, text in texts.items()
        for node in ast.walk(tree_of(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _lines_count(node: Definition) -> int:
    first = node.body[0]
    docstring_lines = 0
    if ast.get_docstring(node, clean=False) is not None:
        docstring_lines = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines


def commands_of(functions: Sequence[Function], writes: frozenset[str] = WRITES) -> list[Function]:
    """Return the functions that write to AWS, by themselves or by what they call.

    What is called is known by its name alone. So a name that several functions have tells nothing,
    unless all of them write.
    """
    writing = set(writes)
    while True:
        found = [each for each in functions if each.called & writing]
        names = {each.name for each in found}
        quiet = {each.name for each in functions if each not in found}
        grown = writing | (names - quiet)
        if grown == writing:
            return found
        writing = grown


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """A class: whether its instances are values, and the parameters of its constructor."""

    name: str
    place: str
    is_value: bool
    parameters: Mapping[str, set[str]]
    """The names in each one's type."""

    def collaborators(self, classes: Mapping[str, Class]) -> list[str]:
        """Return the parameters that take one of these classes that is no value."""
        return [
            parameter
            for parameter, names in self.parameters.items()
            if any(name in classes and not classes[name].is_value for name in names)
        ]


def classes_of(texts: Texts) -> dict[str, Class]:
    """Return the classes of files by name."""
    return {
        node.name: Class(
            name=node.name,
            place=f"{path}:{node.lineno}",
            is_value=_is_value(node),
            parameters={name: names_in(kind) for name, kind in _parameters_of(node)},
        )
        for path, text in texts.items()
        for node in ast.walk(tree_of(text))
        if isinstance(node, ast.ClassDef)
    }


def _is_value(node: ast.ClassDef) -> bool:
    bases = {_last_name(each) for each in node.bases}
    is_frozen = any("frozen=True" in ast.unparse(each) for each in node.decorator_list)
    return is_frozen or any(each.endswith(("Enum", "Error", "Exception")) for each in bases)


def _parameters_of(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names and types of what a constructor has to be given, or may be."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            given = [*each.args.args, *each.args.kwonlyargs]
            yield from ((one.arg, one.annotation) for one in given if one.annotation is not None)
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        for each in node.body:
            if (
                isinstance(each, ast.AnnAssign)
                and isinstance(each.target, ast.Name)
                and each.value is None
            ):
                yield each.target.id, each.annotation


def names_in(node: ast.AST) -> set[str]:
    """Return the names in an annotation, also in one that is written as a text."""
    found = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return found | {name for each in texts if isinstance(each, str) for name in each.split(" | ")}


def _last_name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


# ---- Lines ----


def lines_of(texts: Texts) -> dict[str, int]:
    """Return how many lines are code, docstring, import, comment and blank; and all of them."""
    kinds = [kind for text in texts.values() for kind in _kinds(text)]
    names = ("code", "docstring", "import", "comment", "blank")
    return {name: kinds.count(name) for name in names} | {"all": len(kinds)}


def _kinds(text: str) -> list[str]:
    lines = text.splitlines()
    kinds = ["blank" if not each.strip() else "code" for each in lines]
    kinds = [
        "comment" if line.lstrip().startswith("#") else kind
        for line, kind in zip(lines, kinds, strict=True)
    ]
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            _mark(kinds, node, "import")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            _mark(kinds, node, "docstring")
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            kinds[node.lineno - 1] = "import"
    return kinds


def _mark(kinds: list[str], node: ast.stmt, kind: str) -> None:
    """Give the lines of a statement a kind; a blank line within a docstring stays blank."""
    for number in range(node.lineno - 1, node.end_lineno or node.lineno):
        if kinds[number] != "blank":
            kinds[number] = kind
