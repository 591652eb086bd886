"""The container agent's endpoint for task scale-in protection.

GET and PUT $ECS_AGENT_URI/task-protection/v1/state, from inside a task:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ecs_emulator.access.identities import Identity
from ecs_emulator.access.permissions import denial
from ecs_emulator.api.ecs.protection import get_task_protection, update_task_protection
from ecs_emulator.api.registry import Answer, Request
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.state.model import Task
from ecs_emulator.wire.protocols import HttpAnswer, HttpRequest
from ecs_emulator.world import World

type Body = dict[str, Any]

_PATH = re.compile(r"(?P<agent>/api/[^/]+)/task-protection/v1/state/?")
_ALLOWED = {"GET", "PUT"}
_REQUEST_ID = "emulated-agent-request"


def is_agents(path: str) -> bool:
    """Tell whether a path belongs to the agent."""
    return path.startswith("/api/")


def task_role_arn(world: World, task: Task) -> str:
    """Return the identity under which the agent asks ECS: the task's role."""
    role = f"{task.service.name}-task-role"
    return f"arn:aws:sts::{world.account.id}:assumed-role/{role}/{task.id}"


def handle_agent(world: World, request: HttpRequest) -> HttpAnswer:
    """Answer a container as the agent does: 404 for a container it does not know."""
    with world.lock:
        world.catch_up()
        path = _PATH.fullmatch(request.path)
        task = _task(world, path["agent"]) if path else None
        if task is None:
            message = f"unable to find the container of {request.path}"
            return _answer(404, _error(None, "ResourceNotFoundException", message))
        if request.method not in _ALLOWED:
            return _answer(405, _error(task, "MethodNotAllowed", request.method))
        try:
            return _perform(world, task, request)
        except ApiError as error:
            return _answer(error.status, _error(task, error.code, error.message))


def _task(world: World, agent_path: str) -> Task | None:
    present = (task for service in world.services for task in service.present)
    return next((task for task in present if task.agent_path == agent_path), None)


def _perform(world: World, task: Task, request: HttpRequest) -> HttpAnswer:
    if request.method == "GET":
        answer = get_task_protection(world, _asked(world, task, "GetTaskProtection", {}))
    else:
        wish = _wish(request.body)
        answer = update_task_protection(world, _asked(world, task, "UpdateTaskProtection", wish))
    if answer["failures"]:
        failure = answer["failures"][0]
        body = {"Arn": failure["arn"], "Detail": failure.get("detail"), "Reason": failure["reason"]}
        return _answer(200, {"failure": body})
    return _answer(200, {"protection": _protection(answer["protectedTasks"][0])})


def _asked(world: World, task: Task, operation: str, wish: Mapping[str, Any]) -> Request:
    """Put the container's wish into ECS's words. Raises ApiError where the task's role may not."""
    arn = task_role_arn(world, task)
    caller = Identity(arn=arn, user_id=task.id, access_key=None)
    parameters = {"cluster": task.service.cluster.name, "tasks": [task.arn], **wish}
    if world.faults.denies(f"ecs:{operation}", arn):
        raise denial(world.account, "ecs", operation, parameters, caller=caller)
    return Request(
        service="ecs",
        operation=operation,
        parameters=parameters,
        caller=caller,
        view_at=world.now,
    )


def _wish(body: bytes) -> dict[str, Any]:
    """Read the body; the case of its keys does not matter. Raises ApiError (400)."""
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise _invalid("the body is no JSON object")
    fields = {name.lower(): value for name, value in decoded.items()}
    unknown = fields.keys() - {"protectionenabled", "expiresinminutes"}
    if unknown:
        raise _invalid(f"unknown field {min(unknown)!r}")
    enabled, minutes = fields.get("protectionenabled"), fields.get("expiresinminutes")
    if not isinstance(enabled, bool):
        raise _invalid("does not specify ProtectionEnabled")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int)):
        raise _invalid("ExpiresInMinutes is no whole number")
    wish: dict[str, Any] = {"protectionEnabled": enabled}
    return wish | ({"expiresInMinutes": minutes} if minutes is not None else {})


def _invalid(what: str) -> ApiError:
    return ApiError("InvalidParameterException", f"UpdateTaskProtection: {what}")


def _protection(row: Answer) -> Body:
    until = row.get("expirationDate")
    shown = datetime.fromtimestamp(until, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if until else None
    return {
        "ExpirationDate": shown,
        "ProtectionEnabled": row["protectionEnabled"],
        "TaskArn": row["taskArn"],
    }


def _error(task: Task | None, code: str, message: str) -> Body:
    error = {"Arn": task.arn if task else "", "Code": code, "Message": message}
    return {"requestID": _REQUEST_ID, "error": error}


def _answer(status: int, body: Body) -> HttpAnswer:
    headers = {"Content-Type": "application/json"}
    return HttpAnswer(status=status, body=json.dumps(body).encode(), headers=headers)
