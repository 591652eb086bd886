"""What no file of the project may name, and who may import whom.

The forbidden words are put together here from pieces, so that this file passes its own test.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

PROJECT: Final = Path(__file__).parents[2]


def joined(*pieces: str) -> str:
    return "".join(pieces)


MACHINE_PATHS: Final = [
    joined("/", folder, "/")
    for folder in ("root", "home", "Users", "workspace", "var/folders", "opt/pypi")
] + [
    joined("/", "work", "/"),
    joined("/", "tmp", "/"),
    joined("/", ".pyenv"),
]
REGISTRY_HOSTS: Final = [
    joined("py", "pi.org"),
    joined("python", "hosted.org"),
    joined("registry.", "npmjs"),
    joined("deb.", "debian.org"),
    joined("proxy.", "golang.org"),
    joined("repo.", "maven"),
    joined("index", "-url"),
    joined("find", "-links"),
]
# A path starts there, or it is the middle of another one: ./work/ and s3://b/home/ are no matter.
FORBIDDEN: Final = re.compile(
    r"(?<![\w.~$}-])(?:" + "|".join(map(re.escape, MACHINE_PATHS)) + ")"
    "|" + "|".join(map(re.escape, REGISTRY_HOSTS))
)

PRODUCT: Final = ["lambda_function", "AWSSession", "Notification", "ecs_task_recycle"]
FROM_LAMBDA: Final = {"boto3", "botocore"}
NEVER_SHIPPED: Final = {"ecs_emulator", "demo", "tests", "verify_aws"}


def project_files() -> list[Path]:
    """Every file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = (PROJECT / name for name in listed.stdout.split("\0") if name)
    return sorted(path for path in paths if path.is_file())


def forbidden_in(text: str) -> list[str]:
    return [
        f"line {number}: {found.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for found in FORBIDDEN.finditer(line)
    ]


def imported_by(source: str) -> set[str]:
    """The top-level names that a module imports; those within its own package are left out."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    from_ones = {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.partition(".")[0] for name in plain | from_ones}


def at_run_time(source: str) -> str:
    """Leave out what stands under `if TYPE_CHECKING`: Lambda never sees it."""
    return ast.unparse(ast.fix_missing_locations(_Unchecked().visit(ast.parse(source))))


class _Unchecked(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST:
        if ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            return ast.Pass()
        return self.generic_visit(node)


def sources_of(name: str) -> list[Path]:
    return (
        [PROJECT / f"{name}.py"]
        if (PROJECT / f"{name}.py").exists()
        else sorted((PROJECT / name).rglob("*.py"))
    )


def test_there_are_files_to_look_at() -> None:
    names = {path.name for path in project_files()}
    assert {"Makefile", "lambda_build.sh", "test_house_rules.py", "requirements.txt"} <= names


def test_no_file_names_a_path_of_a_machine_or_a_package_registry() -> None:
    found = {
        str(path.relative_to(PROJECT)): forbidden_in(path.read_text(errors="replace"))
        for path in project_files()
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("word", [*MACHINE_PATHS, *REGISTRY_HOSTS])
def test_each_forbidden_word_is_found_in_the_middle_of_a_line(word: str) -> None:
    assert forbidden_in(f"fine\nsee '{word}x' there") == [f"line 2: {word}"]


@pytest.mark.parametrize(
    "line",
    [
        joined("s3://bucket/", "tmp", "/x"),
        joined("./", "work", "/x"),
        joined("frame", "work", "/x"),
        joined("$HOME/", "tmp", "/x"),
        "/var/task/lambda_function.py",
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/x.html",
    ],
)
def test_an_innocent_line_is_left_alone(line: str) -> None:
    assert forbidden_in(line) == []


@pytest.mark.parametrize("name", PRODUCT)
def test_the_product_imports_only_what_lambda_brings(name: str) -> None:
    allowed = set(sys.stdlib_module_names) | FROM_LAMBDA | set(PRODUCT)
    for path in sources_of(name):
        assert imported_by(at_run_time(path.read_text())) <= allowed, path.name


def test_nothing_imports_the_handler() -> None:
    for name in (*PRODUCT[1:], "ecs_emulator"):
        for path in sources_of(name):
            assert "lambda_function" not in imported_by(path.read_text()), path.name


def test_the_emulator_knows_nothing_of_the_product() -> None:
    for path in sources_of("ecs_emulator"):
        assert not imported_by(path.read_text()) & {*PRODUCT, "demo", "tests"}, path.name


def modules_imported_by(source: str, known: set[str]) -> set[str]:
    """The modules among `known` that a module imports, for the type checker alone included."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    from_ones = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    modules = {str(node.module) for node in from_ones}
    members = {f"{node.module}.{name.name}" for node in from_ones for name in node.names}
    return (plain | modules | members) & known


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """A circle of modules that import each other, the first one again at its end; or nothing."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as circle:
        return list(circle.args[1])
    return []


def test_no_modules_of_the_emulator_import_each_other_in_a_circle() -> None:
    sources = {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): (
            path.read_text()
        )
        for path in sources_of("ecs_emulator")
    }
    known = set(sources)
    imports = {name: modules_imported_by(source, known) for name, source in sources.items()}
    assert circle_in(imports) == []


def test_a_circle_is_found_where_only_the_type_checker_closes_it() -> None:
    sources = {"p.a": "import p.b", "p.b": "if TYPE_CHECKING:\n    from p import a", "p": ""}
    imports = {name: modules_imported_by(text, set(sources)) for name, text in sources.items()}
    assert set(circle_in(imports)) == {"p.a", "p.b"}


@pytest.mark.parametrize(
    "source,names",
    [
        ("import a.b, c", {"a", "c"}),
        ("from a.b import c", {"a"}),
        ("from . import a\nfrom .b import c", set()),
        ("if x:\n    def f():\n        import ecs_emulator", {"ecs_emulator"}),
    ],
)
def test_an_import_is_found_wherever_it_stands(source: str, names: set[str]) -> None:
    assert imported_by(source) == names


def test_what_only_the_type_checker_imports_is_not_needed_in_lambda() -> None:
    source = "if TYPE_CHECKING:\n    import a\nif x:\n    import b"
    assert imported_by(source) == {"a", "b"}
    assert imported_by(at_run_time(source)) == {"b"}
