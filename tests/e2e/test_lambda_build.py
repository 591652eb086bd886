"""lambda_build.sh: what goes into the zip, that it is always the same, and what it says."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from demo.lambda_runtime import LambdaRuntime
from tests.infrastructure.template import read_template

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.e2e

PROJECT: Final = Path(__file__).parents[2]
SINGLE_FILES: Final = ("AWSSession.py", "Notification.py", "lambda_function.py")
BESIDE: Final = ("input.json", "requirements.txt", "lambda_build.sh", "template.yaml")
HARMLESS: Final = {"awsCredentials": {"region_name": "us-east-1"}, "smtpCredentials": {}}
WITH_THIS_PYTHON: Final = {
    **os.environ,
    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
}
CONTENTS: Final = [
    "AWSSession.py",
    "Notification.py",
    "boto3/__init__.py",
    "ecs_task_recycle/__init__.py",
    "ecs_task_recycle/channels/mail/mail.html",
    "ecs_task_recycle/deeper/__init__.py",
    "ecs_task_recycle/recycle.py",
    "ecs_task_recycle/settings/__init__.py",
    "ecs_task_recycle/settings/input_json.py",
    "ecs_task_recycle/version.txt",
    "input.json",
    "lambda_function.py",
    "licenses/boto3-1.0/LICENSE",
]
SOURCES: Final = [name for name in CONTENTS if not re.match(r"boto3|licenses|.*version\.txt", name)]
SITE_PACKAGES: Final = ".venv/lib/python3.13/site-packages"
SDK: Final = {
    "boto3/__init__.py": "NAME = 'a stand-in'\n",
    "boto3/examples/example.py": "",
    "boto3/data/ec2/resources-1.json": "{}",
    "boto3-1.0.dist-info/LICENSE": "",
    "boto3-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: boto3\nVersion: 1.0\n",
    "boto3-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
"""A small package for the SDK: where it comes from is at stake here, and builds stay quick."""

TAKES_ANYTHING: Final = """
SettingsError = ValueError

def configuration_from(document):
    return document
"""
HANDLER: Final = """
from ecs_task_recycle.recycle import ANSWER

def lambda_handler(event, context):
    return {"answer": ANSWER}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder like the project's, with files beside that have no business in the zip."""
    folder = tmp_path / "a project"
    files = {
        **dict.fromkeys(SOURCES, ""),
        "ecs_task_recycle/settings/input_json.py": TAKES_ANYTHING,
        "ecs_task_recycle/recycle.py": "ANSWER = 42\n",
        "lambda_function.py": HANDLER,
        "input.json": json.dumps(HARMLESS),
        "requirements.txt": "# The SDK.\nboto3==1.0\n",
        **{f"{SITE_PACKAGES}/{name}": text for name, text in sdk_files().items()},
        "tests/test_recycle.py": "assert True\n",
        "ecs_emulator/world.py": "",
        "ecs_task_recycle/__pycache__/recycle.cpython-313.pyc": "",
        "ecs_task_recycle/notes.txt": "",
        ".env": "SECRET=1\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("lambda_build.sh", "template.yaml"):
        shutil.copy(PROJECT / name, folder)
    return folder


def sdk_files() -> dict[str, str]:
    """The SDK's files as pip installs them, the package's own list of them included."""
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
        for name, text in SDK.items()
    ]
    record = "boto3-1.0.dist-info/RECORD"
    lines = [f"{row.rstrip('=')},{len(text)}" for row, text in zip(rows, SDK.values(), strict=True)]
    return {**SDK, record: "\n".join([*lines, f"{record},,"]) + "\n"}


def build(
    tree: Path,
    *options: str,
    folder: Path | None = None,
    environment: Mapping[str, str] = WITH_THIS_PYTHON,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tree / "lambda_build.sh"), *options],
        cwd=folder or tree,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )


def built(tree: Path) -> Path:
    done = build(tree)
    assert done.returncode == 0, done.stderr
    return tree / "dist/ecs-task-recycle.zip"


