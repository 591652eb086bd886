"""The AWS CLI commands of a page, given to the real AWS CLI, which sends nothing."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import awscli  # type: ignore[import-untyped]
from awscli.clidriver import create_clidriver  # type: ignore[import-untyped]

from tests.docs.markdown import fences

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES: Final = {"ACCOUNT_ID": "123456789012", "REGION": "us-east-1"}
COMMANDS_OF_VERSION_2: Final = (["logs", "tail"],)
FROM_STDIN: Final = "fileb:///dev/stdin"


class WouldBeSentError(BaseException):
    """The command is understood: the CLI is about to send it. No Exception, as it catches those."""


def aws_commands(text: str, variables: Mapping[str, str] = VARIABLES) -> list[list[str]]:
    """Return the commands of the page's shell blocks, from the word after `aws` on.

    What a command reads from a pipe stands in it, as `--payload`. The CLI at hand is version 1, the
    one that is a Python package: commands that only version 2 has are left out.
    """
    bodies = "\n".join(each.body for each in fences(text, "bash"))
    joined = re.sub(r"\\\n|(?<=\|)\n", " ", bodies)
    found = re.findall(r"^(?:(echo .*) \|\s+)?(?:[A-Z_]+=\S+ )*aws (.*)$", joined, re.MULTILINE)
    commands = [
        [
            shlex.split(echo)[1] if word == FROM_STDIN else word
            for word in shlex.split(_filled(command, variables))
        ]
        for echo, command in found
    ]
    return [each for each in commands if each[:2] not in COMMANDS_OF_VERSION_2]


def _filled(command: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$([A-Z_]+)", lambda each: variables[each[1]], command)


def saved_files(text: str) -> dict[str, str]:
    """Return the files that a page says to save: what stands in the block after "as `name`"."""
    found = {}
    for before, body in re.findall(r"(.*?)^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        names = re.findall(r"\bas\s+`([\w-]+\.json)`", before.rstrip().rpartition("\n\n")[2])
        if names:
            found[names[-1]] = body
    return found


def files_of(command: list[str]) -> list[str]:
    """Return the files that a command reads."""
    found = (re.match(r"fileb?://(.+)", word) for word in command)
    return [each[1] for each in found if each]


def refusal_of(command: list[str], folder: Path) -> str | None:
    """Return why the AWS CLI does not take a command, None where it would be sent."""
    # Set by the CLI where it is imported first, and then taken away with all other AWS_ variables.
    os.environ["AWS_DATA_PATH"] = str(Path(awscli.__file__).with_name("data"))
    driver = create_clidriver()
    # First, so that nobody else answers in its stead.
    driver.session.get_component("event_emitter").register_first("before-send", _sent)
    words = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(words):
        try:
            status = driver.main(command)
        except WouldBeSentError:
            return None
        except SystemExit as ended:
            status = ended.code
    # `s3 cp` sends from a thread of its own, and goes on without it.
    return f"{status}: {words.getvalue().strip()}" if status else None


def _sent(**_: object) -> None:
    raise WouldBeSentError
