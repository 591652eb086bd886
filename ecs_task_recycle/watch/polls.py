"""What a poll reads: all of the service, or only what matters to a wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ecs_task_recycle.aws.gateway import DESCRIBE_TASKS_LIMIT, Gateway
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import Service
from ecs_task_recycle.watch.memory import ServiceMemory

EVERYTHING_SECONDS: Final = 60.0
"""How old a read of anything may get during a wait."""
FRESH_SECONDS: Final = 5.0
"""How old the reads may be by which a task is stopped, or one is taken away."""


class Polls:
    """Reads one service into a memory. Every method but the questions may raise AwsCallError.

    ``service_read`` is when the service itself was read last (epoch seconds).
    """

    def __init__(self, gateway: Gateway, clock: Clock, memory: ServiceMemory) -> None:
        """Take the gateway of the service; nothing is called yet."""
        self._gateway = gateway
        self._clock = clock
        self._memory = memory
        self._everything_read = -math.inf
        self.service_read = -math.inf

    @property
    def is_fresh(self) -> bool:
        """Whether everything was read seconds ago."""
        return self._age_seconds <= FRESH_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether everything has to be read again."""
        return self._age_seconds >= EVERYTHING_SECONDS

    @property
    def _age_seconds(self) -> float:
        return self._clock.now() - self._everything_read

    def read_everything(self, *, lists: bool = False, known: Service | None = None) -> None:
        """Read the service, all its tasks and their targets.

        ``lists``: read the list of its tasks even if none is lacking. ``known``: the service, if it
        was read just now.
        """
        memory = self._memory
        self._read_service(known)
        if lists or not memory.tasks or memory.lacks_tasks:
            memory.learn_arns(self._gateway.task_arns())
        # First, so that no task seems to wait for a target only because none was read yet.
        self._read_targets()
        self.read_tasks(memory.arns_to_describe(memory.live_arns, len(memory.live_arns) + 100))
        self._everything_read = self._clock.now()

    def read_what_matters(self) -> None:
        """Read the service, the list while tasks are lacking, and what is not in service."""
        memory = self._memory
        self._read_service()
        if memory.lacks_tasks:
            memory.learn_arns(self._gateway.task_arns())
        if uncertain := memory.uncertain_arns:
            self.read_tasks(memory.arns_to_describe(uncertain, DESCRIBE_TASKS_LIMIT))
        if memory.awaiting_targets:
            self._read_targets()

    def read_tasks(self, arns: Sequence[str]) -> None:
        """Read these tasks."""
        if arns:
            service = self._memory.service
            has_targets = service is not None and bool(service.load_balancers)
            tasks = self._gateway.tasks(arns, with_instances=has_targets)
            self._memory.learn_tasks(arns, tasks, self._clock.now())

    def _read_service(self, known: Service | None = None) -> None:
        service = known or self._gateway.service()
        if service is None:
            # It was there when the run began: a single odd answer is not believed.
            text = "the service is not there"
            raise AwsCallError.of("ecs:DescribeServices", "MISSING", text, transient=True)
        self.service_read = self._clock.now()
        self._memory.learn_service(service)

    def _read_targets(self) -> None:
        service = self._memory.service
        if service is not None and service.load_balancers:
            targets = self._gateway.targets(service.load_balancers)
            self._memory.learn_targets(targets, self._clock.now())
