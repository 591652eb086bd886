"""The command line: commands, and an option for each parameter of an event.

The options are made from the function's own table of parameters, so that none is forgotten.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ecs_task_recycle.settings.parameters import PARAMETERS, Action, Parameter

PROGRAM: Final = "ecs-task-recycle"
FUNCTION_VARIABLE: Final = "ECS_TASK_RECYCLE_FUNCTION"

NAMES: Final = ("cluster_name", "service_name")
COMMANDS_OWN: Final = ("action", "dry_run")
"""The parameters that a command stands for."""

OF_SWEEPS: Final = ("services", "tagged", "uses", "at_once", "on_error")
"""The parameters that only `sweep` has, with options of its own."""

EXIT_CODES: Final = """\
exit codes: 0 completed, or nothing to do; 1 failed; 2 usage; 3 partial; 130 interrupted
(the run goes on)."""


class Command(StrEnum):
    """What is asked for."""

    RUN = "run"
    PLAN = "plan"
    STATUS = "status"
    STOP = "stop"
    RESTORE = "restore"
    SWEEP = "sweep"


HELP: Final = {
    Command.RUN: "recycle a service's tasks one at a time, and follow the run",
    Command.PLAN: "say what a run would do; change nothing",
    Command.STATUS: "say where a service's run, or a sweep, stands",
    Command.STOP: "ask a run, or a sweep, to end after the task in hand",
    Command.RESTORE: "put back the capacity that an interrupted run left raised",
    Command.SWEEP: "recycle many services",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a command line asks for. ``event`` is what the function is invoked with."""

    command: Command
    event: Mapping[str, Any]
    function: str
    region: str | None = None
    profile: str | None = None
    is_json: bool = False
    follows: bool = True

    @property
    def title(self) -> str:
        """Of what it is: the service, or the sweep."""
        event = self.event
        if "service_name" in event:
            return "/".join(str(event[name]).rpartition("/")[2] for name in NAMES)
        return f"sweep {event['sweep']}" if "sweep" in event else "sweep"

    def names(self) -> dict[str, Any]:
        """Return the parameters that name the service."""
        return {name: self.event[name] for name in NAMES}

    def typed(self, command: Command, *more: str) -> str:
        """Return another command for the same service, as it can be typed."""
        given = {"function": self.function, "region": self.region, "profile": self.profile}
        if os.environ.get(FUNCTION_VARIABLE) == self.function:
            del given["function"]
        options = [word for name, value in given.items() if value for word in (f"--{name}", value)]
        words = (PROGRAM, command, *map(str, self.names().values()), *more, *options)
        return shlex.join(words)


def read_command_line(words: Sequence[str]) -> Wanted:
    """Read the words after the program's name. Exits with 2 where they make no sense."""
    parser = _parser()
    given = vars(parser.parse_args(words))
    command = Command(given.pop("command"))
    function = given.pop("function")
    if not function:
        parser.error(f"name the function by --function or by {FUNCTION_VARIABLE}")
    own = {name: given.pop(name) for name in ("region", "profile", "is_json")}
    follows = given.pop("follows", False)
    try:
        event = _event(command, given)
    except ValueError as problem:
        parser.error(str(problem))
    if follows and "sweep" in event:
        parser.error("a sweep cannot be followed")
    return Wanted(command=command, event=event, function=function, follows=follows, **own)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Recycle the tasks of Amazon ECS services by the deployed function.",
        epilog=EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in Command:
        each = commands.add_parser(
            name,
            help=HELP[name],
            description=f"{HELP[name]}.".capitalize(),
            argument_default=argparse.SUPPRESS,
        )
        _add_own_options(each)
        _add_subject(each, name)
        if name not in (Command.STATUS, Command.STOP):
            _add_parameters(each)
    return parser


def _add_own_options(parser: argparse.ArgumentParser) -> None:
    own = parser.add_argument_group("where and how")
    own.add_argument(
        "--function",
        metavar="NAME",
        default=os.environ.get(FUNCTION_VARIABLE),
        help=f"the function's name or ARN (default: {FUNCTION_VARIABLE} of the environment)",
    )
    text = "the function's region (default: the profile's)"
    own.add_argument("--region", default=None, help=text)
    text = "the profile of the AWS configuration to use"
    own.add_argument("--profile", default=None, help=text)
    text = "print one JSON document, at the end"
    own.add_argument("--json", dest="is_json", default=False, action="store_true", help=text)


