"""lambda_build.sh: the AWS SDK in the zip, what it has of it, and where it comes from."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from demo.lambda_runtime import LambdaRuntime
from tests.e2e.test_lambda_build import (
    PROJECT,
    SINGLE_FILES,
    SITE_PACKAGES,
    WITH_THIS_PYTHON,
    build,
    built,
    sdk_files,
    tree,
    version_in,
)

pytestmark = pytest.mark.e2e

__all__ = ["tree"]

ASSUMES_ROLES: Final = "sts"
"""botocore's own client: AWSSession.py hands it the session's method."""

CLIENTS: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
import boto3, lambda_function
session = boto3.Session("a", "b", region_name="us-east-1")
for name in sys.argv[2:]:
    session.client(name)
print(json.dumps(sorted({
    module.__file__ for module in sys.modules.values()
    if getattr(module, "__file__", None) and "site-packages" in module.__file__
})))
"""


@pytest.fixture(scope="module")
def unzipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own zip, unpacked."""
    folder = tmp_path_factory.mktemp("sdk")
    done = build(PROJECT, "--output", str(folder / "f.zip"))
    assert done.returncode == 0, done.stderr
    assert "with boto3 1.44.5 and 10 services' models: " in done.stdout
    with zipfile.ZipFile(folder / "f.zip") as archive:
        archive.extractall(folder / "function")
    return folder / "function"


def clients_in_the_product() -> set[str]:
    """The services of every `….client("NAME", …)`; a name that is no literal is an error."""
    sources = [*(PROJECT / "ecs_task_recycle").rglob("*.py"), *(PROJECT / n for n in SINGLE_FILES)]
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_text()))]
    made = [
        node
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("client", "resource", "create_client")
    ]
    return {ast.literal_eval(call.args[0]) for call in made}


def test_the_models_are_those_of_the_services_in_use_alone(unzipped: Path) -> None:
    packed = {path.name for path in (unzipped / "botocore/data").iterdir() if path.is_dir()}
    assert packed == clients_in_the_product() | {ASSUMES_ROLES}


def test_every_client_is_made_from_the_zip_alone(unzipped: Path) -> None:
    """Without any package of the machine: -S leaves out site-packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", CLIENTS, unzipped, *clients_in_the_product(), ASSUMES_ROLES],
        cwd=unzipped.parent,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == []


def test_each_package_brings_its_licence(unzipped: Path) -> None:
    pinned = (PROJECT / "requirements.txt").read_text().replace("python-", "python_")
    names = {line.replace("==", "-") for line in pinned.splitlines() if not line.startswith("#")}
    assert {path.name for path in (unzipped / "licenses").iterdir()} == names
    assert all([*path.iterdir()] for path in (unzipped / "licenses").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only")
def test_in_lambda_the_packed_sdk_is_taken(tree: Path) -> None:
    (tree / "lambda_function.py").write_text(
        "import boto3\n\ndef lambda_handler(event, context):\n    return {'name': boto3.NAME}\n"
    )
    with LambdaRuntime(built(tree), environment={}) as runtime:
        assert runtime.invoke({}) == {"name": "a stand-in"}


# ---- Where it comes from ----


def offline(links: Path) -> dict[str, str]:
    """An environment whose pip finds packages in a folder alone."""
    return {**WITH_THIS_PYTHON, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}


def without_sdk(tree: Path) -> Path:
    """Take the SDK out of .venv, and make it a wheel in a folder that is returned."""
    (tree / ".venv").rename(tree.parent / "old")
    links = tree.parent / "links"
    links.mkdir()
    with zipfile.ZipFile(links / "boto3-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in sdk_files().items():
            wheel.writestr(name, text)
    return links


def test_what_is_not_installed_is_fetched_once(tree: Path) -> None:
    first = built(tree).read_bytes()
    links = without_sdk(tree)

    done = build(tree, environment=offline(links))

    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("lambda_build.sh: fetching the SDK that requirements.txt pins")
    assert (tree / "dist/ecs-task-recycle.zip").read_bytes() == first
    again = build(tree, environment=offline(tree / "nowhere"))
    assert (again.returncode, again.stderr) == (0, "")
    assert (tree / "dist/ecs-task-recycle.zip").read_bytes() == first


def test_two_builds_at_once_fetch_it_both(tree: Path) -> None:
    links = without_sdk(tree)
    builds = [
        subprocess.Popen(
            [tree / "lambda_build.sh", "--output", tree.parent / f"{number}.zip"],
            env=offline(links),
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    said = [each.communicate()[1] for each in builds]
    assert [each.returncode for each in builds] == [0, 0], said
    assert (tree.parent / "0.zip").read_bytes() == (tree.parent / "1.zip").read_bytes()
    assert len([*(tree / "build").iterdir()]) == 1


def test_without_a_package_index_it_says_what_is_missing(tree: Path) -> None:
    without_sdk(tree)
    done = build(tree, environment=offline(tree))
    assert done.returncode == 1
    assert "the SDK that requirements.txt pins is not installed" in done.stderr
    assert "No matching distribution found for boto3==1.0" in done.stderr
    assert not (tree / "dist").exists()
    assert not [*(tree / "build").iterdir()]


def test_an_sdk_that_somebody_has_changed_is_not_taken(tree: Path) -> None:
    (tree / SITE_PACKAGES / "boto3/__init__.py").write_text("NAME = 'changed'\n")
    done = build(tree, environment=offline(tree))
    assert done.returncode == 1
    assert "is not installed" in done.stderr


def test_a_changed_cache_is_refused(tree: Path) -> None:
    links = without_sdk(tree)
    build(tree, environment=offline(links))
    (module,) = (tree / "build").glob("sdk-*/boto3/__init__.py")
    module.write_text("")
    done = build(tree, environment=offline(links))
    assert done.returncode == 1
    assert "is not the SDK as requirements.txt pins it; remove that folder." in done.stderr


def test_another_pin_is_another_version(tree: Path) -> None:
    before = version_in(built(tree))
    (tree / "requirements.txt").write_text("boto3==1.0\n# another day\n")
    assert version_in(built(tree)) != before


def test_pins_without_boto3_are_refused(tree: Path) -> None:
    (tree / "requirements.txt").write_text("six==1.17.0\n")
    done = build(tree)
    assert done.returncode == 1
    assert done.stderr == "lambda_build.sh: requirements.txt pins no boto3.\n"
