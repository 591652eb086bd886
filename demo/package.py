"""The function's zip, built by lambda_build.sh as a user builds it, from a copy of the sources."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT: Final = Path(__file__).parents[1]
PACKAGE: Final = "ecs_task_recycle"
BUILD_SCRIPT: Final = "lambda_build.sh"
BESIDE: Final = (BUILD_SCRIPT, "cloudformation_deploy.sh", "template.yaml")


class BuildError(RuntimeError):
    """lambda_build.sh left with an error; the sentence is its own."""


def build_zip(folder: Path, configuration: Mapping[str, Any]) -> tuple[Path, str]:
    """Build the zip with `configuration` as its input.json; return it and what the script said.

    The user's own input.json is neither used nor touched. Everything lands in `folder`, which
    exists. Raises BuildError.
    """
    tree = copy_sources(folder / "sources", configuration)
    zip_file = folder / "function.zip"
    done = subprocess.run(
        [str(tree / BUILD_SCRIPT), "--output", str(zip_file)],
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(done.stderr.strip() or f"{BUILD_SCRIPT} left with {done.returncode}.")
    return zip_file, done.stdout + done.stderr


def copy_sources(tree: Path, configuration: Mapping[str, Any]) -> Path:
    """Copy what is deployed, and what deploys it, with `configuration` as its input.json."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / PACKAGE, tree / PACKAGE, ignore=ignored)
    for source in (*PROJECT.glob("*.py"), *(PROJECT / name for name in BESIDE)):
        shutil.copy(source, tree)
    (tree / "input.json").write_text(json.dumps(configuration, indent=2), encoding="utf-8")
    return tree


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which our own Python comes first and nothing lands elsewhere."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
