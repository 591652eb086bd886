"""What each command does with the function. Each returns the answer to tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ecs_task_recycle.clock import Clock
from ecs_task_recycle_client.command_line import Command, Wanted
from ecs_task_recycle_client.follow import Follower
from ecs_task_recycle_client.function import Call, Function
from ecs_task_recycle_client.replies import NotInvokedError, Reply
from ecs_task_recycle_client.terminal import Screen


class LeftRunning(KeyboardInterrupt):
    """The command was interrupted, and the function may go on with what it was sent for."""


def reply_to(wanted: Wanted, function: Function, screen: Screen, clock: Clock) -> Reply:
    """Do what is wanted. Raises NotInvokedError, OutOfSightError, LeftRunning."""
    match wanted.command:
        case Command.RUN if not wanted.follows:
            return _send(wanted, function)
        case Command.RUN:
            return _run(function, _follower(wanted, function, screen, clock), wanted)
        case Command.STATUS if wanted.follows:
            return _follow(function, _follower(wanted, function, screen, clock), wanted)
        case Command.STATUS | Command.STOP:
            return function.ask(wanted.event)
        case _:
            with screen.bar(wanted.title), _left_running():
                return function.invoke(wanted.event)


def _send(wanted: Wanted, function: Function) -> Reply:
    """Only begin a run: its id is that of the invocation."""
    run_id = function.send(wanted.event)
    body = {"status": "sent", "run_id": run_id, "follow": wanted.typed(Command.STATUS, "--follow")}
    return Reply(body=body)


def _run(function: Function, follower: Follower, wanted: Wanted) -> Reply:
    """Run, and follow the run to its end, through as many invocations as it takes."""
    before = function.ask(follower.question)
    if before.error is not None:
        return before
    follower.earlier_id = before.standing.run_id
    with follower.screen.bar(wanted.title), _left_running():
        return _followed(Call(partial(function.invoke, wanted.event)), follower)


def _followed(call: Call, follower: Follower) -> Reply:
    try:
        reply = follower.until_answered(call)
    except NotInvokedError as error:
        if not error.may_run:
            raise
        follower.screen.say(f"The answer was lost, the run goes on. {error}")
        return follower.until_ended()
    if reply.status == "queued":
        # From here on it is the run that has taken the request.
        follower.earlier_id = None
    if reply.was_killed and follower.run_id is not None:
        follower.screen.say(f"The invocation was ended ({reply.error}). {reply.message}")
        return follower.until_ended()
    if not reply.goes_on:
        return reply
    follower.screen.say(f"{reply.status.capitalize()}: {reply.body.get('reason')}.")
    return follower.until_ended()


def _follow(function: Function, follower: Follower, wanted: Wanted) -> Reply:
    """Follow the run that goes on; where none does, tell how the last one ended."""
    reply = function.ask(follower.question)
    standing = reply.standing
    if standing.run_id is None or standing.has_ended:
        return reply
    with follower.screen.bar(wanted.title), _left_running():
        return follower.until_ended()


def _follower(wanted: Wanted, function: Function, screen: Screen, clock: Clock) -> Follower:
    question = {**wanted.names(), "action": "status"}
    return Follower(function=function, question=question, screen=screen, clock=clock)


@contextmanager
def _left_running() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise LeftRunning from None
