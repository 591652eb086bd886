"""What an event may say of many services: a value, or one error that names every problem."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.settings.function import stack_from
from ecs_task_recycle.settings.parameters import Action, OnError
from ecs_task_recycle.settings.sweep import (
    SweepEnd,
    SweepTurn,
    is_of_sweep,
    run_id_of,
    step_from,
    sweep_from,
)
from tests.unit.test_settings import json_values, near_misses

DEFAULTS: Final[dict[str, object]] = {}
SECRET: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:api/db-a1b2c3"
CHANGED: Final = {
    "source": "aws.secretsmanager",
    "detail-type": "Secret Label Updated",
    "resources": [SECRET],
    "detail": {"labelUpdated": "AWSCURRENT"},
    "time": "2026-01-31T02:00:00Z",
}
UPDATED: Final = {
    "source": "aws.ssm",
    "detail-type": "Parameter Store Change",
    "resources": ["arn:aws:ssm:us-east-1:123456789012:parameter/a"],
    "detail": {"operation": "Update", "name": "a"},
    "time": "2026-01-31T02:00:00Z",
}


@pytest.mark.parametrize(
    "event",
    [
        {"cluster_name": "a", "service_name": "b"},
        {"detail": {"cluster_name": "a", "service_name": "b"}},
        {},
        [],
        None,
        {**CHANGED, "detail": {"labelUpdated": "AWSPENDING"}},
        {**UPDATED, "detail": {"operation": "Delete"}},
    ],
)
def test_an_event_that_names_one_service_or_none_is_no_sweep(event: object) -> None:
    assert sweep_from(event, DEFAULTS) is None


def test_what_holds_for_each_run_is_what_an_event_for_one_service_may_say() -> None:
    given_ones = {
        "wait_time": "5",
        "protected_tasks": "skip",
        "if_running": "queue",
        "older_than_hours": {"tag": "max-task-age-hours"},
        "window": "Mon-Fri 02:00-05:00 Europe/Berlin",
    }
    read = sweep_from({"detail": {"uses": SECRET, **given_ones}}, DEFAULTS)
    assert read is not None
    names = {"cluster_name": "a", "service_name": "b"}
    assert settings_from_event({**names, **read.parameters}) == settings_from_event(
        {**names, **given_ones}
    )
    assert (read.at_once, read.on_error, read.dry_run) == (1, OnError.STOP, False)


@pytest.mark.parametrize(
    "event, problems",
    [
        ({"services": ["a/b"], "tagged": {"k": "v"}}, ["services and tagged cannot"]),
        ({"services": ["a/b"], "service_name": "x"}, ["service_name cannot"]),
        ({"services": ["a/b"], "tasks": ["x"]}, ["one service only"]),
        ({"services": ["b", "a/c"]}, ["cluster_name is missing, expected for b"]),
        ({"services": "all"}, ["cluster_name is missing"]),
        ({"services": ["a/b"], "action": "restore"}, ["action is given"]),
        ({"at_once": 51}, ["at_once is 51", "services, tagged and uses are missing"]),
        ({"services": []}, ["services is []"]),
        ({"services": ["a b"]}, ["services holds 'a b'"]),
        ({"tagged": {}}, ["tagged is {}"]),
        ({"tagged": {"k": []}}, ["tagged holds"]),
        ({"uses": "a b"}, ["uses is 'a b'"]),
        ({"sweep": "x"}, ["action with sweep"]),
        ({"sweep": "x", "action": "stop", "at_once": 2}, ["at_once cannot"]),
        ({"uses": "x", "on_eror": "stop"}, ["the nearest is on_error"]),
        ({"uses": "x", "older_than_hours": 1, "started_before": CHANGED["time"]}, ["combined"]),
    ],
)
def test_every_problem_is_named_at_once(event: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        sweep_from(event, DEFAULTS)
    for problem in problems:
        assert problem in refused.value.sentence


def test_services_in_two_regions_are_refused() -> None:
    arns = [f"arn:aws:ecs:{each}:123456789012:service/a/b" for each in ("us-east-1", "eu-west-1")]
    with pytest.raises(SettingsError, match="region us-east-1 and eu-west-1"):
        sweep_from({"services": arns}, DEFAULTS)


def test_a_question_takes_the_id_and_an_action() -> None:
    read = sweep_from({"sweep": "x", "action": "status"}, DEFAULTS)
    assert read is not None
    assert (read.sweep, read.action) == ("x", Action.STATUS)


@pytest.mark.parametrize("event", [CHANGED, UPDATED])
def test_a_change_asks_for_tasks_created_before_it_and_for_what_the_stack_says(
    event: dict[str, Any],
) -> None:
    environment = {
        "RECYCLE_TAG": "k=v=w",
        "SWEEP_WAIT_TIME": "7",
        "SWEEP_AT_ONCE": "3",
        "SWEEP_WINDOW": "02:00-05:00 UTC",
    }
    read = sweep_from(event, stack_from(environment).notices)
    assert read is not None
    assert read.uses == event["resources"][0]
    assert (read.tagged, read.at_once) == ({"k": ("v=w",)}, 3)
    assert read.parameters == {
        "wait_time": 7,
        "window": "02:00-05:00 UTC",
        "started_before": "2026-01-31T02:00:00+00:00",
        "if_running": "queue",
    }


def test_a_machines_events_are_read_and_broken_ones_refused() -> None:
    turn = {"sweep_turn": "x", "lane": 3, "turns": 0}
    assert step_from(turn) == SweepTurn(sweep="x", lane=3, turns=0)
    ended = {"sweep_end": "x", "lanes": [0, 1], "rounds": 2, "stopped": None}
    assert step_from(ended) == SweepEnd(sweep="x", lanes=2, rounds=2, stopped=None)
    of_a_stack_before = {name: value for name, value in ended.items() if name != "stopped"}
    assert step_from(of_a_stack_before) == step_from(ended)
    stopped = step_from({**ended, "stopped": "ABORTED"})
    assert stopped == SweepEnd(sweep="x", lanes=2, rounds=2, stopped="ABORTED")
    endless = {**ended, "lanes": []}
    forged = {**ended, "stopped": "by me"}
    for broken in ({**turn, "lane": -1}, endless, forged, {"sweep_turn": "a/b"}):
        with pytest.raises(SettingsError):
            step_from(broken)


def test_the_id_of_a_run_tells_whether_it_is_a_sweeps() -> None:
    assert is_of_sweep(run_id_of("0a1b", 12))
    assert not is_of_sweep("0a1b2c3d-0000-4000-8000-000000000001")


@given(
    st.dictionaries(
        st.sampled_from(["services", "tagged", "uses", "at_once", "on_error", "sweep", "action"]),
        json_values() | near_misses(),
        min_size=1,
    )
)
def test_any_event_is_read_or_refused_in_a_sentence(event: dict[str, Any]) -> None:
    assert len(problem_in(event)) < 20_000


def problem_in(event: dict[str, Any]) -> str:
    try:
        sweep_from(event, DEFAULTS)
    except SettingsError as error:
        return error.sentence
    return ""
