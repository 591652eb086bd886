"""What the client prints of a sweep's answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ecs_task_recycle.report.sweep_answer import (
    SweepAnswer,
    SweepStatus,
    SweptService,
    SweptStatus,
)
from tests.client.cloud import HttpAnswer

if TYPE_CHECKING:
    from tests.client.conftest import Person

pytestmark = pytest.mark.local_socket


def test_a_sweep_that_is_taken_says_its_id_and_how_many_services(person: Person) -> None:
    body = {"status": "sweeping", "sweep": "s-1", "services": 12}
    document = {"statusCode": 202, "body": json.dumps(body)}
    person.cloud.answers = [HttpAnswer(status=200, body=json.dumps(document).encode())]

    printed = person.types("sweep --cluster demo --services all")

    assert printed.code == 0
    assert printed.output == "sweep: sweeping.\n  sweep: s-1\n  services: 12\n"
    sent = person.cloud.invocations[0].event
    assert sent == {"cluster_name": "demo", "services": "all"}


@pytest.mark.parametrize(
    "command, status, code",
    [
        ("status --sweep s-1", SweepStatus.STATUS, 0),
        ("status --sweep s-1", SweepStatus.COMPLETED, 0),
        ("status --sweep s-1", SweepStatus.PARTIAL, 3),
        ("stop --sweep s-1", SweepStatus.STOPPING, 0),
        ("sweep --cluster demo --services all --dry-run", SweepStatus.PLANNED, 0),
    ],
)
def test_an_answer_of_a_sweep_tells_how_each_service_stands(
    person: Person, command: str, status: SweepStatus, code: int
) -> None:
    web = SweptService(service="demo/web", status=SweptStatus.RUNNING, tasks=3)
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    answer = SweepAnswer(
        sweep="s-1", status=status, services_count=1, services=(web,), timestamp=at
    )
    document = {"statusCode": 200, "body": json.dumps(answer.as_json())}
    person.cloud.answers = [HttpAnswer(status=200, body=json.dumps(document).encode())]

    printed = person.types(command)

    head, *rest = printed.output.splitlines()
    assert printed.code == code
    assert head.startswith("sweep")
    assert head.endswith(f": {status}.")
    assert "    service demo/web, status running, tasks 3" in rest


def test_a_sweep_that_there_is_not_is_a_failure(person: Person) -> None:
    printed = person.types("stop --sweep s-1")

    assert printed.code == 1
    assert printed.output.startswith(
        "sweep s-1: failed (PreconditionError).\nThere is no sweep s-1."
    )