def _add_subject(parser: argparse.ArgumentParser, command: Command) -> None:
    if command is Command.SWEEP:
        _add_sweep(parser)
        return
    may_be_a_sweep = command in (Command.STATUS, Command.STOP)
    count: dict[str, Any] = {"nargs": "?"} if may_be_a_sweep else {}
    parser.add_argument("cluster_name", metavar="CLUSTER", help="its name or ARN", **count)
    parser.add_argument("service_name", metavar="SERVICE", help="its name or ARN", **count)
    if may_be_a_sweep:
        parser.add_argument("--sweep", metavar="ID", help="a sweep, instead of a service")
    if command is Command.RUN:
        text = "only begin the run, and say its id"
        parser.add_argument(
            "--no-follow", dest="follows", default=True, action="store_false", help=text
        )
    if command is Command.STATUS:
        text = "follow the run until it ends"
        parser.add_argument(
            "--follow", dest="follows", default=False, action="store_true", help=text
        )


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    which = parser.add_argument_group("which services")
    text = "the cluster of names without one"
    which.add_argument("--cluster", dest="cluster_name", metavar="CLUSTER", help=text)
    which.add_argument(
        "--services", nargs="+", metavar="SERVICE", help="names, CLUSTER/SERVICE, ARNs; or: all"
    )
    which.add_argument(
        "--tagged", action="append", metavar="KEY=VALUE", help="those with this tag; repeatable"
    )
    which.add_argument("--uses", metavar="NAME", help="those that read this secret or parameter")
    how = parser.add_argument_group("how")
    how.add_argument("--at-once", type=int, metavar="N", help="how many at once (default: 1)")
    how.add_argument("--on-error", choices=("stop", "continue"), help="default: stop")
    how.add_argument("--dry-run", action="store_true", help="only plan; change nothing")


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the event's parameters")
    for parameter in options_of(PARAMETERS):
        flag = f"--{parameter.name.replace('_', '-')}"
        text = parameter.expected.replace("%", "%%")
        default = parameter.default
        how: dict[str, Any] = {"metavar": "VALUE"}
        if isinstance(default, bool):
            how, text = {"action": argparse.BooleanOptionalAction}, f"default: {default}".lower()
        elif isinstance(default, StrEnum):
            how, text = {"choices": [str(each) for each in type(default)]}, f"default: {default}"
        elif default == ():
            how = {"nargs": "+", "metavar": "NAME"}
        elif default is not None:
            text += f" (default: {default})"
        group.add_argument(flag, help=text, **how)


def options_of(parameters: Iterable[Parameter[Any]]) -> list[Parameter[Any]]:
    """Return the parameters that get an option made for them."""
    others = (*NAMES, *COMMANDS_OWN, *OF_SWEEPS)
    return [each for each in parameters if each.name not in others]


def _event(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a command. Raises ValueError for what the function would refuse."""
    if command is not Command.SWEEP:
        _require_subject(given)
    checked = {each.name: each for each in PARAMETERS if each.name not in OF_SWEEPS}
    event = {
        name: _value(checked[name], value) if name in checked else value
        for name, value in given.items()
    }
    event |= _sweep(given) if command is Command.SWEEP else {}
    return {**event, **_commands_own(command)}


def _require_subject(given: Mapping[str, Any]) -> None:
    named = [name for name in NAMES if name in given]
    if "sweep" in given and named:
        raise ValueError("--sweep ID stands alone, without CLUSTER and SERVICE")
    if "sweep" not in given and len(named) < len(NAMES):
        raise ValueError("CLUSTER and SERVICE are needed, or --sweep ID")


def _commands_own(command: Command) -> dict[str, Any]:
    match command:
        case Command.PLAN:
            return {"dry_run": True}
        case Command.STATUS | Command.STOP | Command.RESTORE:
            return {"action": Action(command).value}
        case _:
            return {}


def _value(parameter: Parameter[object], given: object) -> object:
    """Return what goes into the event: a number as one, else what was typed."""
    for value in (_number(given), given):
        if value is not None and parameter.accepts(value):
            return value
    name = {"cluster_name": "CLUSTER", "service_name": "SERVICE"}.get(
        parameter.name, f"--{parameter.name.replace('_', '-')}"
    )
    shown = " ".join(map(str, given)) if isinstance(given, list) else given
    raise ValueError(f"{name} is {shown!r}, expected {parameter.expected}")


def _number(given: object) -> int | float | None:
    try:
        read = json.loads(given) if isinstance(given, str) else None
    except ValueError:
        return None
    return read if type(read) in (int, float) else None


def _sweep(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what names the services of a sweep. Raises ValueError."""
    if not any(name in given for name in ("services", "tagged", "uses")):
        raise ValueError("name the services by --services, --tagged or --uses")
    if "services" in given and "tagged" in given:
        raise ValueError("--services and --tagged are given together, expected one of them")
    event: dict[str, Any] = {}
    if given.get("services") == ["all"]:
        event["services"] = "all"
    if "tagged" in given:
        event["tagged"] = _tags(given["tagged"])
    return event


def _tags(given: Iterable[str]) -> dict[str, str | list[str]]:
    values: dict[str, list[str]] = {}
    for each in given:
        key, sign, value = each.partition("=")
        if not key or not sign:
            raise ValueError(f"--tagged is {each!r}, expected KEY=VALUE")
        values.setdefault(key, []).append(value)
    return {key: each[0] if len(each) == 1 else each for key, each in values.items()}