def test_the_zip_holds_the_function_its_bytecode_and_nothing_else(tree: Path) -> None:
    modules = [name for name in CONTENTS if name.endswith(".py")]
    compiled = [importlib.util.cache_from_source(name) for name in modules]
    with zipfile.ZipFile(built(tree)) as archive:
        assert archive.namelist() == sorted([*CONTENTS, *compiled])
        assert archive.read("ecs_task_recycle/recycle.py") == b"ANSWER = 42\n"


def test_the_bytecode_is_used_unless_the_source_has_been_edited(tree: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built(tree)) as archive:
        archive.extractall(tmp_path / "function")
    source = tmp_path / "function/ecs_task_recycle/recycle.py"

    assert imported(source) == "42 from bytecode"
    source.write_text("ANSWER = 43\n")
    assert imported(source) == "43 from source"


def imported(source: Path) -> str:
    """Return what a module says in a new process, and whether its bytecode was read."""
    program = (
        "import sys; from ecs_task_recycle import recycle; "
        "sys.stderr.write(f'answer {recycle.ANSWER}')"
    )
    done = subprocess.run(
        [sys.executable, "-v", "-c", program],
        cwd=source.parents[1],
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    (answer,) = re.findall(r"answer (\d+)", done.stderr)
    reads = f"code object from '{source.parent}/__pycache__/recycle.cpython-313.pyc'"
    return f"{answer} from {'bytecode' if reads in done.stderr else 'source'}"


def test_sources_that_are_no_python_are_refused(tree: Path) -> None:
    (tree / "ecs_task_recycle/recycle.py").write_text("def x(:\n")
    done = build(tree)
    assert done.returncode == 1
    assert "ecs_task_recycle/recycle.py is no Python: SyntaxError" in done.stderr
    assert not (tree / "dist").exists()


def test_the_same_sources_give_the_same_bytes(tree: Path) -> None:
    first = built(tree).read_bytes()
    for path in tree.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)
    assert built(tree).read_bytes() == first


def test_other_sources_give_other_bytes(tree: Path) -> None:
    first = built(tree).read_bytes()
    (tree / "ecs_task_recycle/recycle.py").write_text("ANSWER = 43\n")
    assert built(tree).read_bytes() != first


def test_every_entry_is_readable_for_all_and_of_1980(tree: Path) -> None:
    with zipfile.ZipFile(built(tree)) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == stat.S_IFREG | 0o644
            assert (entry.create_system, entry.extra, entry.comment) == (3, b"", b"")


def test_size_and_digest_are_printed(tree: Path) -> None:
    done = build(tree)
    data = (tree / "dist/ecs-task-recycle.zip").read_bytes()
    assert f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}" in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only")
def test_the_zip_runs_in_lambda(tree: Path) -> None:
    with LambdaRuntime(built(tree), environment={}) as runtime:
        assert runtime.invoke({}) == {"answer": 42}


