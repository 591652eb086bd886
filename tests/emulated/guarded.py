"""Runs under their guardian, in virtual time: the template's state machine walks, the engine works.

The states are those of template.yaml. An invocation is killed at its limit as Lambda would, and
whatever a test arms (a kill, a fault) hits whichever invocation makes the call.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from ecs_emulator import Killed
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.segments import end_run, run_segment
from ecs_task_recycle.settings.invocation import read_invocation
from tests.emulated.bench import LAMBDA_SECONDS
from tests.infrastructure.machine import definition
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from ecs_emulator.executions import Execution
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench

MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:guardian"
EVENTS = {"Wait": 2, "Task": 5, "Choice": 2, "Succeed": 2}
"""How many history events a state makes; a task with its scheduling, start and success."""


@cache
def states() -> dict[str, Any]:
    document = definition(stack())
    return {"StartAt": document["StartAt"], **document["States"]}


@dataclass
class Guarded:
    """One request, its guardian, and what became of every invocation."""

    bench: Bench
    world: World
    limit_seconds: float = LAMBDA_SECONDS
    states_limit: int = 20_000
    reports: list[Report] = field(default_factory=list)
    deaths: int = 0
    invocations: int = 0
    billed_seconds: float = 0.0
    events: int = 2
    largest_bytes: int = 0
    is_forsaken: bool = False
    """Whether the last invocation that could restore was killed, too."""
    on_revival: list[Callable[[], object]] = field(default_factory=list)

    def recycle(self, run_id: str = "run", **event: Any) -> Report:  # noqa: ANN401
        """Invoke the function, let its guardian do the rest, and return the last report."""
        self.invoke(run_id, event)
        self.walk(run_id)
        return self.reports[-1]

    def invoke(self, run_id: str, event: dict[str, Any]) -> None:
        """Invoke the function once, as a user does; it may die."""
        try:
            with_limit = self._invocation(run_id, event)
            self.reports.append(with_limit)
        except Killed:
            self._die()

    def _die(self) -> None:
        """Let the next process reach the world again; the next kill of a test is armed then."""
        self.deaths += 1
        self.world.revive()
        if self.on_revival:
            self.on_revival.pop(0)()

    def _invocation(self, run_id: str, event: dict[str, Any]) -> Report:
        return self._billed(
            lambda: self.bench.act(
                self.world,
                run_id=run_id,
                deadline_seconds=self.limit_seconds,
                guardian_arn=MACHINE_ARN,
                **event,
            )
        )

    def _billed[T](self, work: Callable[[], T]) -> T:
        """Work until it ends, or Lambda's limit kills it."""
        began, alive = self.world.now, True

        def kill(world: World) -> None:
            if alive:
                world.kill()

        self.world.at(self.world.elapsed + self.limit_seconds, kill)
        self.invocations += 1
        try:
            return work()
        finally:
            alive = False
            self.billed_seconds += self.world.now - began

    # -- the state machine ---------------------------------------------------------------------

    def execution(self, run_id: str) -> Execution | None:
        """Return the guardian's execution of a run, None where it was not started."""
        arn = f"{MACHINE_ARN.replace(':stateMachine:', ':execution:')}:{run_id}"
        return self.world.executions.get(arn)

    def segment(self, run_id: str) -> dict[str, Any]:
        """Invoke one segment of a run by itself; return its answer, or raise its error."""
        execution = self.execution(run_id)
        assert execution is not None
        return self._segment(json.loads(execution.input)["next"])

    def walk(self, run_id: str) -> None:
        """Walk the states of a run's execution to its end, and let its rule fire."""
        execution = self.execution(run_id)
        if execution is None:
            return
        name, data = states()["StartAt"], json.loads(execution.input)
        for _ in range(self.states_limit):
            if execution.status != "RUNNING":
                break
            self.events += EVENTS[states()[name]["Type"]]
            name, data = self._state(execution, states()[name], data)
            if name is None:
                execution.end(data["status"], self.world.now)
        if execution.status != "SUCCEEDED":
            self._rule(execution)

    def _state(
        self, execution: Execution, state: dict[str, Any], data: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        self.largest_bytes = max(self.largest_bytes, len(json.dumps(data)))
        match state["Type"]:
            case "Wait":
                self._wait(execution, state, data)
                return state["Next"], _at(state.get("OutputPath", "$"), data)
            case "Task":
                return self._task(execution, state, data)
            case "Choice":
                goes_on = _at(state["Choices"][0]["Variable"], data) is True
                return (state["Choices"][0]["Next"] if goes_on else state["Default"]), data
            case _:
                return None, {"status": "SUCCEEDED"}

    def _wait(self, execution: Execution, state: dict[str, Any], data: dict[str, Any]) -> None:
        if "TimestampPath" in state:
            until = datetime.fromisoformat(_at(state["TimestampPath"], data)).timestamp()
        else:
            until = self.world.now + _at(state["SecondsPath"], data)
        self.world.run_until(
            lambda: execution.status != "RUNNING" or self.world.now >= until,
            timeout=max(0.0, until - self.world.now),
        )

    def _task(
        self, execution: Execution, state: dict[str, Any], data: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        own, rest = state["Retry"]
        for attempt in range(rest["MaxAttempts"] + 1):
            try:
                return state["Next"], self._segment(data)
            except Killed:
                self._die()
                self.world.advance(rest["IntervalSeconds"] if attempt < rest["MaxAttempts"] else 0)
            except RecycleError as error:
                if type(error).__name__ in own["ErrorEquals"]:
                    break
                raise
            if execution.status != "RUNNING":
                return None, {"status": execution.status}
        return None, {"status": "FAILED"}

    def _segment(self, event: dict[str, Any]) -> dict[str, Any]:
        invocation = read_invocation(event)
        assert invocation.segment_of is not None
        assert isinstance(invocation.event, dict)
        run = self.bench.run(
            self.world,
            run_id=invocation.segment_of,
            deadline_seconds=self.limit_seconds,
            guardian_arn=MACHINE_ARN,
            **invocation.event,
        )
        segment = self._billed(lambda: run_segment(run))
        if segment.report is not None:
            self.reports.append(segment.report)
            if segment.report.error is not None:
                raise segment.report.error
        answer: dict[str, Any] = json.loads(json.dumps(segment.answer(run)))
        return answer

    def _rule(self, execution: Execution) -> None:
        """Let EventBridge tell the function that the execution has ended."""
        detail = {"status": execution.status, "input": execution.input, "name": execution.name}
        invocation = read_invocation(
            {
                "source": "aws.states",
                "detail-type": "Step Functions Execution Status Change",
                "detail": detail,
            }
        )
        assert isinstance(invocation.event, dict)
        run = self.bench.run(
            self.world,
            run_id=str(invocation.segment_of),
            deadline_seconds=self.limit_seconds,
            guardian_arn=MACHINE_ARN,
            **invocation.event,
        )
        try:
            segment = self._billed(lambda: end_run(run, str(invocation.execution_status)))
        except Killed:
            # EventBridge has delivered it, and the function's own retries are off.
            self._die()
            self.is_forsaken = True
            return
        if segment.report is not None:
            self.reports.append(segment.report)


def _at(path: str, data: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever stands there
    value: Any = data
    for name in path.removeprefix("$").split("."):
        value = value[name] if name else value
    return value
