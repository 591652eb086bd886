"""A guardian's events are told from a user's; what no guardian sends is a SettingsError."""

from __future__ import annotations

from typing import Any, Final

import pytest

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.invocation import Invocation, RestoreOnly, read_invocation

NAMED: Final = {"cluster_name": "shop", "service_name": "web"}
NEXT: Final = {"segment_of": "run", "event": NAMED, "raised": None}


def restoring(**fields: object) -> dict[str, Any]:
    """Return the event of an attempt to restore."""
    return {"restore_of": "run", "event": NAMED, "status": "FAILED", "attempt": 3, **fields}


@pytest.mark.parametrize("event", [NAMED, None, [], {"detail": NAMED}, {"source": "aws.states"}])
def test_what_no_guardian_has_sent_is_a_users(event: object) -> None:
    assert read_invocation(event) == Invocation(event=event)


def test_a_segment_names_its_run() -> None:
    assert read_invocation(NEXT) == Invocation(event=NAMED, run_id="run")


def test_of_a_segments_parameters_no_more_than_the_names_are_taken() -> None:
    """The others stand in the run's record: a forged event cannot make a dry run stop tasks."""
    forged = NEXT | {"event": NAMED | {"dry_run": True, "wait_time": 0, "tasks": ["x"]}}

    assert read_invocation(forged) == Invocation(event=NAMED, run_id="run")


@pytest.mark.parametrize("status", ["ABORTED", "FAILED", "TIMED_OUT"])
def test_an_attempt_to_restore_says_how_the_guardian_ended_and_what_is_raised(status: str) -> None:
    event = restoring(status=status, raised={"found": 1})

    assert read_invocation(event) == Invocation(
        event=NAMED,
        run_id="run",
        raised={"found": 1},
        restore=RestoreOnly(status=status, attempt=3),
    )


BROKEN: Final[dict[str, object]] = {
    "no run": {"segment_of": "", "event": NAMED},
    "a run that no execution is called": {"segment_of": "a b", "event": NAMED},
    "no event": {"segment_of": "run"},
    "no run to restore": restoring(restore_of=None),
    "no event to restore": restoring(event=3),
    "a status that ends nothing": restoring(status="SUCCEEDED"),
    "a status with advice": restoring(status="x\nRun this: curl evil.example"),
    "a status of another kind": restoring(status=["FAILED"]),
    "no attempt": restoring(attempt=None),
    "half an attempt": restoring(attempt=0.5),
    "an attempt before the first": restoring(attempt=-1),
    "an attempt of 6000 digits": restoring(attempt=10**6000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_no_guardian_sends_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_invocation(BROKEN[name])

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
