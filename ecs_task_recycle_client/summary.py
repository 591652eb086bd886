"""What the function has answered, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from ecs_task_recycle_client.command_line import Command, Wanted
from ecs_task_recycle_client.replies import Reply, short

TOLD_OF_STANDING: Final = ("run_id", "state", "number", "total", "task")
"""What the first line of a status tells; the task stands in what is awaited."""

LISTED: Final = 30
"""So many tasks are listed; of the rest it is said how many there are."""

SHOWN_OF_TASKS: Final = ("note", "not_in_service", "still_stopping")
TOLD_BY_TITLE: Final = ("cluster", "service", "status", "reason")
"""Of an answer that this client knows nothing of: what the first line tells."""


def lines_of(wanted: Wanted, reply: Reply) -> list[str]:
    """Return what an answer says."""
    if reply.error is not None:
        return [f"{wanted.title}: failed ({reply.error}).", reply.message]
    # A sweep's outcomes have the names of a run's, and other fields.
    how = _other if "sweep" in reply.body else HOW.get(reply.status, _other)
    return [line for line in how(wanted, reply.body) if line]


def _ended(wanted: Wanted, body: Mapping[str, Any]) -> list[str]:
    """Return how a run ended: first the counts, then what is left and why."""
    lines = [f"{wanted.title}: {body['status']}. {_counts(body)}".rstrip()]
    if body.get("reason"):
        lines.append(_sentence(body["reason"]))
    lines += [
        f"  {short(task.get('task'))}: {'; '.join(said)}"
        for task in _rows(body, "tasks")
        if (said := [str(task[name]) for name in SHOWN_OF_TASKS if task.get(name)])
    ]
    lines += _skipped(body)
    lines += _listed("Not recycled", [f"  {short(arn)}" for arn in _values(body, "remaining")])
    selection = _selection(body)
    if body["status"] == "partial" and selection and "service_name" in wanted.event:
        lines.append(f"Go on by: {wanted.typed(Command.RUN, *selection)}")
    return lines


def _selection(body: Mapping[str, Any]) -> list[str]:
    """Return the options that select the tasks that were left; of named tasks, their ids."""
    before = body.get("started_before")
    if before:
        return ["--started-before", str(before)]
    left = [*_values(body, "remaining"), *(each.get("task") for each in _rows(body, "skipped"))]
    return ["--tasks", *dict.fromkeys(map(short, left))] if left else []


def _counts(body: Mapping[str, Any]) -> str:
    count, seconds = body.get("tasks_recycled"), body.get("duration_seconds")
    if not isinstance(count, int):
        run = body.get("run")
        count = _recycled_count(run) if isinstance(run, Mapping) else None
    if not isinstance(count, int):
        return ""
    text = f"{count} {'task' if count == 1 else 'tasks'} recycled"
    if isinstance(seconds, int | float):
        text += f" in {duration_text(seconds)}"
    lowest, desired = body.get("lowest_in_service"), body.get("original_desired_count")
    if isinstance(lowest, int) and isinstance(desired, int):
        text += f", never fewer than {lowest} of {desired} in service"
    return f"{text}."


def _planned(wanted: Wanted, body: Mapping[str, Any]) -> list[str]:
    tasks, seconds = _rows(body, "tasks"), body.get("at_least_seconds")
    counted = f"{len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}"
    least = ""
    if isinstance(seconds, int | float):
        least = f", in at least {duration_text(seconds)}"
    rows = [f"  {number:>3}  {_planned_task(task)}" for number, task in enumerate(tasks, start=1)]
    allowed = "Every permission is there. " if body.get("permissions") else ""
    return [
        f"{wanted.title}: planned. {counted} would be recycled{least}.",
        *rows[:LISTED],
        *_more(rows),
        *_skipped(body),
        *map(_sentence, _values(body, "remarks")),
        f"{allowed}Nothing was changed.",
    ]


def _planned_task(task: Mapping[str, Any]) -> str:
    since = f"started {_time(task['started_at'])}" if task.get("started_at") else "not started yet"
    zone = f", {task['zone']}" if task.get("zone") else ""
    lacking = f"; not in service: {task['not_in_service']}" if task.get("not_in_service") else ""
    return f"{short(task.get('task'))}  {since}{zone}{lacking}"


def _skipped(body: Mapping[str, Any]) -> list[str]:
    rows = []
    for each in _rows(body, "skipped"):
        until = f", until {_time(each['until'])}" if each.get("until") else ""
        rows.append(f"  {short(each.get('task'))}: {each.get('reason')}{until}")
    return _listed("Left alone", rows)


def _listed(title: str, rows: list[str]) -> list[str]:
    return [f"{title}:", *rows[:LISTED], *_more(rows)] if rows else []


def _more(rows: list[str]) -> list[str]:
    left_out = len(rows) - LISTED
    return [f"  … and {left_out} more"] if left_out > 0 else []


def _status(wanted: Wanted, body: Mapping[str, Any]) -> list[str]:
    """Return all that a status tells: a line for each field."""
    run = body.get("run")
    facts = run if isinstance(run, Mapping) else {}
    if wanted.command is Command.STATUS and not facts.get("run_id"):
        return [f"{wanted.title}: it has not been recycled in the last 90 days."]
    stands = _standing(facts)
    rest = {name: value for name, value in facts.items() if name not in TOLD_OF_STANDING}
    return [f"{wanted.title}: {stands}.", *_facts(rest)]


def _standing(run: Mapping[str, Any]) -> str:
    """Return which run it is, and how far it has come."""
    total, state = run.get("total"), str(run.get("state"))
    how_far = f", {_recycled_count(run)} of {total} tasks recycled" if total else ""
    return f"run {run['run_id']}, {state.replace('_', ' ')}{how_far}"


def _recycled_count(run: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever was answered
    """Return how many tasks a run has replaced: once it has ended, by its outcome.

    Its ``number`` also counts a task that was in hand when the run failed.
    """
    outcomes = {each.get("run_id"): each for each in _rows(run, "outcomes")}
    return outcomes.get(run.get("run_id"), {}).get("tasks_recycled", run.get("number"))


def _other(wanted: Wanted, body: Mapping[str, Any]) -> list[str]:
    """Return a sweep's answer, or one of which nothing but its status is known: all it tells."""
    facts = {name: value for name, value in body.items() if name not in TOLD_BY_TITLE}
    return [*_said(wanted, body), *_facts(facts)]


