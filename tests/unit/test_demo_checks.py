"""Every promise that the demo judges: it holds for a run as it should be, and can be broken."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final

import pytest

from demo import checks
from demo.checks import Capacity, Outcome, missing_lines, verdicts
from demo.mail_server import ReceivedMail
from demo.record import Level, Phase, Record, Role, TaskRecord

if TYPE_CHECKING:
    from collections.abc import Callable

ARNS: Final = [f"arn:aws:ecs:us-east-1:123456789012:task/demo/{number}" for number in range(6)]
FOUND: Final = Capacity(desired_count=3, min_capacity=3, max_capacity=6)
MAIL: Final = ReceivedMail(
    sender="a@example.com",
    recipients=("b@example.com",),
    message=EmailMessage(),
    source=b"",
    over_tls=True,
    username="demo",
)


def original(arn: str, stopped_by: str | None = "StopTask by AKIA") -> TaskRecord:
    phases = ((0.0, Phase.IN_SERVICE), (5.0, Phase.GONE))
    return TaskRecord(arn=arn, role=Role.ORIGINAL, phases=phases, stopped_by=stopped_by)


def newcomer(arn: str) -> TaskRecord:
    phases = ((2.0, Phase.IN_SERVICE),)
    return TaskRecord(arn=arn, role=Role.REPLACEMENT, phases=phases, stopped_by=None)


def level(at: float, count: int) -> Level:
    return Level(at=at, count=count)


WORKER: Final = replace(original(ARNS[0]), protections=((1.0, 3.0), (3.0, 4.5)))
RECORD: Final = Record(
    since=0.0,
    until=10.0,
    tasks=(WORKER, *map(original, ARNS[1:3]), *map(newcomer, ARNS[3:])),
    desired=(level(0, 3), level(1, 4), level(9, 3)),
    in_service=(level(0, 3), level(2, 4), level(9, 3)),
    written_operations=("PutParameter", "StopTask", "DeleteParameter"),
)
MESSAGES: Final = [
    "Starting task recycle for demo/web",
    "Original desired count: 3, tasks: 3",
    "Raising the desired count from 3 to 4",
    f"Recycling task 1/3: {ARNS[1]}",
    "Task 1 recycled, waiting 2s",
    f"Recycling task 2/3: {ARNS[0]}",
    "Task 2 recycled, waiting 2s",
    f"Recycling task 3/3: {ARNS[2]}",
    "Task 3 recycled, waiting 2s",
    "Task recycle completed successfully",
]
TASKS: Final = [{"task": arn} for arn in ARNS[:3]]
BODY: Final = {"status": "completed", "lowest_in_service": 3, "tasks": TASKS}
GOOD: Final = Outcome(
    service="demo/web",
    worker_arn=WORKER.arn,
    cli_status=0,
    answer={"statusCode": 200, "body": BODY},
    messages=MESSAGES,
    record=RECORD,
    capacity_before=FOUND,
    capacity_after=FOUND,
    journal=None,
    mails=(MAIL,),
)


def with_body(**changes: object) -> Outcome:
    return replace(GOOD, answer={"statusCode": 200, "body": {**BODY, **changes}})


def with_record(**changes: Any) -> Outcome:  # noqa: ANN401 - any field of a record
    return replace(GOOD, record=replace(RECORD, **changes))


def with_worker(**changes: Any) -> Outcome:  # noqa: ANN401 - any field of a task's record
    return with_record(tasks=(replace(WORKER, **changes), *RECORD.tasks[1:]))


BROKEN: Final[list[tuple[Callable[[Outcome], checks.Verdict], Outcome]]] = [
    (checks.answer_is_completed, replace(GOOD, answer={})),
    (checks.answer_is_completed, replace(GOOD, cli_status=255)),
    (checks.answer_is_completed, replace(GOOD, answer={"statusCode": 206, "body": BODY})),
    (checks.answer_is_completed, with_body(status="partial")),
    (checks.answer_is_completed, replace(GOOD, answer={"errorType": "RestoreError"})),
    (checks.originals_are_replaced, with_body(tasks=TASKS[:2])),
    (checks.originals_are_replaced, with_body(tasks=[*TASKS, {"task": ARNS[3]}])),
    (
        checks.originals_are_replaced,
        with_record(tasks=(original(ARNS[0], "ScaleIn"), *RECORD.tasks[1:])),
    ),
    (
        checks.originals_are_replaced,
        with_record(tasks=(replace(RECORD.tasks[0], phases=((0.0, Phase.IN_SERVICE),)),)),
    ),
    (checks.originals_are_replaced, with_record(tasks=RECORD.tasks[:5])),
    (checks.worker_was_spared, with_worker(protections=())),
    (checks.worker_was_spared, with_worker(protections=((1.0, 7.0),))),
    (checks.worker_was_spared, with_worker(protections=((1.0, 5.0),))),
    (checks.worker_was_spared, with_worker(stopped_by="scheduler scale-in")),
    (
        checks.worker_was_spared,
        with_record(written_operations=(*RECORD.written_operations, "UpdateTaskProtection")),
    ),
    (
        checks.worker_was_spared,
        with_worker(stopped_by=None, phases=((0.0, Phase.IN_SERVICE),)),
    ),
    (checks.line_was_never_crossed, with_record(in_service=(level(0, 3), level(4, 2)))),
    (
        checks.line_was_never_crossed,
        with_record(in_service=(level(0, 3), level(4, 2), level(4.01, 3))),
    ),
    (
        checks.capacity_is_as_found,
        replace(GOOD, capacity_after=replace(FOUND, desired_count=4)),
    ),
    (checks.capacity_is_as_found, replace(GOOD, capacity_after=replace(FOUND, min_capacity=4))),
    (checks.capacity_is_as_found, replace(GOOD, capacity_after=replace(FOUND, max_capacity=7))),
    (checks.capacity_is_as_found, with_record(desired=(level(0, 3),))),
    (checks.journal_is_gone, replace(GOOD, journal="{}")),
    (checks.journal_is_gone, with_record(written_operations=("StopTask",))),
    (checks.one_mail_came_over_tls, replace(GOOD, mails=())),
    (checks.one_mail_came_over_tls, replace(GOOD, mails=(MAIL, MAIL))),
    (checks.one_mail_came_over_tls, replace(GOOD, mails=(replace(MAIL, over_tls=False),))),
    *(
        (
            checks.log_says_the_agreed_lines,
            replace(GOOD, messages=MESSAGES[:index] + MESSAGES[index + 1 :]),
        )
        for index in range(len(MESSAGES))
        if index != 2
    ),
    (checks.log_says_the_agreed_lines, replace(GOOD, messages=MESSAGES[::-1])),
    (
        checks.log_says_the_agreed_lines,
        replace(GOOD, messages=[*MESSAGES[:-1], f"{MESSAGES[-1]}."]),
    ),
]


def test_a_run_as_it_should_be_keeps_every_promise() -> None:
    found = verdicts(GOOD)
    assert [verdict.claim for verdict in found if not verdict.holds] == []
    assert len(found) == 8


@pytest.mark.parametrize("judge,outcome", BROKEN)
def test_a_broken_promise_is_found_by_its_own_judge(
    judge: Callable[[Outcome], checks.Verdict], outcome: Outcome
) -> None:
    assert not judge(outcome).holds
    assert judge in checks.CLAIMS


@pytest.mark.parametrize("judge", checks.CLAIMS)
def test_every_claim_has_a_case_that_breaks_it(
    judge: Callable[[Outcome], checks.Verdict],
) -> None:
    assert judge in [each for each, _ in BROKEN]


def test_an_error_is_told_with_its_type_and_message() -> None:
    answer = {"errorType": "ReplacementError", "errorMessage": "No new task comes up."}
    verdict = checks.answer_is_completed(replace(GOOD, answer=answer))
    assert verdict.seen == "ReplacementError: No new task comes up."


@pytest.mark.parametrize(
    "outcome,seen",
    [
        (GOOD, "protected for 3.5 s, stopped 0.5 s after that"),
        (with_worker(protections=((1.0, 7.0),)), "protected for 6.0 s, and stopped meanwhile"),
        (with_worker(stopped_by="crash"), "protected for 3.5 s, not stopped by the run"),
        (with_worker(protections=()), "protected for 0.0 s"),
    ],
)
def test_it_is_told_how_the_worker_fared(outcome: Outcome, seen: str) -> None:
    assert checks.worker_was_spared(outcome).seen == seen


def test_the_first_missing_line_is_named() -> None:
    verdict = checks.log_says_the_agreed_lines(replace(GOOD, messages=MESSAGES[:4]))
    assert verdict.seen == "missing: Task 1 recycled, waiting {seconds}s"


def test_lines_in_between_do_no_harm_and_repeated_ones_count_once() -> None:
    assert missing_lines(["x", "a", "y", "b"], ["a", "b"]) == []
    assert missing_lines(["a", "b"], ["a", "a", "b"]) == ["a", "b"]
