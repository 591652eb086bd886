"""What people on call ask first: did it work, was the service affected, what is to be done.

Nothing here belongs to one channel.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Final

from ecs_task_recycle.channels.mail.body import (
    Body,
    count,
    left_arns,
    lines,
    mapping,
    one_line,
    recycled_count,
    rows,
    sequence,
    task_id,
)
from ecs_task_recycle.channels.mail.console import Place
from ecs_task_recycle.channels.mail.times import duration
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.settings.parameters import PARAMETERS, Action
from ecs_task_recycle.task import NOT_IN_TIME

WORKED: Final = "Did it work?"
AFFECTED: Final = "Was the service affected?"
WHY: Final = "Why?"
TO_DO: Final = "Is there anything to do?"

GO_ON: Final = "To recycle the tasks that are left, invoke the function again"
CONTINUE: Final = "To recycle what the interrupted run has left, invoke the function again"
TOO_SLOW: Final = (
    "But a container that is killed loses what it is working on: let it end on SIGTERM, or raise "
    "its stopTimeout."
)
RESTORE: Final = "The capacity is not as it was found. To restore it, once the cause is gone"

_ANSWERS: Final = {
    Status.COMPLETED.value: "Yes",
    Status.PARTIAL.value: "In part",
    Status.FAILED.value: "No",
}
_NOT_REPEATED: Final = (
    "cluster_name",
    "service_name",
    "started_before",
    "older_than_hours",
    "tasks",
    "dry_run",
    "action",
)
_FINISHED: Final = (Status.COMPLETED, Status.RESTORED, Status.NOTHING_TO_DO, Status.PLANNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to one question; ``commands`` are to be copied as they are."""

    question: str
    text: str
    commands: tuple[str, ...] = ()


def verdicts(body: Body, place: Place) -> tuple[Verdict, ...]:
    """Return what can be answered."""
    found = (
        Verdict(question=WORKED, text=_worked(body)),
        Verdict(question=AFFECTED, text=_affected(body)),
        Verdict(question=WHY, text=_sentence(lines(body.get("reason")))),
        _to_do(body, place),
    )
    return tuple(each for each in found if each.text or each.commands)


def _worked(body: Body) -> str:
    answer = _ANSWERS.get(one_line(body.get("status")))
    total = len(rows(body, "tasks")) + len(left_arns(body))
    if answer is None:
        return ""
    if not total:
        return f"{answer}."
    taken = duration(body.get("duration_seconds"))
    within = f" in {taken}" if taken else ""
    return f"{answer}: {recycled_count(body) or 0} of {total} tasks recycled{within}."


def _sentence(text: str) -> str:
    if not text:
        return ""
    start = text[0].upper() + text[1:]
    return start if start.endswith((".", "!", "?")) else f"{start}."


# ---- Was the service affected? ----


def _affected(body: Body) -> str:
    told = [_lowest(body), _gone(body), _killed(body), _still_stopping(body)]
    return " ".join(filter(None, told))


def _lowest(body: Body) -> str:
    lowest, required = count(body.get("lowest_in_service")), count(body.get("required_in_service"))
    original = count(body.get("original_desired_count"))
    if lowest is None or original is None or one_line(body.get("status")) == Status.PLANNED:
        return ""
    if lowest >= original:
        return f"No: never fewer than {_tasks(lowest)} in service; {original} are desired."
    if required is not None and lowest >= required:
        return (
            f"As asked: {lowest} of {original} tasks in service at the lowest, "
            "because maintain_service_state is false."
        )
    at_start = next((count(each) for _, each in _points(body)), None)
    began = "" if at_start is None else f" At the start there were {at_start}."
    return f"Yes: at the lowest {_tasks(lowest)} in service; {original} are desired.{began}"


def _points(body: Body) -> list[tuple[object, object]]:
    pairs = (sequence(pair) for pair in sequence(body.get("in_service")))
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]  # noqa: PLR2004 - a pair


def _gone(body: Body) -> str:
    gone = [row for row in rows(body, "tasks") if one_line(row.get("stopped_at")) == ""]
    if not gone or one_line(body.get("status")) == Status.PLANNED:
        return ""
    return f"{_tasks(len(gone))} went away by {'itself' if len(gone) == 1 else 'themselves'}."


