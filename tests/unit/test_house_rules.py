"""What no file of the project may name, and who may import whom.

The forbidden words are put together here from pieces, so that this file passes its own test.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.source import PRODUCT, PROJECT, circle_in, imports_of, room_of, rooms_of, texts_here

# ---- Words ----


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


def test_no_file_names_a_path_of_a_machine_or_a_package_registry() -> None:
    found = {
        f"{path.relative_to(PROJECT)}:{number}": hit.group()
        for path in project_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        for hit in FORBIDDEN.finditer(line)
    }
    assert found == {}


DRAWN: Final = sorted((PROJECT / "docs").glob("*.svg"))
MADE: Final = [*DRAWN, PROJECT / "docs/benchmarks.md"]
OF_THE_MAKING: Final = re.compile(
    r"\b20\d\d-\d\d-\d\d\b"  # a date
    r"|\b\d+\.\d+\.\d+\b"  # the version of a tool
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b"  # a random id
    r"|<!--"
)
"""docs/verified is made as well: it tells what AWS did on a day, with which versions, and nothing
holds it against another day's."""


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_a_file_that_is_made_tells_nothing_of_its_making(path: Path) -> None:
    assert OF_THE_MAKING.findall(path.read_text()) == []


# ---- Imports ----

SDK: Final = {"boto3", "botocore"}
OWN: Final = {name.removesuffix(".py") for name in PRODUCT}


def imported_by(tree: ast.AST) -> set[str]:
    """The top-level names that a module imports, wherever in it."""
    nodes = list(ast.walk(tree))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    from_ones = {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.partition(".")[0] for name in plain | from_ones}


class _AtRunTime(ast.NodeTransformer):
    """Leaves out what stands under `if TYPE_CHECKING`: Lambda never sees it."""

    def visit_If(self, node: ast.If) -> ast.AST:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return ast.Pass()
        return self.generic_visit(node)


def test_the_product_imports_only_itself_and_the_sdk() -> None:
    allowed = set(sys.stdlib_module_names) | SDK | OWN
    for path, text in texts_here(*PRODUCT).items():
        assert imported_by(_AtRunTime().visit(ast.parse(text))) <= allowed, path


def test_nothing_imports_the_handler() -> None:
    for path, text in texts_here(*PRODUCT, "ecs_emulator").items():
        assert "lambda_function" not in imported_by(ast.parse(text)), path


def test_the_emulator_knows_nothing_of_the_product() -> None:
    for path, text in texts_here("ecs_emulator").items():
        assert not imported_by(ast.parse(text)) & {*OWN, "demo", "tests"}, path


@pytest.mark.parametrize("package", ["ecs_task_recycle", "ecs_emulator"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert circle_in(imports_of(texts_here(package))) == []


# ---- Rooms, as in the page of the architecture ----

HANDLER: Final = {"lambda_function", "Notification", "AWSSession"}
STORY: Final = {"recycle", "segments", "actions"}
GROUND: Final = "ground"
"""All modules of the package that stand in no room, but for the story and the run."""

BELOW: Final = {
    "sweep": {"story", "run", "watch", "record", "aws", "settings", "report"},
    "report": {"run", "watch", "record", "settings"},
    "channels": {"report", "settings"},
    "story": {"before", "steps", "run", "watch", "record", "aws", "settings", "report"},
    "steps": {"before", "run", "watch", "record", "aws", "settings"},
    "before": {"run", "watch", "record", "aws", "settings"},
    "run": {"watch", "record", "aws", "settings"},
    "watch": {"aws"},
    "record": {"aws"},
    "aws": set(),
    "settings": set(),
    GROUND: set(),
}
"""What each part may import, besides itself and the ground."""


def part_of(module: str) -> str:
    room = room_of(module)
    if room in HANDLER:
        return "handler"
    if room in STORY:
        return "story"
    return room if room in BELOW else GROUND


def short(module: str) -> str:
    return module.removeprefix("ecs_task_recycle.")


def wrong_way() -> set[tuple[str, str]]:
    """The imports of the product that no arrow of the architecture allows."""
    return {
        (short(importer), short(imported))
        for importer, everything in imports_of(texts_here("ecs_task_recycle")).items()
        for imported in everything
        if part_of(imported) not in {part_of(importer), GROUND, *BELOW[part_of(importer)]}
    }


def test_imports_lead_down_and_never_up() -> None:
    assert sorted(wrong_way()) == []


def test_every_folder_has_its_place_in_the_direction() -> None:
    folders = {path.name for path in (PROJECT / "ecs_task_recycle").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} <= BELOW.keys()


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert circle_in(rooms_of(imports_of(texts_here("ecs_task_recycle")))) == []
