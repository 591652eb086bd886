"""AWS Step Functions: start, describe and stop an execution.

https://docs.aws.amazon.com/step-functions/latest/apireference/
"""

import json

from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.neighbours.executions import ABORTED, RUNNING, Execution
from ecs_emulator.world import World

INPUT_LIMIT_BYTES = 262_144


@operation("stepfunctions", writes=True)
def start_execution(world: World, request: Request) -> Answer:
    """Start an execution; the same name with the same input, while it runs, is answered again.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    asked = request.parameters
    text = asked.get("input", "{}")
    _refuse_broken(text)
    machine_arn = asked["stateMachineArn"]
    name = asked.get("name") or f"unnamed-{len(world.executions) + 1}"
    arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
    known = world.executions.get(arn)
    if known is None:
        known = world.executions[arn] = Execution(
            arn=arn, machine_arn=machine_arn, name=name, input=text, started_at=world.now
        )
    elif known.status != RUNNING or known.input != text:
        raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
    return {"executionArn": arn, "startDate": known.started_at}


def _refuse_broken(text: str) -> None:
    if len(text.encode()) > INPUT_LIMIT_BYTES:
        complaint = f"Member must have length less than or equal to {INPUT_LIMIT_BYTES}"
        raise ApiError("ValidationException", f"'input' failed to satisfy constraint: {complaint}")
    try:
        json.loads(text)
    except ValueError:
        raise ApiError("InvalidExecutionInput", "Invalid State Machine Execution Input") from None


@operation("stepfunctions")
def describe_execution(world: World, request: Request) -> Answer:
    """Describe an execution."""
    execution = _find(world, request)
    answer: Answer = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.started_at,
        "input": execution.input,
    }
    if execution.stopped_at is not None:
        answer["stopDate"] = execution.stopped_at
    return answer


@operation("stepfunctions", writes=True)
def stop_execution(world: World, request: Request) -> Answer:
    """Stop an execution; the function that it waits for is not stopped by that."""
    execution = _find(world, request)
    execution.end(ABORTED, world.now)
    return {"stopDate": execution.stopped_at or world.now}


def _find(world: World, request: Request) -> Execution:
    arn = request.parameters["executionArn"]
    if arn not in world.executions:
        raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
    return world.executions[arn]
