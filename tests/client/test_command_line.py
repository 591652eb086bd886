"""The client's command line: every parameter of an event, and the events that come of it."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.settings.parameters import PARAMETERS, SWEEP_PARAMETERS
from ecs_task_recycle_client.command_line import (
    COMMANDS_OWN,
    NAMES,
    OF_SWEEPS,
    read_command_line,
)

PROJECT: Final = Path(__file__).parents[2]
SERVICE: Final = {"cluster_name": "demo", "service_name": "web"}
TASK: Final = "0123456789abcdef0123456789abcdef"

VALUES: Final = {
    "maintain_service_state": (["--no-maintain-service-state"], False),
    "wait_time": (["--wait-time", "5"], 5),
    "protected_tasks": (["--protected-tasks", "skip"], "skip"),
    "started_before": (["--started-before", "2026-01-05T09:00:00Z"], "2026-01-05T09:00:00Z"),
    "older_than_hours": (["--older-than-hours", "0.5"], 0.5),
    "tasks": (["--tasks", TASK, TASK[::-1]], [TASK, TASK[::-1]]),
    "alarms": (["--alarms", "5xx", "latency"], ["5xx", "latency"]),
    "stabilize_timeout": (["--stabilize-timeout", "60"], 60),
    "finish_within_minutes": (["--finish-within-minutes", "90"], 90),
    "window": (
        ["--window", "Mon-Fri 02:00-05:00 Europe/Berlin"],
        "Mon-Fri 02:00-05:00 Europe/Berlin",
    ),
    "if_running": (["--if-running", "queue"], "queue"),
}
"""For each parameter: what is typed, and what the event has of it."""


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_TASK_RECYCLE_FUNCTION", "recycler")


def event_of(*words: str) -> dict[str, Any]:
    return dict(read_command_line(words).event)


@pytest.mark.parametrize("command", ["run", "plan", "restore"])
@pytest.mark.parametrize(
    "name",
    [each.name for each in PARAMETERS if each.name not in (*NAMES, *COMMANDS_OWN, *OF_SWEEPS)],
)
def test_every_parameter_of_an_event_is_an_option(command: str, name: str) -> None:
    typed, value = VALUES[name]

    event = event_of(command, "demo", "web", *typed)

    assert event[name] == value
    assert settings_from_event(event).service_name == "web"


@pytest.mark.parametrize(
    "command, own",
    [
        ("run", {}),
        ("plan", {"dry_run": True}),
        ("status", {"action": "status"}),
        ("stop", {"action": "stop"}),
        ("restore", {"action": "restore"}),
    ],
)
def test_each_command_is_an_event_that_the_function_takes(
    command: str, own: dict[str, object]
) -> None:
    event = event_of(command, "demo", "web")

    assert event == {**SERVICE, **own}
    assert settings_from_event(event).service_name == "web"


@pytest.mark.parametrize(
    "words, event",
    [
        ("--cluster demo --services web api", {"services": ["web", "api"]}),
        ("--cluster demo --services all --at-once 5", {"services": "all", "at_once": 5}),
        ("--cluster demo --tagged team=a", {"tagged": {"team": "a"}}),
        (
            "--cluster demo --tagged team=a --tagged team=b --tagged tier=web",
            {"tagged": {"team": ["a", "b"], "tier": "web"}},
        ),
        ("--cluster demo --uses db/login --on-error continue --dry-run --wait-time 0",
         {"uses": "db/login", "on_error": "continue", "dry_run": True, "wait_time": 0}),
    ],
)  # fmt: skip
def test_a_sweep_is_an_event_of_many_services(words: str, event: dict[str, object]) -> None:
    assert event_of("sweep", *words.split()) == {"cluster_name": "demo", **event}


def test_every_parameter_of_a_sweep_is_an_option() -> None:
    assert {each.name for each in SWEEP_PARAMETERS} == {*OF_SWEEPS, "sweep"}


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_sweep_is_asked_after_by_its_id(command: str) -> None:
    assert event_of(command, "--sweep", "s-1") == {"sweep": "s-1", "action": command}


@pytest.mark.parametrize(
    "words, said",
    [
        ("", "required: COMMAND"),
        ("run demo", "required: SERVICE"),
        ("run demo we?b", "SERVICE is 'we?b', expected the name or ARN of an ECS service"),
        ("run demo web --wait-time soon", "--wait-time is 'soon', expected whole seconds from 0"),
        ("run demo web --wait-time 86401", "--wait-time is '86401', expected whole seconds"),
        ("run demo web --tasks x", "--tasks is 'x', expected a list of 1 to 1000 ids"),
        ("run demo web --window nights", "--window is 'nights', expected days (optional), times"),
        ("run demo web --protected-tasks ask", "invalid choice: 'ask'"),
        ("run demo web --waittime 3", "unrecognized arguments"),
        ("status demo", "CLUSTER and SERVICE are needed, or --sweep ID"),
        ("status demo web --sweep s-1", "--sweep ID stands alone"),
        ("status --sweep s-1 --follow", "a sweep cannot be followed"),
        ("sweep --cluster demo", "name the services by --services, --tagged or --uses"),
        ("sweep --services a --tagged b=c", "--services and --tagged are given together"),
        ("sweep --tagged team", "--tagged is 'team', expected KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_command_line(words.split())

    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_function_must_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ECS_TASK_RECYCLE_FUNCTION")

    with pytest.raises(SystemExit) as ended:
        read_command_line(["status", "demo", "web"])

    assert ended.value.code == 2
    assert "--function or by ECS_TASK_RECYCLE_FUNCTION" in capsys.readouterr().err
    assert read_command_line(["status", "demo", "web", "--function", "f"]).function == "f"


def test_arns_are_shown_by_their_names() -> None:
    arn = "arn:aws:ecs:us-east-1:123456789012:service/demo/web"
    wanted = read_command_line(["run", arn.replace("service/demo/web", "cluster/demo"), arn])
    assert wanted.title == "demo/web"


# -- as it is installed ---------------------------------------------------------------------------


def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def pins(name: str) -> set[str]:
    lines = (PROJECT / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def test_the_command_that_is_installed_is_there() -> None:
    module, _, name = project()["project"]["scripts"]["ecs-task-recycle"].partition(":")
    assert callable(getattr(import_module(module), name))


def test_it_is_installed_with_the_sdk_that_the_function_is_developed_with() -> None:
    assert pins("requirements.txt") <= pins("requirements-client.txt")


def test_its_version_is_that_of_the_changelog() -> None:
    version = project()["project"]["version"]
    assert f"\n## [{version}] - " in (PROJECT / "CHANGELOG.md").read_text()
