"""Runs of the recycler in emulated worlds: the real engine, the real boto3 client, virtual time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from ecs_emulator import StopKind
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.actions import act
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.event import settings_from_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import boto3
    from botocore.config import Config

    from ecs_emulator import World
    from ecs_emulator.state.model import Service, Task
    from ecs_emulator.wire.in_process import Switchboard
    from ecs_task_recycle.report.report import Report

CLUSTER = "demo"
SERVICE = "web"
LAMBDA_SECONDS = 900.0

ACCESS_KEY = "AKIARUN"

SURGE = pytest.mark.parametrize(
    "surge", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["surge", "no surge"]
)
"""With one task more, and, among the slow tests, without."""

_owners = itertools.count(1)


def sweep(values: Iterable[object], *, quick: int = 1) -> list[Any]:
    """Return the values of a parameter: the first for the quick tests, the rest for the slow."""
    return [
        value if number < quick else pytest.param(value, marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]


class OneSetOfClients:
    """A session that builds each client once: building is the slowest part of a virtual run."""

    def __init__(self, session: boto3.Session) -> None:
        self.region_name = session.region_name
        self._session = session
        self._clients: dict[str, Any] = {}

    def client(self, name: str, config: Config | None = None) -> Any:  # noqa: ANN401 - boto3's type
        if name not in self._clients:
            client: Any = self._session.client
            self._clients[name] = client(name, config=config)
        return self._clients[name]

    def get_partition_for_region(self, region: str) -> str:
        """Return the partition of a region, as the session knows it."""
        return self._session.get_partition_for_region(region)

    def as_session(self) -> boto3.Session:
        """Return itself as what the function asks for: a region, its partition and clients."""
        return cast("boto3.Session", self)


@dataclass(frozen=True)
class Bench:
    """One session whose calls go to whatever world stands behind the switchboard.

    ``assume`` makes the session of each invocation that assumes a role; without it none does.
    """

    session: OneSetOfClients
    board: Switchboard
    assume: Callable[[], boto3.Session] | None = None

    def recycle(
        self,
        world: World,
        *,
        deadline_seconds: float = LAMBDA_SECONDS,
        run_id: str | None = None,
        **event: Any,  # noqa: ANN401 - what users send
    ) -> Report:
        """Act on the event for demo/web, without a guardian, with so long until Lambda's limit.

        Without a `run_id`, the world's first run is called run, and each other one otherwise.
        """
        own_id = run_id or (f"run-{len(world.calls)}" if world.calls else "run")
        return self.act(world, run_id=own_id, deadline_seconds=deadline_seconds, **event)

    def act(
        self,
        world: World,
        *,
        run_id: str,
        deadline_seconds: float,
        guardian_arn: str | None = None,
        **event: Any,  # noqa: ANN401 - what users send
    ) -> Report:
        """Act on the event for demo/web in a world."""
        return act(
            self.run(
                world,
                run_id=run_id,
                deadline_seconds=deadline_seconds,
                guardian_arn=guardian_arn,
                **event,
            )
        )

    def run(
        self,
        world: World,
        *,
        run_id: str,
        deadline_seconds: float,
        guardian_arn: str | None,
        **event: Any,  # noqa: ANN401 - what users send
    ) -> Run:
        """Return what an invocation makes of the event."""
        self.board.world = world
        clock = world.clock
        parameters = {"cluster_name": CLUSTER, "service_name": SERVICE, **event}
        settings = settings_from_event(parameters)
        session = self.session.as_session()
        gateway = Gateway(
            session if self.assume is None else self.assume(),
            clock,
            cluster_name=settings.cluster_name,
            service_name=settings.service_name,
        )
        guardian = None
        if guardian_arn is not None:
            guardian = Guardian(
                session,
                machine_arn=guardian_arn,
                run_id=run_id,
                names={"cluster_name": gateway.cluster_name, "service_name": gateway.service_name},
            )
        return Run.of(
            settings,
            run_id=run_id,
            owner=f"owner-{next(_owners)}",
            gateway=gateway,
            table=RunTable(session, name=RUNS_TABLE, service=gateway.name),
            clock=clock,
            deadline_at=clock.now() + deadline_seconds,
            guardian=guardian,
        )


def stopped_by_us(service: Service) -> set[str]:
    """Return the tasks that were stopped because the run asked for it."""
    return {
        task.arn
        for task in service.tasks
        if task.stop_cause is not None
        and task.stop_cause.kind is StopKind.STOP_TASK
        and task.stop_cause.access_key == ACCESS_KEY
    }


def capacity(world: World) -> tuple[int, int | None, int | None]:
    """Return desired count, minimum and maximum as they are."""
    desired_count = world.service(CLUSTER, SERVICE).desired_count
    target = world.autoscaling.targets.get(f"service/{CLUSTER}/{SERVICE}")
    if target is None:
        return desired_count, None, None
    return desired_count, target.min_capacity, target.max_capacity


def a_service(world: World, *, tasks: int = 3, **features: Any) -> Service:  # noqa: ANN401
    """Create demo/web in steady state, behind a target group unless said otherwise."""
    features = {"target_group": True, **features}
    return world.create_service(cluster=CLUSTER, name=SERVICE, desired_count=tasks, **features)


def autoscaled(world: World, lowest: int, highest: int) -> None:
    """Give demo/web autoscaling limits."""
    world.register_scalable_target(
        cluster=CLUSTER, service=SERVICE, min_capacity=lowest, max_capacity=highest
    )


def record(world: World) -> dict[str, Any]:
    """Return the run record of demo/web, empty where there is none."""
    return world.item(RUNS_TABLE, service=f"{CLUSTER}/{SERVICE}") or {}


def is_free(world: World) -> bool:
    """Whether the run record of demo/web is open for any run: there is none, or its run ended."""
    return bool(record(world).get("state", "ended") == "ended")


def stopped_under_protection(world: World) -> list[str]:
    """Return the tasks that runs have stopped while they were under scale-in protection."""
    service = world.service(CLUSTER, SERVICE)
    stopped = [task for task in service.tasks if task.arn in stopped_by_us(service)]
    return [task.arn for task in stopped if is_protected(task, asked_to_stop_at(task))]


def is_protected(task: Task, at: float) -> bool:
    """Whether a task was under protection at an instant."""
    return task.timeline.at(at).protected(at)


def asked_to_stop_at(task: Task) -> float:
    """Return the instant at which a task was asked to stop."""
    return next(at for at, _, desired, *_ in task.history if desired == "STOPPED")
