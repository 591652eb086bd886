"""Runs of the recycler in emulated worlds: the real engine, the real boto3 client, virtual time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from ecs_task_recycle.gateway import Gateway
from ecs_task_recycle.recycle import Job, recycle
from ecs_task_recycle.run import InlineRun
from ecs_task_recycle.settings import settings_from_event

if TYPE_CHECKING:
    from ecs_emulator import World
    from ecs_emulator.in_process import Switchboard
    from ecs_task_recycle.report import Report

CLUSTER = "demo"
SERVICE = "web"
LAMBDA_SECONDS = 900.0

_owners = itertools.count(1)


class OneSetOfClients(boto3.Session):
    """A session that builds each client once: building is the slowest part of a virtual run."""

    @cache  # noqa: B019 - the session lives as long as the tests
    def _built(self, name: str, config: Any) -> Any:  # noqa: ANN401 - boto3's own type
        return super().client(name, config=config)

    def client(self, name: str, **arguments: Any) -> Any:  # type: ignore[override]  # noqa: ANN401
        return self._built(name, arguments["config"])


@dataclass(frozen=True)
class Bench:
    """One session whose calls go to whatever world stands behind the switchboard."""

    session: OneSetOfClients
    board: Switchboard

    def recycle(
        self,
        world: World,
        *,
        deadline_seconds: float = LAMBDA_SECONDS,
        run_id: str = "run",
        **event: object,
    ) -> Report:
        """Run the event for demo/web in a world, with so many seconds until Lambda's limit."""
        self.board.world = world
        clock = world.clock
        parameters = {"cluster_name": CLUSTER, "service_name": SERVICE, **event}
        settings = settings_from_event(parameters)
        job = Job(
            settings=settings,
            run_id=run_id,
            owner=f"owner-{next(_owners)}",
            run=InlineRun(clock, deadline_at=clock.now() + deadline_seconds),
            gateway=Gateway(
                self.session,
                clock,
                cluster_name=settings.cluster_name,
                service_name=settings.service_name,
            ),
            clock=clock,
        )
        return recycle(job)
