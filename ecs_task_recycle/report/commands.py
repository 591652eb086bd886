"""The commands that people copy: each invokes the function for what an answer is about."""

from __future__ import annotations

import json
import shlex
from typing import Final

from ecs_task_recycle.codec import Json
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.sweep_answer import SweepAnswer
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.settings.parameters import Action

UNKNOWN_FUNCTION: Final = "FUNCTION_NAME"


def command_for_the_rest(answer: Answer, function: FunctionContext) -> str:
    """Return the command that recycles the tasks that the run has left, in the same way."""
    parameters = {**answer.parameters_for_the_rest, **answer.repeated_parameters}
    return _invocation(answer, function, parameters)


def command_for_the_interrupted_run(answer: Answer, function: FunctionContext) -> str:
    """Return the command that continues the run whose capacity this one has restored."""
    return _invocation(answer, function, {**answer.parameters_for_the_rest})


def command_to_restore(answer: Answer, function: FunctionContext) -> str:
    """Return the command that restores the capacity."""
    return _invocation(answer, function, {"action": Action.RESTORE.value})


def command_to_sweep_again(answer: SweepAnswer, function: FunctionContext) -> str:
    """Return the command that recycles, of the services left, the tasks that the sweep has left."""
    payload: dict[str, Json] = {"services": [each.service for each in answer.left]}
    payload |= answer.parameters
    if answer.started_at is not None and not {"started_before", "older_than_hours"} & {*payload}:
        payload["started_before"] = answer.started_at.isoformat()
    return _command(function, payload)


def _invocation(answer: Answer, function: FunctionContext, parameters: dict[str, Json]) -> str:
    names: dict[str, Json] = {"cluster_name": answer.cluster, "service_name": answer.service}
    return _command(function, names | parameters)


def _command(function: FunctionContext, payload: dict[str, Json]) -> str:
    words = ["aws", "lambda", "invoke", "--function-name", function.name or UNKNOWN_FUNCTION]
    if function.region:
        words += ["--region", function.region]
    words += ["--invocation-type", "Event", "--payload", "fileb:///dev/stdin", "response.json"]
    # From a pipe, as the AWS CLI would take a plain --payload for Base64.
    # https://docs.aws.amazon.com/cli/latest/userguide/cliv2-migration-changes.html
    return f"echo {shlex.quote(json.dumps(payload))} | {shlex.join(words)}"
