"""One request from arrival to answer: faults, permissions, validation, effect, record.

In AWS's order: permissions are judged before most parameters are looked at and before anything is
looked up.
"""

from dataclasses import dataclass

import ecs_emulator.api.autoscaling
import ecs_emulator.api.cloudwatch
import ecs_emulator.api.dynamodb
import ecs_emulator.api.ecs.deployments
import ecs_emulator.api.ecs.protection
import ecs_emulator.api.ecs.revisions
import ecs_emulator.api.ecs.services
import ecs_emulator.api.ecs.tasks
import ecs_emulator.api.elbv2
import ecs_emulator.api.notices
import ecs_emulator.api.secretsmanager
import ecs_emulator.api.stepfunctions
import ecs_emulator.api.sts
from ecs_emulator.access.identities import Identity
from ecs_emulator.access.permissions import action_of, denial, expiry
from ecs_emulator.accidents.faults import Fault
from ecs_emulator.api.registry import OPERATIONS, Answer, Operation, Request
from ecs_emulator.ground.calls import Call
from ecs_emulator.ground.errors import ApiError, EmulatorError, NoAnswerError, UnreachableError
from ecs_emulator.wire.protocols import (
    Decoded,
    HttpAnswer,
    HttpRequest,
    check_answer,
    complaint_about,
    decode,
    encode_answer,
    encode_error,
)
from ecs_emulator.world import World

NO_ANSWER = "NoAnswer"
_INVALID = {
    "ecs": "InvalidParameterException",
    "secretsmanager": "InvalidParameterException",
    "elbv2": "ValidationError",
    "sts": "ValidationError",
    "cloudwatch": "InvalidParameterValue",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request: an answer or an error; `effect`: whether it was performed."""

    answer: Answer | None = None
    error: ApiError | None = None
    effect: bool = False
    lost: bool = False


def handle(world: World, http: HttpRequest) -> HttpAnswer:
    """Answer a request.

    Raises NoAnswerError where the client is to wait in vain, UnreachableError where there is no way
    here, Killed where the caller is dead, EmulatorError where the emulator cannot go on.
    """
    decoded = decode(http)
    latency = world.dice.seconds(world.knobs.latency, "latency", len(world.calls))
    _wait(world, latency / 2)
    with world.lock:
        world.catch_up()
        _refuse_dead(world, decoded.access_key, done=False)
        fault = world.outages.fault_of(decoded.service) or world.faults.strike(
            decoded.operation, decoded.access_key
        )
        outcome = _outcome(world, decoded, fault)
        request_id = _record(world, decoded, outcome)
        encoded = _encode(world, decoded, outcome, request_id)
        _refuse_dead(world, decoded.access_key, done=True)
    _wait(world, latency / 2)
    if encoded is None:
        _wait(world, fault.after_seconds if fault else 0.0)
        is_reached = fault is None or fault.connects
        raise (NoAnswerError if is_reached else UnreachableError)(decoded.operation)
    return encoded


def _refuse_dead(world: World, access_key: str | None, *, done: bool) -> None:
    """Raise Killed for a caller that is dead, or dies of the call that arrives or is done."""
    number = len(world.calls) + (0 if done else 1)
    world.deaths.refuse(access_key, call_number=number, done=done)


def _wait(world: World, seconds: float) -> None:
    if seconds > 0:
        world.clock.sleep(seconds)


def _outcome(world: World, decoded: Decoded, fault: Fault | None) -> Outcome:
    if fault is None:
        return _perform(world, decoded)
    error = ApiError(fault.code, fault.message, status=fault.status) if fault.code else None
    effect = fault.after_effect and _perform(world, decoded).effect
    return Outcome(error=error, effect=effect, lost=error is None)


def _perform(world: World, decoded: Decoded) -> Outcome:
    operation = OPERATIONS.get((decoded.service, decoded.operation))
    if operation is None:
        raise EmulatorError(f"{decoded.service} {decoded.operation} is not emulated.")
    caller = world.identities.caller(decoded.access_key)
    try:
        _admit(world, decoded, caller)
        answer = operation.perform(world, _request(world, decoded, operation, caller))
    except ApiError as error:
        return Outcome(error=error)
    check_answer(decoded, answer)
    return Outcome(answer=answer, effect=True)


def _admit(world: World, decoded: Decoded, caller: Identity) -> None:
    """Raise ApiError for too many calls, expired keys, a missing permission, bad parameters."""
    if world.knobs.rate_limits and not world.throttle.admits(decoded.operation, world.now):
        raise ApiError("ThrottlingException", "Rate exceeded")
    if world.identities.expired(caller):
        raise expiry(decoded.service)
    if world.faults.denies(action_of(decoded.service, decoded.operation), caller.arn):
        raise denial(
            world.account, decoded.service, decoded.operation, decoded.parameters, caller=caller
        )
    complaint = complaint_about(decoded)
    if complaint is not None:
        raise ApiError(_INVALID.get(decoded.service, "ValidationException"), complaint)


def _request(world: World, decoded: Decoded, operation: Operation, caller: Identity) -> Request:
    return Request(
        service=decoded.service,
        operation=decoded.operation,
        parameters=decoded.parameters,
        caller=caller,
        view_at=world.now if operation.writes else _view(world),
    )


def _view(world: World) -> float:
    """Draw the instant whose picture this read answers with; not before the world's start."""
    if world.knobs.staleness <= 0:
        return world.now
    age = world.dice.seconds((0.0, world.knobs.staleness), "view", len(world.calls))
    return max(world.started_at, world.now - age)


def _record(world: World, decoded: Decoded, outcome: Outcome) -> str:
    operation = OPERATIONS.get((decoded.service, decoded.operation))
    code = NO_ANSWER if outcome.lost else outcome.error.code if outcome.error else None
    number = len(world.calls) + 1
    world.note_call(
        Call(
            number=number,
            at=world.now,
            service=decoded.service,
            operation=decoded.operation,
            parameters=decoded.parameters,
            access_key=decoded.access_key,
            error_code=code,
            wrote=outcome.effect and operation is not None and operation.writes,
        ),
        effect=outcome.effect,
    )
    return f"emulated-request-{number:06d}"


def _encode(world: World, decoded: Decoded, outcome: Outcome, request_id: str) -> HttpAnswer | None:
    if outcome.lost:
        return None
    if outcome.error is not None:
        return encode_error(decoded, outcome.error, request_id)
    answer = world.faults.altered(len(world.calls), outcome.answer or {})
    return encode_answer(decoded, answer, request_id)
