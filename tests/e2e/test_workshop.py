"""The Makefile, .ci/run and the requirements: proved in a copy, with tools that only take notes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.e2e

PROJECT: Final = Path(__file__).parents[2]
OF_THE_DEMO: Final = ["requirements.txt", "requirements-demo.txt", "requirements-rie.txt"]
REQUIREMENTS: Final = [*OF_THE_DEMO, "requirements-client.txt", "requirements-dev.txt"]
TOOLS: Final = ["python", "ruff", "mypy", "shellcheck", "cfn-lint"]
NOTING: Final = """#!/bin/sh
echo "$(basename "$0") $*" >> "{notes}"
case "$*" in *"{failing}"*) exit {status};; esac
"""


class Workshop:
    """A copy of the project's build files, with an environment of tools that only take notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        for name in ("Makefile", ".ci/run", *REQUIREMENTS, "requirements-ministack.txt"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
        self.equip(failing="nothing ever", status=0)

    def equip(self, *, failing: str, status: int) -> None:
        """Install tools that leave with the status when their arguments hold what is failing."""
        for tool in TOOLS:
            path = self.folder / ".venv/bin" / tool
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(NOTING.format(notes=self.notes, failing=failing, status=status))
            path.chmod(0o755)
        (self.folder / ".venv/.requirements-demo").touch()
        (self.folder / ".venv/.requirements").touch()
        (self.folder / ".venv-ministack").mkdir(exist_ok=True)
        (self.folder / ".venv-ministack/.requirements").touch()

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def noted(self) -> str:
        return self.notes.read_text()


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_ci_runs_every_check_and_every_test(workshop: Workshop) -> None:
    done = workshop.run(".ci/run")
    assert done.returncode == 0, done.stderr
    assert workshop.noted().splitlines() == [
        "shellcheck .ci/run",
        "ruff check .",
        "ruff format --check .",
        "mypy ",
        "python -m pytest -n 2 -m not slow and not e2e",
        "python -m pytest -n 3 -m slow or e2e",
    ]


@pytest.mark.parametrize(
    "failing,status",
    [("slow or e2e", 5), ("not slow", 5), ("slow or e2e", 1), (".ci/run", 1), ("--check", 1)],
)
def test_ci_fails_when_one_part_does_or_finds_no_test(
    workshop: Workshop, failing: str, status: int
) -> None:
    workshop.equip(failing=failing, status=status)
    assert workshop.run(".ci/run").returncode != 0


def test_a_machine_without_python_313_is_told_so_in_a_sentence(
    workshop: Workshop, tmp_path: Path
) -> None:
    make = shutil.which("make")
    assert make
    (workshop.folder / ".venv/.requirements").unlink()
    old = tmp_path / "old"
    old.mkdir()
    for name, text in {"python3.13": "exit 127", "python3": "exit 1"}.items():
        (old / name).write_text(f"#!/bin/sh\n{text}\n")
        (old / name).chmod(0o755)
    for tool in ("sh", "rm", "touch"):
        (old / tool).symlink_to(shutil.which(tool) or tool)
    done = workshop.run(make, "types", PATH=str(old))
    assert done.returncode != 0
    no_lock, no_python, *_ = done.stderr.splitlines()
    assert no_lock.startswith("There is no flock ")
    assert no_python.startswith("No Python 3.13 found: ")
    assert "rm -rf" not in done.stdout, "an environment that works is not thrown away for nothing"
    named = workshop.run(make, "types", "PYTHON=python3", PATH=str(old))
    assert named.returncode != 0
    assert "\nNo Python 3.13 found (python3 is none): " in named.stderr
    assert "rm -rf" not in named.stdout


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_the_environment_is_built_anew_when_a_requirement_changes(
    workshop: Workshop, name: str
) -> None:
    assert "venv" not in workshop.run("make", "-n", "types").stdout.replace(".venv", "")
    os.utime(workshop.folder / name, (4_000_000_000, 4_000_000_000))
    assert "-m venv .venv" in workshop.run("make", "-n", "types").stdout


@pytest.mark.parametrize("name", OF_THE_DEMO)
def test_the_demo_has_an_environment_of_its_own(workshop: Workshop, name: str) -> None:
    assert "venv" not in workshop.run("make", "-n", "demo").stdout.replace(".venv", "")
    os.utime(workshop.folder / name, (4_000_000_000, 4_000_000_000))
    assert "-r requirements-demo.txt" in workshop.run("make", "-n", "demo").stdout


def test_the_demo_does_not_wait_for_what_only_the_tests_need(workshop: Workshop) -> None:
    os.utime(workshop.folder / "requirements-dev.txt", (4_000_000_000, 4_000_000_000))
    assert "pip install" not in workshop.run("make", "-n", "demo").stdout


@pytest.mark.parametrize("target", ["demo", "demo-deploy"])
def test_another_system_than_linux_is_told_so_before_anything_is_installed(
    workshop: Workshop, tmp_path: Path, target: str
) -> None:
    (tmp_path / "mac").mkdir()
    uname = tmp_path / "mac/uname"
    uname.write_text("#!/bin/sh\necho Darwin\n")
    uname.chmod(0o755)
    (workshop.folder / ".venv/.requirements-demo").unlink()
    done = workshop.run("make", target, PATH=f"{tmp_path / 'mac'}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert "needs Linux" in done.stderr
    assert "venv" not in done.stdout


def pinned() -> dict[str, str]:
    """Every requirement's name and version; a line that pins nothing is an error."""
    lines = [line for name in REQUIREMENTS for line in (PROJECT / name).read_text().splitlines()]
    wanted = [line.partition(";")[0].strip() for line in lines if re.match(r"\w", line)]
    matches = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in wanted]
    assert None not in matches, wanted
    return {normal(match[1]): match[2] for match in matches if match}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_installed_is_pinned_at_its_version() -> None:
    installed = {normal(one.metadata["Name"]): one.version for one in distributions()}
    installed.pop("pip")
    assert {name: pinned().get(name) for name in installed} == installed


def test_a_pin_is_never_a_range() -> None:
    assert len(pinned()) > 50
    assert pinned()["boto3"] == "1.44.5"
