"""The command: read the command line, do it, tell the answer, leave with the exit code."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence

import boto3
from botocore.exceptions import BotoCoreError

from ecs_task_recycle.clock import Clock, SystemClock
from ecs_task_recycle_client.command_line import Command, Wanted, read_command_line
from ecs_task_recycle_client.commands import LeftRunning, reply_to
from ecs_task_recycle_client.follow import OutOfSightError
from ecs_task_recycle_client.function import Function
from ecs_task_recycle_client.replies import ExitCode, NotInvokedError, Reply
from ecs_task_recycle_client.summary import lines_of
from ecs_task_recycle_client.terminal import screen_on


def command() -> None:
    """Do what the command line says, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:], SystemClock()))


def main(words: Sequence[str], clock: Clock) -> int:
    """Do what the command line says; return the exit code."""
    wanted = read_command_line(words)
    # With --json the document has standard output for itself.
    screen = screen_on(sys.stderr if wanted.is_json else sys.stdout)
    try:
        reply = reply_to(wanted, _function(wanted, clock), screen, clock)
    except (NotInvokedError, OutOfSightError) as error:
        reply = Reply(error=type(error).__name__, message=str(error))
    except KeyboardInterrupt as interruption:
        screen.say(*_lines_of_interruption(wanted, interruption))
        return _told(wanted, {"status": "interrupted"}, ExitCode.INTERRUPTED)
    if not wanted.is_json:
        screen.say(*lines_of(wanted, reply))
    return _told(wanted, reply.document(), reply.exit_code)


def _function(wanted: Wanted, clock: Clock) -> Function:
    try:
        session = boto3.Session(region_name=wanted.region, profile_name=wanted.profile)
    except BotoCoreError as error:
        raise NotInvokedError(f"{error}.") from error
    return Function(session, wanted.function, clock)


def _told(wanted: Wanted, document: dict[str, object], code: ExitCode) -> ExitCode:
    if wanted.is_json:
        sys.stdout.write(f"{json.dumps({**document, 'exit_code': int(code)}, indent=2)}\n")
    return code


def _lines_of_interruption(wanted: Wanted, interruption: KeyboardInterrupt) -> list[str]:
    if not isinstance(interruption, LeftRunning):
        return ["Interrupted."]
    if wanted.command not in (Command.RUN, Command.STATUS):
        return ["Interrupted. The function goes on with what it was asked."]
    return [
        "Interrupted. The run goes on without this command.",
        f"  Follow it again: {wanted.typed(Command.STATUS, '--follow')}",
        f"  Stop it after the task in hand: {wanted.typed(Command.STOP)}",
    ]