def _killed(body: Body) -> str:
    killed_count = _count_with(body, "exit_verdict")
    if not killed_count:
        return ""
    was = "was" if killed_count == 1 else "were"
    return f"{_tasks(killed_count)} {was} killed while stopping, see the exit codes."


def _still_stopping(body: Body) -> str:
    stopping_count = _count_with(body, "still_stopping")
    if not stopping_count:
        return ""
    is_ = "is" if stopping_count == 1 else "are"
    return f"{_tasks(stopping_count)} {is_} still stopping, out of service."


def _count_with(body: Body, key: str) -> int:
    return sum(bool(one_line(row.get(key))) for row in rows(body, "tasks"))


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"


# ---- What to do ----


def _to_do(body: Body, place: Place) -> Verdict:
    status = one_line(body.get("status"))
    sentences, commands = [lines(body.get("remedy"))], []
    if status == Status.RESTORED and one_line(body.get("started_before")):
        sentences.append(f"{CONTINUE}:")
        commands.append(_invocation(body, place, **_rest(body)))
    elif status in _FINISHED:
        sentences.append(_after_success(body))
    elif _is_raised(body) and not sentences[0].startswith("Run: "):
        sentences.append(f"{RESTORE}:")
        commands.append(_invocation(body, place, action=Action.RESTORE.value))
    elif left_arns(body) and status in _ANSWERS:
        whether = " when their protection has ended" if _are_protected(body) else ""
        sentences.append(f"{GO_ON}{whether}:")
        commands.append(_invocation(body, place, **(_rest(body) | _manner(body))))
    return Verdict(
        question=TO_DO, text="\n".join(filter(None, sentences)), commands=tuple(commands)
    )


def _after_success(body: Body) -> str:
    changed = "\n".join(one_line(each) for each in sequence(_capacity(body).get("left_alone")))
    verdicts_of_exits = {one_line(row.get("exit_verdict")) for row in rows(body, "tasks")}
    if changed:
        return f"Check what was left as somebody else had set it:\n{changed}"
    return f"No. {TOO_SLOW}" if NOT_IN_TIME in verdicts_of_exits else "No."


def _capacity(body: Body) -> Body:
    return mapping(body.get("capacity"))


def _is_raised(body: Body) -> bool:
    """Whether the desired count is not as found, and nobody else has set it."""
    found, now = mapping(_capacity(body).get("found")), mapping(_capacity(body).get("now"))
    counts = count(found.get("desired_count")), count(now.get("desired_count"))
    return None not in counts and counts[0] != counts[1] and not _capacity(body).get("left_alone")


def _are_protected(body: Body) -> bool:
    protected = {one_line(row.get("task")) for row in rows(body, "skipped")}
    return set(left_arns(body)) <= protected


def _rest(body: Body) -> dict[str, object]:
    """Return the parameter that asks for the tasks that are left, and for no others.

    A run of named tasks has no instant: without their names all tasks would be recycled.
    """
    since = one_line(body.get("started_before"))
    return {"started_before": since} if since else {"tasks": [*map(task_id, left_arns(body))]}


def _manner(body: Body) -> dict[str, object]:
    """Return the parameters that say how the run was to recycle, not which tasks.

    One that is not given reads as None, which no parameter accepts.
    """
    given = dict(mapping(body.get("parameters")))
    # A run that has taken a queued request goes by the creation of tasks, which it was not asked.
    given |= {name: body[name] for name in ("if_running",) if name in body}
    repeated = [each for each in PARAMETERS if each.name not in _NOT_REPEATED]
    return {each.name: given[each.name] for each in repeated if each.accepts(given.get(each.name))}


def _invocation(body: Body, place: Place, **parameters: object) -> str:
    """Return the command that invokes the function for the same service, to be copied as it is."""
    names = {"cluster_name": "cluster", "service_name": "service"}
    named = {name: one_line(body.get(key)) for name, key in names.items()}
    payload = named | parameters
    words = ["aws", "lambda", "invoke", "--function-name", place.function_name or "FUNCTION_NAME"]
    if place.function_region:
        words += ["--region", place.function_region]
    words += ["--invocation-type", "Event", "--cli-binary-format", "raw-in-base64-out"]
    return shlex.join([*words, "--payload", json.dumps(payload), "response.json"])
