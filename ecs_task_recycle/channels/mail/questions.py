"""What people on call ask first: did it work, was the service affected, what is to be done.

Nothing here belongs to mail alone: another channel can start here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ecs_task_recycle.channels.mail.times import duration
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.commands import (
    command_for_the_interrupted_run,
    command_for_the_rest,
    command_to_restore,
)
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.task import NOT_IN_TIME, STOPPED_BY_DEAD
from ecs_task_recycle.text import lines, one_line

WORKED: Final = "Did it work?"
AFFECTED: Final = "Was the service affected?"
WHY: Final = "Why?"
TO_DO: Final = "Is there anything to do?"

GO_ON: Final = "To recycle the remaining tasks, invoke the function again"
CONTINUE: Final = "To recycle the tasks that the interrupted run has left, invoke the function"
TOO_SLOW: Final = (
    "But a container that is killed loses what it is working on: let it end on SIGTERM, or raise "
    "its stopTimeout."
)
RESTORE: Final = "The capacity is not as it was found. To restore it, once the cause is gone"

_WORKED: Final = {Status.COMPLETED: "Yes", Status.PARTIAL: "In part", Status.FAILED: "No"}
_FINISHED: Final = (Status.COMPLETED, Status.RESTORED, Status.NOTHING_TO_DO, Status.PLANNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredQuestion:
    """A question and its answer; ``commands`` are to be copied as they are."""

    question: str
    text: str
    commands: tuple[str, ...] = ()


def answered_questions(answer: Answer, function: FunctionContext) -> tuple[AnsweredQuestion, ...]:
    """Return the questions that the answer of a run answers."""
    found = (
        AnsweredQuestion(question=WORKED, text=_worked(answer)),
        AnsweredQuestion(question=AFFECTED, text=_affected(answer)),
        AnsweredQuestion(question=WHY, text=_sentence(lines(answer.reason))),
        _to_do(answer, function),
    )
    return tuple(each for each in found if each.text or each.commands)


def _worked(answer: Answer) -> str:
    verdict = _WORKED.get(answer.status)
    total = len(answer.ended_tasks) + len(answer.not_recycled)
    if verdict is None:
        return ""
    if not total:
        return f"{verdict}."
    taken = duration(answer.duration_seconds)
    within = f" in {taken}" if taken else ""
    return f"{verdict}: {answer.tasks_recycled or 0} of {total} tasks recycled{within}."


def _sentence(text: str) -> str:
    if not text:
        return ""
    # The name of an IAM action, as in ecs:StopTask, is written as it is.
    start = text if ":" in text.partition(" ")[0] else text[0].upper() + text[1:]
    return start if start.endswith((".", "!", "?")) else f"{start}."


# ---- Was the service affected? ----


def _affected(answer: Answer) -> str:
    if answer.status is Status.PLANNED:
        return ""
    tasks = answer.ended_tasks
    gone_count = sum(task.stopped_at is None and task.note != STOPPED_BY_DEAD for task in tasks)
    killed_count = sum(task.exit_verdict is not None for task in tasks)
    stopping_count = sum(task.still_stopping is not None for task in tasks)
    sentences = (
        _lowest(answer),
        _counted(gone_count, "went away by itself", "went away by themselves"),
        _counted(
            killed_count,
            "was killed while stopping, see the exit code",
            "were killed while stopping, see the exit codes",
        ),
        _counted(
            stopping_count,
            "is still stopping, out of service",
            "are still stopping, out of service",
        ),
    )
    return " ".join(filter(None, sentences))


def _lowest(answer: Answer) -> str:
    lowest, required = answer.lowest_in_service, answer.required_in_service
    original = answer.original_desired_count
    if lowest is None or original is None:
        return ""
    if lowest >= original:
        return f"No: never fewer than {_tasks(lowest)} in service; {original} are desired."
    if required is not None and lowest >= required:
        return (
            f"As asked: {lowest} of {original} tasks in service at the lowest, "
            "because maintain_service_state is false."
        )
    began = f" At the start there were {answer.in_service[0][1]}." if answer.in_service else ""
    return f"Yes: at the lowest {_tasks(lowest)} in service; {original} are desired.{began}"


def _counted(count: int, of_one: str, of_several: str) -> str:
    return f"{_tasks(count)} {of_one if count == 1 else of_several}." if count else ""


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


# ---- What to do ----


def _to_do(answer: Answer, function: FunctionContext) -> AnsweredQuestion:
    remedy = lines(answer.remedy)
    advice, command = _advice(answer, function)
    return AnsweredQuestion(
        question=TO_DO,
        text="\n".join(filter(None, (remedy, advice))),
        commands=(command,) if command else (),
    )


def _advice(answer: Answer, function: FunctionContext) -> tuple[str, str]:
    """Return what to do beside the remedy, and the command for it; empty: nothing."""
    if answer.status is Status.RESTORED and answer.started_before is not None:
        return f"{CONTINUE}:", command_for_the_interrupted_run(answer, function)
    if answer.status in _FINISHED:
        return _after_success(answer), ""
    if _is_raised(answer) and not (answer.remedy or "").startswith("Run: "):
        return f"{RESTORE}:", command_to_restore(answer, function)
    if answer.not_recycled and answer.status in _WORKED:
        return f"{GO_ON}{_when(answer)}:", command_for_the_rest(answer, function)
    return "", ""


def _after_success(answer: Answer) -> str:
    left_alone = () if answer.capacity is None else answer.capacity.left_alone
    if left_alone:
        changes = "\n".join(map(one_line, left_alone))
        return f"Check the settings that somebody else changed and the run left alone:\n{changes}"
    was_slow = any(NOT_IN_TIME in (task.exit_verdict or "") for task in answer.ended_tasks)
    return f"No. {TOO_SLOW}" if was_slow else "No."


def _is_raised(answer: Answer) -> bool:
    """Whether the desired count is not as found, and nobody else has set it."""
    capacity = answer.capacity
    if capacity is None or capacity.left_alone:
        return False
    return capacity.found.desired_count != capacity.now.desired_count


def _when(answer: Answer) -> str:
    """Return when the run may be repeated, empty: at once."""
    if answer.status is Status.FAILED:
        return " once the cause is gone"
    return " when their protection has ended" if _are_protected(answer) else ""


def _are_protected(answer: Answer) -> bool:
    return set(answer.not_recycled) <= {skipped.task for skipped in answer.skipped}
