"""The ways to replace every task of a service, each on a world of its own, by virtual time."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import WaiterError

from ecs_emulator.wire.in_process import Switchboard
from tests.emulated.bench import CLUSTER, SERVICE
from tests.emulated.guarded import Guarded
from tests.emulated.observers import perfect_seconds, recycle_with_services_stable

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.awsrequest import AWSPreparedRequest

    from ecs_emulator import World
    from tests.benchmarks.cases import Case
    from tests.emulated.bench import Bench

ROLLING_LIMIT_SECONDS: Final = 4 * 3600.0


class MeteredSwitchboard(Switchboard):
    """Also takes the processor time of answering, which is the emulator's, not the caller's."""

    answering_seconds = 0.0

    def answer(self, request: AWSPreparedRequest, **_: object) -> Any:  # noqa: ANN401 - as above
        """Answer a call."""
        began = time.process_time()
        try:
            return super().answer(request)
        finally:
            self.answering_seconds += time.process_time() - began

    def caller_seconds(self) -> float:
        """Return the processor time of this process so far without that of answering."""
        return time.process_time() - self.answering_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one approach did in one case.

    ``seconds`` from the first call to the end, None if it did not get there; ``lowest`` is the
    lowest number in service meanwhile; ``launches`` how many tasks were started; ``calls`` by
    operation; ``billed_seconds`` of Lambda's time; ``processor_seconds`` of this machine's, with
    botocore's; ``in_service`` holds (seconds, count).
    """

    seconds: float | None
    lowest: int
    launches: int
    in_service: tuple[tuple[float, int], ...]
    calls: dict[str, int] = field(default_factory=dict)
    billed_seconds: float = 0.0
    processor_seconds: float = 0.0

    @property
    def calls_count(self) -> int:
        """All calls."""
        return sum(self.calls.values())


def ours(case: Case, bench: Bench) -> Measurement:
    """Run the function under its guardian, as deployed."""
    world = case.world()
    guarded = Guarded(bench, world)
    bench.board.world = world
    began = _caller_seconds(bench)
    report = guarded.recycle(wait_time=case.wait_seconds)
    processor_seconds = _caller_seconds(bench) - began
    ended = report.progress.finished_at
    is_complete = report.answer().as_json()["status"] == "completed" and ended is not None
    seconds = ended.timestamp() - world.started_at if is_complete and ended else None
    measured = _measured(world, seconds, billed_seconds=guarded.billed_seconds)
    return replace(measured, processor_seconds=processor_seconds)


def _caller_seconds(bench: Bench) -> float:
    board = bench.board
    return board.caller_seconds() if isinstance(board, MeteredSwitchboard) else 0.0


def waiter(case: Case, bench: Bench) -> Measurement:
    """Stop task after task, each time waiting with botocore's ``services_stable``."""
    world = case.world()
    bench.board.world = world
    service = world.service(CLUSTER, SERVICE)
    ecs = bench.session.client("ecs")
    seconds = None
    try:
        recycle_with_services_stable(ecs, world, service, wait_seconds=case.wait_seconds)
        seconds = world.elapsed
    except WaiterError:
        pass
    return _measured(world, seconds, billed_seconds=world.elapsed)


def rolling(maximum_percent: int) -> Callable[[Case, Bench], Measurement]:
    """Return ECS's own rolling deployment, with a minimum of 100 % and this maximum."""

    def deploy(case: Case, bench: Bench) -> Measurement:
        world = case.world(maximum_percent=maximum_percent)
        bench.board.world = world
        service = world.service(CLUSTER, SERVICE)
        originals = set(service.active_tasks)
        ecs = bench.session.client("ecs")
        ecs.update_service(cluster=CLUSTER, service=SERVICE, forceNewDeployment=True)

        def is_replaced() -> bool:
            done = service.state.primary.rollout_state == "COMPLETED"
            return done and not any(task.in_service for task in originals)

        ends = world.run_until(is_replaced, timeout=ROLLING_LIMIT_SECONDS)
        return _measured(world, world.elapsed if ends else None)

    return deploy


def perfect(case: Case, _: Bench) -> Measurement:
    """Stop task after task, each at the very instant at which that is safe: nobody can do that."""
    world = case.world()
    service = world.service(CLUSTER, SERVICE)
    seconds = perfect_seconds(world, service, wait_seconds=case.wait_seconds)
    return _measured(world, seconds)


def _measured(world: World, seconds: float | None, *, billed_seconds: float = 0.0) -> Measurement:
    service = world.service(CLUSTER, SERVICE)
    # Whoever does not look leaves before the service is whole again: that counts, too.
    world.run_until(lambda: service.in_service_count >= service.desired_count)
    return Measurement(
        seconds=seconds,
        lowest=world.lowest_in_service(),
        in_service=tuple((at - world.started_at, count) for at, count in _history(world)),
        launches=sum(task.launch > 0 for task in service.tasks),
        calls=dict(Counter(call.operation for call in world.calls)),
        billed_seconds=billed_seconds,
    )


def _history(world: World) -> list[tuple[float, int]]:
    history = world.in_service_history()
    return [*history, (world.now, history[-1][1])]


OURS: Final = "this tool"
WAITER: Final = "waiter"
APPROACHES: Final[dict[str, Callable[[Case, Any], Measurement]]] = {
    "perfect": perfect,
    OURS: ours,
    WAITER: waiter,
    "rolling 100/200": rolling(200),
    "rolling 100/134": rolling(134),
}
"""Each by its name on the page."""
