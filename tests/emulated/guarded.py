"""Runs under their guardian, in virtual time: the template's state machine walks, the engine works.

The states are those of template.yaml. An invocation is killed at its limit as Lambda would, and
whatever a test arms (a kill, a fault) hits whichever invocation makes the call.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from ecs_emulator import Killed
from ecs_emulator.neighbours.executions import Execution
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.segments import restore_run, run_segment
from ecs_task_recycle.settings.invocation import read_invocation
from tests.emulated.bench import LAMBDA_SECONDS
from tests.emulated.states import TaskFailedError, Walk
from tests.infrastructure.machine import definition
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench

MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:guardian"
RULE_STATUSES = ("ABORTED", "FAILED", "TIMED_OUT")
RULE_DETAIL_TYPE = "Step Functions Execution Status Change"


@cache
def machine() -> dict[str, Any]:
    return definition(stack())


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
    visited: list[str] = field(default_factory=list)
    is_throttled: Callable[[World], bool] = lambda _: False
    """Whether Lambda throttles the function at the moment."""
    on_revival: list[Callable[[], object]] = field(default_factory=list)
    sleep: Callable[[float], None] | None = None
    """How the state machine waits; without it nothing else goes on meanwhile."""

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
        while execution is not None:
            walk = Walk(
                world=self.world,
                execution=execution,
                document=machine(),
                invoke=self._invoke,
                sleep=self.sleep,
                states_limit=self.states_limit,
            )
            walk.run()
            self.events = max(self.events, walk.events)
            self.largest_bytes = max(self.largest_bytes, walk.largest_bytes)
            self.visited += walk.visited
            execution = self._rule(execution)

    def _invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Do what Lambda does when a state invokes the function."""
        if self.is_throttled(self.world):
            raise TaskFailedError("Lambda.TooManyRequestsException")
        try:
            return self._segment(event)
        except Killed:
            self._die()
            raise TaskFailedError("Lambda.Unknown") from None
        except RecycleError as error:
            raise TaskFailedError(type(error).__name__, str(error)) from None

    def _segment(self, event: dict[str, Any]) -> dict[str, Any]:
        invocation = read_invocation(event)
        assert invocation.run_id is not None
        assert isinstance(invocation.event, dict)
        run = self.bench.run(
            self.world,
            run_id=invocation.run_id,
            deadline_seconds=self.limit_seconds,
            guardian_arn=MACHINE_ARN,
            **invocation.event,
        )
        only = invocation.restore
        if only is not None:
            restored = self._billed(lambda: restore_run(run, only, invocation.raised))
            self._note(restored.report)
            return json.loads(json.dumps(restored.answer()))  # type: ignore[no-any-return]
        segment = self._billed(lambda: run_segment(run, invocation.raised))
        self._note(segment.report)
        if segment.report is not None and segment.report.error is not None:
            raise segment.report.error
        return json.loads(json.dumps(segment.answer(run, invocation.raised)))  # type: ignore[no-any-return]

    def _note(self, report: Report | None) -> None:
        if report is not None:
            self.reports.append(report)

    def _rule(self, ended: Execution) -> Execution | None:
        """Let EventBridge start an execution where one has ended early, as the rule says."""
        return started_by_rule(self.world, ended) if ended.status in RULE_STATUSES else None


def started_by_rule(world: World, ended: Execution) -> Execution:
    """Start an execution of the same machine, whose input is AWS's event of the one that ended."""
    detail = {"status": ended.status, "input": ended.input, "name": ended.name}
    if ended.error is not None:
        detail["error"] = ended.error
    event = {"source": "aws.states", "detail-type": RULE_DETAIL_TYPE, "detail": detail}
    name = f"rule-{len(world.executions)}"
    started = Execution(
        arn=f"{ended.machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
        machine_arn=ended.machine_arn,
        name=name,
        input=json.dumps(event),
        started_at=world.now,
    )
    world.executions[started.arn] = started
    return started
