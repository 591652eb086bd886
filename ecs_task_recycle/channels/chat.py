"""Chat: an SNS topic that Amazon Q Developer shows in Slack and Teams, a thread for each run.

https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.commands import command_for_the_rest, command_to_restore
from ecs_task_recycle.settings.function import FunctionContext

if TYPE_CHECKING:
    import boto3

CONFIG: Final = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)
SIGNS: Final = {Status.COMPLETED: "✅", Status.PARTIAL: "⚠️", Status.FAILED: "❌"}
TITLE_LIMIT: Final = 250
DESCRIPTION_LIMIT: Final = 4_000
LISTED: Final = 10
COMMAND_LIMIT: Final = 1_000
"""A longer command, of many named tasks, is left to the mail and to the log."""
HARMLESS: Final = str.maketrans({"<": "(", ">": ")", "`": "'"})
"""By what links and calls to people begin in Slack's text, and code ends, is replaced by its like.
https://docs.slack.dev/messaging/formatting-message-text"""

logger = logging.getLogger(__name__)


def tell_chat(
    session: boto3.Session, topic_arn: str | None, answer: Answer, function: FunctionContext
) -> None:
    """Publish how a run ended, if there is a topic. What goes wrong is a warning, and no more."""
    if not topic_arn:
        return
    text = json.dumps(chat_message(answer, function), ensure_ascii=False)
    try:
        # The topic may lie in another region than the service.
        client: Any = session.client("sns", region_name=topic_arn.split(":")[3], config=CONFIG)
        client.publish(TopicArn=topic_arn, Message=text)
    except Exception as error:  # noqa: BLE001 - whatever a channel meets, the run's outcome stands
        refused = f"{type(error).__name__}: {error}"
        logger.warning("The chat was not told: sns:Publish to %s: %s", topic_arn, refused)


def chat_message(answer: Answer, function: FunctionContext) -> dict[str, Any]:
    """Return what Amazon Q Developer shows: the first line, the facts, and what to do next."""
    name = service_of(answer)
    status = answer.status.value.replace("_", " ")
    sign = SIGNS.get(answer.status, "ℹ️")  # noqa: RUF001 - the sign for information
    return {
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": f"{sign} {name}: {status}"[:TITLE_LIMIT],
            "description": "\n".join(_description(answer))[:DESCRIPTION_LIMIT],
            "nextSteps": _next_steps(answer, function),
            "keywords": [name, status],
        },
        "metadata": {
            "threadId": answer.run_id,
            "summary": f"{name}: {status}",
            "eventType": "Task Recycle Ended",
            "additionalContext": {"run_id": answer.run_id, "status": answer.status.value},
        },
    }


def service_of(answer: Answer) -> str:
    """Return the name of the service; of an event that could not be read, what it was for."""
    return f"{answer.cluster}/{answer.service}" if answer.cluster else "task recycle"


def _description(answer: Answer) -> list[str]:
    lines = [_counts(answer)] if answer.original_desired_count is not None else []
    if answer.reason:
        kind = f"{answer.error}: " if answer.error else ""
        lines.append(_plain(f"{kind}{answer.reason.rstrip('.')}."))
    left = answer.not_recycled
    lines += [f"Not recycled: `{_id(arn)}`" for arn in left[:LISTED]]
    if len(left) > LISTED:
        lines.append(f"… and {len(left) - LISTED} more")
    return lines or ["There is nothing more to say."]


def _counts(answer: Answer) -> str:
    count = answer.tasks_recycled or 0
    tasks = "1 task" if count == 1 else f"{count} tasks"
    minutes = "" if answer.duration_seconds is None else f" in {_duration(answer.duration_seconds)}"
    lowest = ""
    if answer.lowest_in_service is not None:
        of = answer.original_desired_count
        lowest = f", never fewer than {answer.lowest_in_service} of {of} in service"
    return f"{tasks} recycled{minutes}{lowest}."


def _next_steps(answer: Answer, function: FunctionContext) -> list[str]:
    steps = [_plain(answer.remedy)] if answer.remedy else []
    if answer.error == "RestoreError":
        steps.append(f"Restore the capacity: `{command_to_restore(answer, function)}`")
    elif answer.not_recycled and answer.status is Status.PARTIAL:
        command = command_for_the_rest(answer, function)
        if len(command) <= COMMAND_LIMIT:
            steps.append(f"Recycle the rest: `{command}`")
    return steps


def _plain(text: str) -> str:
    """Return a text that links to nothing and calls nobody, whoever wrote it."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    # In Teams a link is [text](address).
    return printable.translate(HARMLESS).replace("](", "] (")


def _id(arn: str) -> str:
    return arn.rpartition("/")[2]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