def _said(wanted: Wanted, body: Mapping[str, Any]) -> list[str]:
    status = str(body["status"]).replace("_", " ")
    reason = body.get("reason")
    return [f"{wanted.title}: {status}. {_sentence(reason) if reason else ''}".rstrip()]


def _facts(facts: Mapping[str, Any]) -> Iterable[str]:
    for name, value in facts.items():
        if not value:  # nothing, none, not asked for
            continue
        label = name.replace("_", " ")
        if isinstance(value, list):
            yield from _listed(f"  {label}", [f"    {_row(each)}" for each in value])
        else:
            yield f"  {label}: {_row(value)}"


def _row(value: object) -> str:
    if isinstance(value, Mapping):
        given = {name: each for name, each in value.items() if each is not None}
        return ", ".join(f"{name.replace('_', ' ')} {_row(each)}" for name, each in given.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _time(value)


def _time(value: object) -> str:
    """Return an instant as people read it, anything else as it is."""
    try:
        return f"{datetime.fromisoformat(str(value)):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return str(value)


def duration_text(seconds: float) -> str:
    """Return a duration as words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest} s")
    return " ".join(filter(None, parts))


def _sentence(text: object) -> str:
    said = str(text).strip().rstrip(".")
    begins_with_a_parameter = "_" in said.partition(" ")[0]
    return f"{said}." if begins_with_a_parameter else f"{said[:1].upper()}{said[1:]}."


def _rows(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [each for each in _values(body, name) if isinstance(each, Mapping)]


def _values(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


HOW: Final[Mapping[str, Callable[[Wanted, Mapping[str, Any]], list[str]]]] = {
    "completed": _ended,
    "partial": _ended,
    "failed": _ended,
    "planned": _planned,
    "status": _status,
    "restored": _said,
    "nothing_to_do": _said,
    "stopping": _said,
    "continued": _said,
    "queued": _said,
}
