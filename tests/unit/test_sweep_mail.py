"""What the mail of a sweep tells to do: the command sweeps what is left, and nothing twice."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_task_recycle.report.sweep_answer import (
    SweepAnswer,
    SweepStatus,
    SweptService,
    SweptStatus,
)
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.settings.sweep import sweep_from
from Notification import compose
from tests.mail_configuration import MAIL

if TYPE_CHECKING:
    from ecs_task_recycle.codec import Json

FUNCTION: Final = FunctionContext(region="us-east-1", name="recycler")
STARTED_AT: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)
NOTHING_LEFT: Final = (SweptStatus.COMPLETED, SweptStatus.REFUSED, SweptStatus.NOTHING_TO_DO)


def swept(*statuses: SweptStatus, **parameters: Json) -> SweepAnswer:
    services = [SweptService(service=f"a/{n}", status=each) for n, each in enumerate(statuses)]
    return SweepAnswer(
        sweep="s",
        status=SweepStatus.FAILED,
        services_count=len(services),
        services=tuple(services),
        parameters=parameters,
        started_at=STARTED_AT,
        timestamp=STARTED_AT,
    )


def text(answer: SweepAnswer) -> str:
    part = compose(MAIL, answer, FUNCTION).get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def payload(answer: SweepAnswer) -> dict[str, Any]:
    (command,) = [line for line in text(answer).splitlines() if line.startswith("echo ")]
    words = shlex.split(command)
    assert words[2:7] == ["|", "aws", "lambda", "invoke", "--function-name"]
    document: dict[str, Any] = json.loads(words[1])
    assert sweep_from(document, {}) is not None
    return document


def test_the_command_sweeps_what_is_left_and_no_replacement() -> None:
    left = (SweptStatus.FAILED, SweptStatus.PARTIAL, SweptStatus.NOT_BEGUN)
    assert payload(swept(*NOTHING_LEFT, *left, wait_time=5)) == {
        "services": ["a/3", "a/4", "a/5"],
        "wait_time": 5,
        "started_before": "2026-01-05T09:00:00+00:00",
    }


@pytest.mark.parametrize(
    "choice", [{"started_before": "2026-01-04T09:00:00+00:00"}, {"older_than_hours": 168}]
)
def test_the_command_keeps_the_choice_of_tasks(choice: dict[str, Json]) -> None:
    assert payload(swept(SweptStatus.FAILED, **choice)) == {"services": ["a/0"], **choice}


def test_where_nothing_is_left_there_is_nothing_to_do() -> None:
    assert "Is there anything to do? No." in text(swept(*NOTHING_LEFT))


def test_a_hundred_services_that_are_left_make_no_command() -> None:
    told = text(swept(*[SweptStatus.FAILED] * 100))
    assert "the 100 services that are left" in told
    assert "echo " not in told
