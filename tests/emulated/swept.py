"""Sweeps in virtual time: the template's state machine walks, its lanes at the same time.

Lanes are threads of which one works at a time: that whose pause ends first. So ten lanes take the
virtual time that ten lanes would.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from ecs_emulator import Killed, World
from ecs_emulator.ground.clock import VirtualClock
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.aws.sweep_machine import SweepMachine
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.settings.function import NoticeDefaults
from ecs_task_recycle.settings.sweep import SweepEnd, SweepTurn, step_from, sweep_from
from ecs_task_recycle.sweep.gateway import SweepGateway
from ecs_task_recycle.sweep.record import SweepStore, key_of
from ecs_task_recycle.sweep.sweep import ask, begin
from ecs_task_recycle.sweep.turns import Sweep, end, take_turn
from tests.emulated.bench import LAMBDA_SECONDS
from tests.emulated.guarded import MACHINE_ARN, Guarded
from tests.emulated.states import TaskFailedError, Walk
from tests.infrastructure.machine import definition
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ecs_emulator import Knobs
    from ecs_task_recycle.report.report import Report
    from ecs_task_recycle.report.sweep_answer import SweepAnswer
    from tests.emulated.bench import Bench

SWEEP_ARN = MACHINE_ARN.replace("guardian", "sweep")


@cache
def machine() -> dict[str, Any]:
    return definition(stack(Sweeps="enabled"), "SweepMachine")


class LanesClock(VirtualClock):
    """Virtual time of several threads: while one sleeps, the one that wakes first goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Condition()
        self._wakes: dict[threading.Thread, float] = {}
        self._awake: threading.Thread | None = None

    def sleep(self, seconds: float) -> None:
        me = threading.current_thread()
        if me is self._awake:
            with self._turn:
                until = self.now() + max(0.0, seconds)
                self._wakes[me] = until
                self._wake_next()
                self._turn.wait_for(lambda: self._awake is me)
                seconds = until - self.now()
        super().sleep(seconds)

    def together(self, lanes: list[Callable[[], None]]) -> None:
        """Do things at the same virtual time, until all of them are done."""
        problems: list[BaseException] = []
        threads = [
            threading.Thread(target=self._lane, args=(each, problems), daemon=True)
            for each in lanes
        ]
        with self._turn:
            self._wakes = dict.fromkeys(threads, self.now())
        for each in threads:
            each.start()
        with self._turn:
            self._wake_next()
        for each in threads:
            each.join()
        if problems:
            raise problems[0]

    def _lane(self, work: Callable[[], None], problems: list[BaseException]) -> None:
        me = threading.current_thread()
        with self._turn:
            self._turn.wait_for(lambda: self._awake is me)
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - told by the thread that waits
            problems.append(problem)
        with self._turn:
            self._wake_next()

    def _wake_next(self) -> None:
        self._awake = min(self._wakes, key=lambda each: self._wakes[each], default=None)
        if self._awake is not None:
            del self._wakes[self._awake]
        self._turn.notify_all()


def world_of_lanes(knobs: Knobs | None = None) -> World:
    """Return a world whose clock several lanes may share."""
    return World(knobs=knobs, clock=LanesClock())


@dataclass
class Swept:
    """One function with its two state machines, and what became of its invocations."""

    bench: Bench
    world: World
    cluster_names: Sequence[str] = ()
    has_machine: bool = True
    answer: SweepAnswer | None = None
    deaths: int = 0
    turns: int = 0
    reports: list[Report] = field(default_factory=list)
    walk: Walk | None = None

    def begin(self, sweep_id: str = "s", **event: Any) -> SweepAnswer:  # noqa: ANN401 - users' events
        """Invoke the function with an event, as a user or AWS does."""
        self.bench.board.world = self.world
        defaults = NoticeDefaults(parameters={"wait_time": "0", "at_once": "2"})
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

    def sweep(self, sweep_id: str = "s", **event: Any) -> SweepAnswer:  # noqa: ANN401 - likewise
        """Begin a sweep, let its machine do the rest, and return what is told at the end."""
        self.begin(sweep_id, **event)
        self.go_on(sweep_id)
        assert self.answer is not None
        return self.answer

    def context(self, sweep: str) -> Sweep:
        table = RunTable(self.bench.session.as_session(), name=RUNS_TABLE, service=key_of(sweep))
        clock = self.world.clock
        return Sweep(
            id=sweep,
            store=SweepStore(table, clock),
            clock=clock,
            deadline_at=clock.now() + LAMBDA_SECONDS,
            run_of=lambda event, run_id: self.bench.run(
                self.world,
                run_id=run_id,
                deadline_seconds=LAMBDA_SECONDS,
                guardian_arn=MACHINE_ARN,
                **event,
            ),
            tell=self.reports.append,
        )

    def go_on(self, sweep: str = "s") -> str:
        """Walk the states of the sweep's execution; return how it ended."""
        execution = self.world.executions[
            f"{SWEEP_ARN.replace(':stateMachine:', ':execution:')}:{sweep}"
        ]
        clock = self.world.clock
        self.walk = Walk(
            world=self.world,
            execution=execution,
            document=machine(),
            invoke=self._invoke,
            sleep=clock.sleep,
        )
        if isinstance(clock, LanesClock):
            self.walk.together = clock.together
        self.walk.run()
        return execution.status

    def _invoke(self, payload: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._step(payload)
        except Killed:
            self.deaths += 1
            self.world.revive()
            raise TaskFailedError("Lambda.Unknown") from None
        except RecycleError as error:
            raise TaskFailedError(type(error).__name__, str(error)) from None

    def _step(self, payload: dict[str, Any]) -> dict[str, Any]:
        step = step_from(payload)
        if isinstance(step, SweepTurn):
            self.turns += 1
            sweep = self.context(step.sweep)
            answer = take_turn(sweep, step)
            if answer["wait_seconds"]:
                self._let_guardian_go_on(sweep, step.lane)
            return answer
        assert isinstance(step, SweepEnd)
        sweep = self.context(step.sweep)
        ended = end(sweep, step.rounds)
        if ended.answer is not None:
            self.answer = ended.answer
            sweep.store.note_told()
        return ended.as_json(step)

    def _let_guardian_go_on(self, sweep: Sweep, lane: int) -> None:
        """Let the run that the only lane waits for come to its end, under its guardian."""
        record = sweep.store.read()
        assert record is not None
        assert record.at_once == 1
        Guarded(self.bench, self.world).walk(f"sweep-{sweep.id}-{record.in_hand[lane]}")