def test_it_works_from_any_folder_and_writes_where_it_is_told(tree: Path, tmp_path: Path) -> None:
    done = build(tree, "--output", "new folder/f.zip", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert zipfile.is_zipfile(tmp_path / "new folder/f.zip")
    assert not (tree / "dist").exists()


@pytest.mark.parametrize(
    "section,key",
    [
        ("awsCredentials", "access_key"),
        ("awsCredentials", "secret_key"),
        ("awsCredentials", "session_token"),
        ("smtpCredentials", "password"),
    ],
)
def test_a_secret_in_the_configuration_is_warned_of_but_never_shown(
    tree: Path, section: str, key: str
) -> None:
    (tree / "input.json").write_text(json.dumps({section: {key: "xyzzy-7"}}))
    done = build(tree)
    assert done.returncode == 0
    assert f"warning: input.json holds {section}.{key}" in done.stderr
    assert "xyzzy-7" not in done.stdout + done.stderr


def test_empty_secrets_are_no_secrets(tree: Path) -> None:
    (tree / "input.json").write_text(json.dumps({"smtpCredentials": {"password": ""}}))
    assert build(tree).stderr == ""


def test_help_names_the_options(tree: Path) -> None:
    done = build(tree, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--output FILE", "--input FILE", "--template FILE", "--help"):
        assert option in done.stdout


@pytest.mark.parametrize("missing", ["Notification.py", "input.json", "requirements.txt"])
def test_a_missing_file_is_named(tree: Path, missing: str) -> None:
    (tree / missing).unlink()
    assert_refused(build(tree), f"{missing} cannot be read: No such file or directory.")


def test_a_missing_package_is_named(tree: Path) -> None:
    shutil.rmtree(tree / "ecs_task_recycle")
    assert_refused(build(tree), "the folder ecs_task_recycle is missing.")


def test_a_package_without_modules_is_named(tree: Path) -> None:
    shutil.rmtree(tree / "ecs_task_recycle")
    (tree / "ecs_task_recycle").mkdir()
    assert_refused(build(tree), "the folder ecs_task_recycle holds no Python module.")


def test_a_byte_order_mark_in_the_configuration_does_no_harm(tree: Path) -> None:
    text = json.dumps({"smtpCredentials": {"password": "xyzzy-7"}})
    (tree / "input.json").write_text(text, encoding="utf-8-sig")
    done = build(tree)
    assert done.returncode == 0
    assert "warning: input.json holds smtpCredentials.password" in done.stderr


@pytest.mark.parametrize("text", ["{", "[]", "\x00", "[" * 100_000])
def test_a_broken_configuration_is_no_zip(tree: Path, text: str) -> None:
    (tree / "input.json").write_text(text)
    assert_refused(build(tree), "input.json ")


@pytest.mark.parametrize(
    "options", [("--outptu", "x"), ("--output",), ("--output", ""), ("--input",), ("x",)]
)
def test_a_wrong_option_is_refused(tree: Path, options: tuple[str, ...]) -> None:
    assert_refused(build(tree, *options), "")


def test_a_folder_that_cannot_be_written_to_is_named(tree: Path) -> None:
    (tree / "taken").write_text("a file")
    assert_refused(build(tree, "--output", "taken/f.zip"), "cannot be written: ")


def test_a_folder_is_no_file_to_write_to(tree: Path) -> None:
    (tree / "taken").mkdir()
    assert_refused(build(tree, "--output", "taken"), "is a folder; --output names a file.")


def test_a_failed_build_leaves_the_last_zip_as_it_was(tree: Path) -> None:
    before = built(tree).read_bytes()
    (tree / "input.json").write_text("{")
    assert_refused(build(tree), "input.json is not JSON")
    assert (tree / "dist/ecs-task-recycle.zip").read_bytes() == before
    assert [path.name for path in (tree / "dist").iterdir()] == ["ecs-task-recycle.zip"]


def test_a_key_that_stands_in_input_json_twice_is_no_zip(tree: Path) -> None:
    (tree / "input.json").write_text('{"smtpCredentials": {"host": "a", "host": "b"}}')
    assert_refused(build(tree), 'input.json gives "host" more than once.')


def test_another_python_3_makes_a_zip_without_bytecode(tree: Path, tmp_path: Path) -> None:
    """Like that of macOS or of an older distribution: what counts is the version it names."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tree / "input.json").write_text(json.dumps({"smtpCredentials": {"hots": "x"}}))
    patched = "import sys; sys.version_info = (3, 9, 0); exec(sys.stdin.read())"
    older = tools / "python3"
    older.write_text(
        f'#!/bin/sh\n[ "$1" = - ] || exit 0\nshift\nexec {sys.executable} -c "{patched}" "$@"\n'
    )
    older.chmod(0o755)

    done = build(tree, environment={"PATH": str(tools)})

    assert done.returncode == 0, done.stderr
    assert "Without bytecode, which Python 3.13 adds" in done.stdout
    assert "input.json was not checked" in done.stdout
    with zipfile.ZipFile(tree / "dist/ecs-task-recycle.zip") as archive:
        assert archive.namelist() == CONTENTS


def test_a_machine_without_python_3_is_told_so(tree: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    old_python = tools / "python3"
    old_python.write_text("#!/bin/sh\nexit 1\n")
    old_python.chmod(0o755)
    done = build(tree, environment={"PATH": str(tools)})
    assert_refused(done, "Python 3 is needed")


def test_the_project_itself_makes_a_small_zip_of_the_function_and_the_sdk_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f.zip"
    done = build(PROJECT, "--output", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert path.stat().st_size < 4_000_000
    top_level = r"(AWSSession|Notification|lambda_function|six)\.py|input\.json"
    own = r"ecs_task_recycle/((\w+/)*(\w+\.py|mail\.html)|version\.txt)"
    modules = r"(boto3|botocore|dateutil|jmespath|s3transfer|urllib3)/(\w+/)*\w+\.py"
    data = (
        r"botocore/(cacert\.pem|data/(\w+|sdk-default-configuration|[\w/-]+[\w.-]+)\.json(\.gz)?)"
    )
    licences = r"licenses/\w+-[\w.]+/(LICENSE|NOTICE)(\.txt)?"
    allowed = f"{top_level}|{own}|{modules}|{data}|{licences}"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        compiled = {importlib.util.cache_from_source(each) for each in names if each[-3:] == ".py"}
        others = [name for name in names if not re.fullmatch(allowed, name)]
    assert set(others) == compiled


# ---- The configuration ----


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A copy of what is built from, as a folder that is no checkout."""
    folder = tmp_path / "product"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "ecs_task_recycle", folder / "ecs_task_recycle", ignore=ignored)
    for name in (*SINGLE_FILES, *BESIDE):
        shutil.copy(PROJECT / name, folder)
    return folder


@pytest.mark.parametrize(
    "configuration, problem",
    [
        ({"smtpCredentials": {"hots": "y"}}, "'hots' is not a key; the nearest is host"),
        ({"emailNotification": {"to": ["a@example.com"]}}, "smtpCredentials.host is missing"),
        ({"emailNotification": {"recipients": []}}, "'recipients' is not a key"),
    ],
)
def test_what_the_function_would_refuse_is_no_zip(
    product: Path, configuration: dict[str, object], problem: str
) -> None:
    (product / "input.json").write_text(json.dumps(configuration))
    done = build(product)
    assert_refused(done, "input.json would make every run fail: ")
    assert problem in done.stderr
    assert not (product / "dist").exists()
    assert not [*product.rglob("__pycache__")], "the build leaves nothing behind"


def test_the_configuration_as_shipped_and_one_that_mails_are_taken(product: Path) -> None:
    assert "mail: no; role to assume: no" in build(product).stdout
    mail = {
        "awsCredentials": {"role_arn": "arn:aws:iam::123456789012:role/Recycler"},
        "smtpCredentials": {"host": "smtp.example.com", "from_email": "a@example.com"},
        "emailNotification": {"to": ["b@example.com"]},
    }
    (product / "input.json").write_text(json.dumps(mail))
    assert "mail: yes; role to assume: yes" in build(product).stdout


def test_another_file_can_be_packed_as_the_configuration(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "kept elsewhere.json"
    other.write_text(json.dumps({"awsCredentials": {"region_name": "eu-west-1"}}))
    done = build(tree, "--input", other.name, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tree / "dist/ecs-task-recycle.zip") as archive:
        assert archive.read("input.json") == other.read_bytes()


def test_a_configuration_that_is_not_there_is_named(tree: Path) -> None:
    assert_refused(build(tree, "--input", "none.json"), "none.json cannot be read: No such file")


# ---- What is packed ----


def committed(tree: Path) -> Path:
    """Make the folder a checkout with one commit, tagged v1.0."""
    (tree / ".gitignore").write_text("/.venv/\n/dist/\n__pycache__/\n")
    commit_all(tree)
    git(tree, "tag", "v1.0")
    return tree


def commit_all(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "A commit")


def git(tree: Path, *arguments: str) -> str:
    if not (tree / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    names = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(tree), *names, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def version_in(zip_file: Path) -> str:
    with zipfile.ZipFile(zip_file) as archive:
        return archive.read("ecs_task_recycle/version.txt").decode().strip()


def test_a_link_is_not_followed(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("not for the zip")
    (tree / "ecs_task_recycle/evil.html").symlink_to(secret)
    assert_refused(build(tree), "ecs_task_recycle/evil.html is a link")


def test_a_folder_behind_a_link_is_not_packed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/module.py").write_text("")
    (tree / "ecs_task_recycle/linked").symlink_to(tmp_path / "other")
    with zipfile.ZipFile(built(tree)) as archive:
        assert not [name for name in archive.namelist() if "linked" in name]


def test_in_a_checkout_only_what_git_tracks_is_packed(tree: Path) -> None:
    committed(tree)
    (tree / "ecs_task_recycle/local_notes.py").write_text("")
    done = build(tree)
    assert done.returncode == 0
    assert "ecs_task_recycle/local_notes.py is left out: git does not track it." in done.stderr
    with zipfile.ZipFile(tree / "dist/ecs-task-recycle.zip") as archive:
        assert not [name for name in archive.namelist() if "local_notes" in name]


def test_the_version_is_that_of_the_last_commit_that_changed_what_is_packed(tree: Path) -> None:
    committed(tree)
    zip_file = built(tree)
    first, version = zip_file.read_bytes(), version_in(zip_file)
    assert version == "v1.0"

    (tree / "README.md").write_text("another page")
    (tree / "input.json").write_text(json.dumps(HARMLESS))
    commit_all(tree)
    assert built(tree).read_bytes() == first, "a page or the configuration is no other version"

    (tree / "ecs_task_recycle/recycle.py").write_text("ANSWER = 43\n")
    assert version_in(built(tree)) == "v1.0-dirty"
    commit_all(tree)
    assert re.fullmatch(r"v1\.0-2-g[0-9a-f]+", version_in(built(tree)))


def test_without_git_the_version_is_made_of_the_sources(tree: Path) -> None:
    first = version_in(built(tree))
    assert re.fullmatch(r"unversioned-[0-9a-f]{12}", first)
    (tree / "input.json").write_text("{}")
    assert version_in(built(tree)) == first
    (tree / "ecs_task_recycle/recycle.py").write_text("ANSWER = 43\n")
    assert version_in(built(tree)) != first


def test_the_product_knows_the_version_that_it_was_packed_as(product: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built(product)) as archive:
        archive.extractall(tmp_path / "function")
    program = "from ecs_task_recycle.version import VERSION; print(VERSION)"
    for folder, version in {
        product: "not packaged",
        tmp_path / "function": version_in(product / "dist/ecs-task-recycle.zip"),
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == version


@pytest.mark.parametrize("level", ["1", "2"])
def test_pythons_own_settings_do_not_change_the_zip(tree: Path, level: str) -> None:
    first = built(tree).read_bytes()
    build(tree, environment={**WITH_THIS_PYTHON, "PYTHONOPTIMIZE": level})
    assert (tree / "dist/ecs-task-recycle.zip").read_bytes() == first


def test_it_works_through_a_link_and_with_a_cdpath(tree: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "lb").symlink_to(tree / "lambda_build.sh")
    (links / "again").symlink_to("lb")
    environment = {**WITH_THIS_PYTHON, "CDPATH": f".:{tmp_path}"}
    for command, folder in (
        ([str(links / "again")], tmp_path),
        (["bash", "lambda_build.sh"], tree),
        (["bash", f"{tree.name}/lambda_build.sh"], tmp_path),
    ):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{tree}/dist/ecs-task-recycle.zip: ")


# ---- The template that goes with it ----


def test_the_template_is_told_the_zip_that_was_built(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "packaged.yaml"
    done = build(tree, "--template", str(path))
    assert done.returncode == 0, done.stderr
    zip_file = tree / "dist/ecs-task-recycle.zip"
    digest = hashlib.sha256(zip_file.read_bytes()).hexdigest()
    packaged, source = read_template(path.read_text()), read_template()
    (told,) = packaged.pop("Mappings")["Build"].values()
    source.pop("Mappings")
    assert packaged == source
    assert told["Version"] == version_in(zip_file)
    assert told["Key"] == f"ecs-task-recycle/{told['Version']}-{digest[:16]}.zip"
    assert (told["Mail"], told["AssumedRole"]) == ("no", "no")
    assert f"needs the zip in the bucket as {told['Key']}" in done.stdout


def test_a_template_that_has_no_place_for_it_is_refused(tree: Path) -> None:
    (tree / "template.yaml").write_text("Resources: {}\n")
    done = build(tree, "--template", "packaged.yaml")
    assert_refused(done, "template.yaml has 0 mappings Key, expected one.")
    assert not (tree / "dist").exists()


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    """One line on standard error that names the script and says what is wrong; no zip."""
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("lambda_build.sh: ")
    assert sentence in lines[0]
    assert lines[0].endswith(".")
