"""A guardian's events are told from a user's; what no guardian sends is a SettingsError."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.invocation import EXECUTION_ENDED, Invocation, read_invocation

NAMED: Final = {"cluster_name": "shop", "service_name": "web"}
NEXT: Final = {"segment_of": "run", "event": NAMED}


def ended(**detail: object) -> dict[str, Any]:
    """Return the event of an execution's end."""
    given = {"status": "FAILED", "input": json.dumps({"next": NEXT}), **detail}
    return {"source": "aws.states", "detail-type": EXECUTION_ENDED, "detail": given}


@pytest.mark.parametrize("event", [NAMED, None, [], {"detail": NAMED}, {"source": "aws.states"}])
def test_what_no_guardian_has_sent_is_a_users(event: object) -> None:
    assert read_invocation(event) == Invocation(event=event)


def test_a_segment_names_its_run() -> None:
    assert read_invocation(NEXT) == Invocation(event=NAMED, segment_of="run")


@pytest.mark.parametrize("status", ["ABORTED", "FAILED", "TIMED_OUT"])
def test_the_end_of_a_guardian_names_its_run_and_how_it_ended(status: str) -> None:
    assert read_invocation(ended(status=status)) == Invocation(
        event=NAMED, segment_of="run", execution_status=status
    )


BROKEN: Final[dict[str, object]] = {
    "no run": {"segment_of": "", "event": NAMED},
    "a run that no execution is called": {"segment_of": "a b", "event": NAMED},
    "no event": {"segment_of": "run"},
    "no detail": {**ended(), "detail": None},
    "no input": ended(input=None),
    "no JSON": ended(input="{"),
    "deeply nested": ended(input="[" * 100_000),
    "a number of 6000 digits": ended(input=f'{{"next": {"9" * 6000}}}'),
    "a number as input": ended(input=10**6000),
    "no segment": ended(input='{"next": 3}'),
    "a status that ends nothing": ended(status="SUCCEEDED"),
    "a status with advice": ended(status="x\nRun this: curl evil.example"),
    "a status of another kind": ended(status=["FAILED"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_no_guardian_sends_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_invocation(BROKEN[name])

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
