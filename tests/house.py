"""What the engine's house measures, side by side with another commit.

`python -m tests.house --against REV` prints both; without it, the files at hand alone. Frames take
a minute a column; `--no-frames` leaves them out.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from statistics import median
from typing import Final

from tests import frames
from tests.source import (
    PROJECT,
    Class,
    Function,
    Texts,
    circle_in,
    classes_of,
    commands_of,
    floors_of,
    functions_of,
    imports_of,
    lines_of,
    rooms_of,
    texts_at,
    texts_here,
    tree_of,
)

ENGINE: Final = "ecs_task_recycle"
DELAYS: Final = re.compile(r"DELAYS")
RETRIES: Final = {"retry", "_retry", "_write_patiently", "patiently"}

type Figures = Mapping[str, str]


def figures_of(texts: Texts) -> Figures:
    """Return what the engine's modules measure, by name."""
    imports = {
        name: imported for name, imported in imports_of(texts).items() if name.startswith(ENGINE)
    }
    functions, classes = functions_of(texts), classes_of(texts)
    return {
        **_shape(texts, imports),
        **{f"lines, {name}": f"{count:,}" for name, count in lines_of(texts).items()},
        **_of_functions(functions),
        **_of_classes(classes),
        **_retries(texts),
    }


def _shape(texts: Texts, imports: Mapping[str, set[str]]) -> Figures:
    modules = [path for path in map(PurePath, texts) if path.name != "__init__.py"]
    rooms = Counter(
        path.parent.relative_to(ENGINE).as_posix()
        for path in modules
        if path.is_relative_to(ENGINE)
    )
    flat = rooms.pop(".", 0)
    longest = max(texts, key=lambda path: len(texts[path].splitlines()))
    return {
        "modules": str(len(modules)),
        "modules in no room": str(flat),
        "rooms": str(len(rooms)),
        "modules in the fullest room": str(max(rooms.values(), default=0)),
        "longest module": f"{len(texts[longest].splitlines())} {PurePath(longest).name}",
        "import floors": str(floors_of(imports)),
        "circles": " > ".join(circle_in(imports)) or "none",
        "circles of rooms": " > ".join(circle_in(rooms_of(imports))) or "none",
    }


def _of_functions(functions: Sequence[Function]) -> Figures:
    longest = max(functions, key=lambda each: each.lines_count)
    commands = commands_of(functions)
    with_bool = sorted(each.name for each in commands if each.is_bool)
    return {
        "functions": str(len(functions)),
        "median function": f"{median(each.lines_count for each in functions):g}",
        "longest function": f"{longest.lines_count} {longest.name}",
        "commands": str(len(commands)),
        "commands that return a bool": f"{len(with_bool)} {', '.join(with_bool)}",
        "questions that write": str(sum(each.is_question for each in commands)),
    }


def _of_classes(classes: Mapping[str, Class]) -> Figures:
    collaborators = {name: len(each.collaborators(classes)) for name, each in classes.items()}
    widest = max(collaborators, key=lambda name: collaborators[name])
    values = sum(each.is_value for each in classes.values())
    longest = max(classes.values(), key=lambda each: len(each.parameters))
    return {
        "classes": f"{len(classes)}, {values} of them values",
        "widest constructor, collaborators": f"{collaborators[widest]} {widest}",
        "widest constructor, required": f"{len(longest.parameters)} {longest.name}",
    }


def _retries(texts: Texts) -> Figures:
    nodes = [(path, node) for path, text in texts.items() for node in ast.walk(tree_of(text))]
    called = [
        str(getattr(each.func, "attr", getattr(each.func, "id", "")))
        for _, each in nodes
        if isinstance(each, ast.Call)
    ]
    delays = {
        (path, ast.unparse(each.target))
        for path, each in nodes
        if isinstance(each, ast.AnnAssign)
        and DELAYS.search(ast.unparse(each.target))
        and each.value is not None
    }
    return {
        "places that retry": str(sum(name in RETRIES for name in called)),
        "tuples of delays": str(len(delays)),
    }


def frames_of(revision: str | None) -> Figures:
    """Return how many frames of the engine lie before each AWS call, the files' or a commit's."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = PROJECT
        if revision is not None:
            folder = Path(temporary)
            made = subprocess.run(  # noqa: S603
                ["git", "archive", revision],  # noqa: S607
                cwd=PROJECT,
                check=True,
                capture_output=True,
            )
            with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
                archive.extractall(folder, filter="data")
            # What measures is of today; what is measured is of then.
            (folder / "tests/frames.py").write_bytes(Path(frames.__file__).read_bytes())
        ran = subprocess.run(
            [sys.executable, "-m", "tests.frames"],
            cwd=folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    if ran.returncode:
        # What measures no longer knows the house of then.
        return {}
    ways = json.loads(ran.stdout)
    return {f"frames to {name}": str(len(ways[name])) for name in sorted(ways)}


def table_of(columns: Mapping[str, Figures]) -> str:
    """Return figures side by side."""
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    rows = [["", *columns], *([name, *_cells(columns, name)] for name in names)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _cells(columns: Mapping[str, Figures], name: str) -> list[str]:
    return [figures.get(name, "-") for figures in columns.values()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument("--against", metavar="REV", help="another commit, printed first")
    parser.add_argument("--no-frames", action="store_true", help="run nothing")
    options = parser.parse_args()
    columns: dict[str, Figures] = {}
    for name in filter(None, (options.against, "here")):
        revision = None if name == "here" else name
        texts = texts_here(ENGINE) if revision is None else texts_at(revision, ENGINE)
        deep = {} if options.no_frames else frames_of(revision)
        columns[name] = {**figures_of(texts), **deep}
    sys.stdout.write(table_of(columns))


if __name__ == "__main__":
    main()
