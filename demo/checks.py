"""What must have come true for the demo to have shown anything: one verdict per claim."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo.record import Phase, Record, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demo.mail_server import ReceivedMail
    from demo.record import TaskRecord

CLEARING: Final = "UpdateTaskProtection"
"""By the API; the worker's own calls go to the container agent."""
COMPLETED: Final = (200, "completed")
PLACEHOLDERS: Final = {"{task_arn}": r"arn:\S+:task/\S+", "{seconds}": r"\d+"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """A service's desired count and its autoscaling limits."""

    desired_count: int
    min_capacity: int
    max_capacity: int

    def __str__(self) -> str:
        return f"desired {self.desired_count}, min {self.min_capacity}, max {self.max_capacity}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that can be seen after the run, from outside of the function.

    `answer` is the response's JSON with its body read, `messages` are the log's, in their order,
    `journal` is what the SSM parameter of the service holds, None where there is none.
    `worker_arn` is the task that works under scale-in protection.
    """

    service: str
    worker_arn: str
    cli_status: int
    answer: Mapping[str, Any]
    messages: Sequence[str]
    record: Record
    capacity_before: Capacity
    capacity_after: Capacity
    journal: str | None
    mails: Sequence[ReceivedMail]

    @property
    def body(self) -> Mapping[str, Any]:
        """The answer's body, empty where the function raised."""
        body = self.answer.get("body")
        return body if isinstance(body, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A claim, whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str


def verdicts(outcome: Outcome) -> list[Verdict]:
    """Return the verdict on every claim."""
    return [judge(outcome) for judge in CLAIMS]


def answer_is_completed(outcome: Outcome) -> Verdict:
    """Judge the answer, and the AWS CLI's exit status."""
    answer = outcome.answer
    if "errorType" in answer:
        seen = f"{answer['errorType']}: {answer.get('errorMessage')}"
    else:
        seen = f"{answer.get('statusCode')} {outcome.body.get('status')}"
    if outcome.cli_status:
        seen += f"; the AWS CLI left with {outcome.cli_status}"
    is_completed = (answer.get("statusCode"), outcome.body.get("status")) == COMPLETED
    return Verdict(
        claim="the answer is 200, completed",
        holds=is_completed and outcome.cli_status == 0,
        seen=seen,
    )


def originals_are_replaced(outcome: Outcome) -> Verdict:
    """Judge by the emulator's record and by what the answer says of it."""
    record = outcome.record
    recycled = {task.arn for task in record.originals if task.was_recycled}
    told = {str(row["task"]) for row in outcome.body.get("tasks", [])}
    last = [task for task in record.tasks if task.phase_at(record.until) is Phase.IN_SERVICE]
    newcomers_count = sum(task.role is not Role.ORIGINAL for task in last)
    total = len(record.originals)
    return Verdict(
        claim=f"all {total} originals are replaced",
        holds=len(recycled) == total and told == recycled and newcomers_count == len(last) >= total,
        seen=f"{len(recycled)} of {total} stopped by the run, {len(told)} in the answer, "
        f"{newcomers_count} of {len(last)} in service at the end are new",
    )


def worker_was_spared(outcome: Outcome) -> Verdict:
    """Judge the protected task's end by the emulator's record: nobody but itself cleared it."""
    (worker,) = [task for task in outcome.record.tasks if task.arn == outcome.worker_arn]
    was_cleared_by_run = CLEARING in outcome.record.written_operations
    was_spared = not worker.was_stopped_under_protection and not was_cleared_by_run
    return Verdict(
        claim="the worker was not stopped while it was protected, and was recycled afterwards",
        holds=bool(worker.protections) and worker.was_recycled and was_spared,
        seen=_told_worker(worker) + (", the run wrote a mark" if was_cleared_by_run else ""),
    )


def _told_worker(worker: TaskRecord) -> str:
    told = f"protected for {sum(end - start for start, end in worker.protections):.1f} s"
    if worker.was_stopped_under_protection:
        return f"{told}, and stopped meanwhile"
    if worker.stopped_at is None or not worker.was_recycled:
        return f"{told}, not stopped by the run"
    seconds = worker.stopped_at - max((end for _, end in worker.protections), default=0.0)
    return f"{told}, stopped {seconds:.1f} s after that" if worker.protections else told


def line_was_never_crossed(outcome: Outcome) -> Verdict:
    """Judge by the emulator's record, which knows of every instant."""
    line, reached = outcome.record.original_desired_count, outcome.record.lowest_in_service()
    return Verdict(
        claim=f"never fewer than {line} in service, by the emulator's record",
        holds=reached >= line,
        seen=f"lowest {reached}, the answer says {outcome.body.get('lowest_in_service')}",
    )


def capacity_is_as_found(outcome: Outcome) -> Verdict:
    """Judge the desired count and both autoscaling limits; they must have been raised, too."""
    raised_to = max(level.count for level in outcome.record.desired)
    return Verdict(
        claim="one task more meanwhile, then the capacity as found",
        holds=outcome.capacity_after == outcome.capacity_before
        and raised_to == outcome.capacity_before.desired_count + 1,
        seen=f"{outcome.capacity_before}; raised to {raised_to}; now {outcome.capacity_after}",
    )


def journal_is_gone(outcome: Outcome) -> Verdict:
    """Judge that the run has written its journal and left none."""
    wrote_one = "PutParameter" in outcome.record.written_operations
    left = "none is left" if outcome.journal is None else f"left: {outcome.journal}"
    return Verdict(
        claim="the journal was kept, and is gone",
        holds=wrote_one and outcome.journal is None,
        seen=f"{'written' if wrote_one else 'never written'}, {left}",
    )


def one_mail_came_over_tls(outcome: Outcome) -> Verdict:
    """Judge the mails that the server has taken."""
    mails = outcome.mails
    hidden = [mail for mail in mails if mail.over_tls]
    return Verdict(
        claim="exactly one mail came, over TLS",
        holds=len(mails) == len(hidden) == 1,
        seen=f"{len(mails)} came, {len(hidden)} over TLS",
    )


def log_says_the_agreed_lines(outcome: Outcome) -> Verdict:
    """Judge that the log holds the documented lines, word for word and in their order."""
    missing = missing_lines(outcome.messages, expected_lines(outcome))
    return Verdict(
        claim="the log holds the documented lines, in their order",
        holds=not missing,
        seen=f"missing: {missing[0]}" if missing else "all are there",
    )


def expected_lines(outcome: Outcome) -> list[str]:
    """Return the lines; {task_arn} and {seconds} stand for what is the run's own business."""
    total = len(outcome.record.originals)
    recycled = [
        line
        for number in range(1, total + 1)
        for line in (
            f"Recycling task {number}/{total}: {{task_arn}}",
            f"Task {number} recycled, waiting {{seconds}}s",
        )
    ]
    desired_count = outcome.record.original_desired_count
    return [
        f"Starting task recycle for {outcome.service}",
        f"Original desired count: {desired_count}, tasks: {total}",
        *recycled,
        "Task recycle completed successfully",
    ]


def missing_lines(messages: Sequence[str], expected: Sequence[str]) -> list[str]:
    """Return the expected lines from the first one on that no message, in order, is."""
    rest = iter(messages)
    for index, line in enumerate(expected):
        if not any(_pattern(line).fullmatch(message) for message in rest):
            return list(expected[index:])
    return []


def _pattern(line: str) -> re.Pattern[str]:
    text = re.escape(line)
    for name, pattern in PLACEHOLDERS.items():
        text = text.replace(re.escape(name), pattern)
    return re.compile(text)


CLAIMS: Final[Sequence[Callable[[Outcome], Verdict]]] = (
    answer_is_completed,
    originals_are_replaced,
    worker_was_spared,
    line_was_never_crossed,
    capacity_is_as_found,
    journal_is_gone,
    one_mail_came_over_tls,
    log_says_the_agreed_lines,
)
