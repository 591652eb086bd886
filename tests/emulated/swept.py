"""Sweeps in virtual time: lanes and guardians walk the template's machines at the same time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from ecs_emulator import Killed, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.aws.sweep_machine import SweepMachine
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.settings.sweep import SweepEnd, SweepTurn, step_from, sweep_from
from ecs_task_recycle.sweep.gateway import SweepGateway
from ecs_task_recycle.sweep.record import SweepStore, key_of
from ecs_task_recycle.sweep.sweep import ask, begin, stop
from ecs_task_recycle.sweep.turns import Sweep, end, take_turn
from tests.emulated.bench import LAMBDA_SECONDS
from tests.emulated.guarded import MACHINE_ARN, Guarded, started_by_rule
from tests.emulated.lanes import LanesClock
from tests.emulated.states import TaskFailedError, Walk
from tests.infrastructure.machine import definition
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ecs_emulator.neighbours.executions import Execution
    from ecs_task_recycle.report.report import Report
    from ecs_task_recycle.report.sweep_answer import SweepAnswer
    from ecs_task_recycle.run import Run
    from tests.emulated.bench import Bench

SWEEP_ARN = MACHINE_ARN.replace("guardian", "sweep")
RULE_STATUSES = ("ABORTED", "TIMED_OUT")
THROTTLED = "Lambda.TooManyRequestsException"


@cache
def machine() -> dict[str, Any]:
    return definition(stack(Sweeps="enabled"), "SweepMachine")


def _dies(*_: object, **__: object) -> None:
    raise Killed


class GuardedAmongOthers(Guarded):
    """A run's guardian whose time is that of lanes: its invocations die alone."""

    def _billed[T](self, work: Callable[[], T]) -> T:
        clock = self.world.clock
        assert isinstance(clock, LanesClock)
        with clock.dies_after(self.limit_seconds):
            return work()


