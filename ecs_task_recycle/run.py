"""One run: what is asked, and what it needs to do it."""

from __future__ import annotations

from dataclasses import dataclass

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.settings.event import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: what is asked, and what it needs to do it.

    ``owner`` is unique to one invocation, also where ``run_id`` comes twice; ``deadline_at`` is
    when Lambda ends it (epoch seconds). Without a ``guardian`` the run ends with its invocation.
    """

    settings: Settings
    run_id: str
    owner: str
    gateway: Gateway
    table: RunTable
    clock: Clock
    deadline_at: float
    guardian: Guardian | None = None

    def store(self) -> RecordStore:
        """Return this invocation's hold on the service's run record."""
        return RecordStore(
            table=self.table,
            clock=self.clock,
            owner=self.owner,
            run_id=self.run_id,
            deadline_at=self.deadline_at,
        )
