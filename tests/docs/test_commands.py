"""Every AWS CLI command of the pages is one that the AWS CLI understands."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.commands import aws_commands, files_of, refusal_of, saved_files
from tests.docs.markdown import fences
from tests.docs.pages import MANUAL, PROJECT

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS: Final = aws_commands(MANUAL)
POLICY: Final = '"Sid"'
"""What stands only in the policy, which is saved from another page than the one that says so."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages say to save or to build."""
    (policy,) = [each.body for each in fences(MANUAL, "json") if POLICY in each.body]
    for name, body in {**saved_files(MANUAL), "policy.json": policy}.items():
        (tmp_path / name).write_text(body)
    (tmp_path / "dist").mkdir()
    shutil.copy(PROJECT / "template.yaml", tmp_path / "dist")
    with zipfile.ZipFile(tmp_path / "dist/ecs-task-recycle.zip", "w"):
        pass
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_the_aws_cli_takes_every_command_as_it_stands(command: list[str], folder: Path) -> None:
    assert all((folder / name).exists() for name in files_of(command))
    assert refusal_of(command, folder) is None


def test_the_function_is_created_updated_invoked_and_its_log_and_run_record_read() -> None:
    named = {" ".join(command[:2]) for command in COMMANDS}
    assert {"lambda create-function", "lambda update-function-code", "lambda invoke"} <= named
    assert {"logs filter-log-events", "dynamodb get-item", "dynamodb create-table"} <= named
    assert {"stepfunctions list-executions", "stepfunctions stop-execution"} <= named


def test_every_payload_is_json() -> None:
    payloads = [
        command[command.index("--payload") + 1] for command in COMMANDS if "--payload" in command
    ]
    assert len(payloads) == 4
    for payload in payloads:
        assert "cluster_name" in json.loads(payload)


@pytest.mark.parametrize(
    "command",
    [
        ["lambda", "invoke", "--function", "f"],
        ["lambda", "invoke-function", "--function-name", "f", "out.json"],
        ["lambda", "update-function-code", "--function-name", "f", "--zip-file", "fileb://none"],
        ["dynamodb", "get-item", "--table-name", "t"],
        ["s3", "cp", "none", "s3://bucket/key"],
        ["lambda", "put-function-event-invoke-config", "--function-name", "f",
         "--maximum-retry-attempts", "none"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_that_is_wrong_is_refused(command: list[str], folder: Path) -> None:
    assert refusal_of(command, folder) is not None


def test_commands_are_found_behind_settings_and_over_several_lines() -> None:
    lines = [
        "# aws not this",
        "aws logs tail x",
        "A_B=1 aws x y \\",
        '  --z "$ACCOUNT_ID"',
        "echo '{\"a\": 1}' |",
        "    B=2 aws v w --payload fileb:///dev/stdin o.json",
        "./o.sh",
    ]
    text = "\n".join(["```bash", *lines, "```", ""])
    assert aws_commands(text) == [
        ["x", "y", "--z", "123456789012"],
        ["v", "w", "--payload", '{"a": 1}', "o.json"],
    ]


def test_no_file_is_saved_twice_under_one_name() -> None:
    names = re.findall(r"\bas\s+`([\w-]+\.json)`", MANUAL)
    assert sorted(names) == sorted({*saved_files(MANUAL), "policy.json"})


def test_a_saved_file_is_the_block_after_the_paragraph_that_names_it_last() -> None:
    text = (
        "Save it as `a.json`.\n\nSave that as `b.json` and this as\n`c.json`:\n\n"
        "```json\n{}\n```\n\nSave it as `d.json`. So:\n```bash\naws x\n```\nNot saved:\n"
        "```json\n[]\n```\n"
    )
    assert saved_files(text) == {"c.json": "{}\n", "d.json": "aws x\n"}