@dataclass
class Swept:
    """One function with its two state machines in a world of lanes, and what became of it all.

    Every execution that is started is walked, beside all others and what `later` is given, by
    `go_on`. `answers` are those that somebody was told at the end of each sweep.
    """

    bench: Bench
    world: World
    cluster_names: Sequence[str] = ()
    has_machine: bool = True
    limit_seconds: float = LAMBDA_SECONDS
    is_throttled: Callable[[World], bool] = lambda _: False
    fails_with: Callable[[World], str | None] = lambda _: None
    kills: str = ""
    """The service of which no run survives its first look at it."""
    answers: dict[str, list[SweepAnswer]] = field(default_factory=dict)
    refused: list[RecycleError] = field(default_factory=list)
    walks: dict[str, Walk] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)
    deaths: int = 0
    turns: int = 0
    reports: list[Report] = field(default_factory=list)
    on_revival: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have whatever execution is started walked."""
        clock = self.world.clock
        assert isinstance(clock, LanesClock)
        self.clock = clock
        self._watch_for_starts()

    @property
    def answer(self) -> SweepAnswer:
        """What was told, once, of the only sweep."""
        ((answer,),) = self.answers.values()
        return answer

    def begin(self, sweep_id: str = "s", **event: Any) -> SweepAnswer:  # noqa: ANN401 - users' events
        """Invoke the function with an event, as a user or AWS does."""
        self.bench.board.world = self.world
        defaults = {"wait_time": "0", "at_once": "2"}
        settings = sweep_from(event, defaults)
        assert settings is not None
        session = self.bench.session.as_session()
        if settings.sweep is not None:
            return ask(self.context(settings.sweep), settings.action)
        return begin(
            self.context(sweep_id),
            settings,
            SweepGateway(session, self.world.clock),
            machine=SweepMachine(session, machine_arn=SWEEP_ARN) if self.has_machine else None,
            cluster_names=self.cluster_names,
        )

    def later(self, sweep_id: str = "s", **event: Any) -> None:  # noqa: ANN401 - likewise
        """Invoke the function beside what goes on; to be called while something does."""

        def begin() -> None:
            try:
                self.begin(sweep_id, **event)
            except RecycleError as error:
                self.refused.append(error)

        self.clock.begin(begin)

    def sweep(self, sweep_id: str = "s", **event: Any) -> SweepAnswer:  # noqa: ANN401 - likewise
        """Begin a sweep, let everything come to its end, and return what is told then."""
        self.begin(sweep_id, **event)
        self.go_on()
        (answer,) = self.answers[sweep_id]
        return answer

    def context(self, sweep: str) -> Sweep:
        table = RunTable(self.bench.session.as_session(), name=RUNS_TABLE, service=key_of(sweep))
        clock = self.world.clock
        return Sweep(
            id=sweep,
            store=SweepStore(table, clock),
            clock=clock,
            deadline_at=clock.now() + self.limit_seconds,
            run_of=self._run_of,
            tell=self.reports.append,
        )

    def _run_of(self, event: Mapping[str, Any], run_id: str) -> Run:
        run = self.bench.run(
            self.world,
            run_id=run_id,
            deadline_seconds=self.limit_seconds,
            guardian_arn=MACHINE_ARN,
            **event,
        )
        if event["service_name"] == self.kills:
            vars(run.gateway)["service"] = _dies
        return run

    def go_on(self) -> None:
        """Let every execution walk to its end."""
        self.clock.go_on()

    def stop_executions(self, status: str = "ABORTED") -> None:
        """Stop the executions of sweeps and so those of lanes; no invocation is stopped."""
        for walk in [*self.walks.values()]:
            for each in (walk, *walk.children):
                if each.execution.status == "RUNNING":
                    each.execution.end(status, self.world.now)

    # -- the state machines ----------------------------------------------------------------------

    def _watch_for_starts(self) -> None:
        self.world.after_call("StartExecution", 1, lambda _: self._walk_what_has_started())

    def _walk_what_has_started(self) -> None:
        self._watch_for_starts()
        for each in [*self.world.executions.values()]:
            if each.arn not in self.visited:
                self.visited.append(each.arn)
                self.clock.begin(self._walk_of(each))

    def _walk_of(self, execution: Execution) -> Callable[[], None]:
        if execution.machine_arn == MACHINE_ARN:
            return lambda: self._guard(execution.name)
        return lambda: self._walk_sweep(execution)

    def _walk_sweep(self, execution: Execution) -> None:
        """Walk the states of a sweep's execution to its end, and let its rule fire."""
        walk = self.walks[execution.name] = Walk(
            world=self.world,
            execution=execution,
            document=machine(),
            invoke=self._invoke,
            sleep=self.clock.sleep,
            together=self.clock.together,
        )
        walk.run()
        if execution.status in RULE_STATUSES:
            started = started_by_rule(self.world, execution)
            self.visited.append(started.arn)
            self._walk_sweep(started)

    def _guard(self, run_id: str) -> None:
        guarded = GuardedAmongOthers(
            self.bench,
            self.world,
            limit_seconds=self.limit_seconds,
            is_throttled=self.is_throttled,
            on_revival=self.on_revival,
            sleep=self.clock.sleep,
        )
        guarded.walk(run_id)
        self.deaths += guarded.deaths

    def _invoke(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.is_throttled(self.world):
            raise TaskFailedError(THROTTLED)
        if name := self.fails_with(self.world):
            raise TaskFailedError(name)
        try:
            with self.clock.dies_after(self.limit_seconds):
                return json.loads(json.dumps(self._step(payload)))  # type: ignore[no-any-return]
        except Killed:
            self._die()
            raise TaskFailedError("Lambda.Unknown") from None
        except RecycleError as error:
            raise TaskFailedError(type(error).__name__, str(error)) from None

    def _die(self) -> None:
        self.deaths += 1
        self.world.revive()
        if self.on_revival:
            self.on_revival.pop(0)()

    def _step(self, payload: dict[str, Any]) -> dict[str, Any]:
        step = step_from(payload)
        if isinstance(step, SweepTurn):
            self.turns += 1
            return take_turn(self.context(step.sweep), step)
        assert isinstance(step, SweepEnd)
        sweep = self.context(step.sweep)
        if step.stopped is not None:
            stop(sweep, f"the execution of the sweep was {step.stopped}")
        goes_on_with, answer = end(sweep, step)
        if answer is not None:
            self.answers.setdefault(sweep.id, []).append(answer)
            sweep.store.note_told()
        return goes_on_with
