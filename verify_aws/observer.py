"""Looks at the services once a second, and notes when it first saw what."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from datetime import datetime

    from ecs_task_recycle.clock import Clock
    from verify_aws.account import Account

LOOK_SECONDS: Final = 1.0
STATES: Final = ("RUNNING", "STOPPED")


@dataclass(slots=True, kw_only=True)
class WatchedTask:
    """A task: what ECS says of it, and when this machine first saw it in which state.

    All instants are epoch seconds; those of ECS are by its own clock.
    """

    arn: str
    created_at: float
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    signal_at: float | None = None
    stop_code: str | None = None
    exit_code: int | None = None
    address: str | None = None
    state: str = ""
    first_seen: dict[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The numbers of tasks at one look (`at`: epoch seconds)."""

    at: float
    desired: int
    running: int
    in_service: int


@dataclass(slots=True, kw_only=True)
class Watched:
    """What was seen of one service."""

    tasks: dict[str, WatchedTask] = field(default_factory=dict)
    counts: list[Counts] = field(default_factory=list)

    def lowest_in_service(self, since: float, until: float) -> int | None:
        """Return the lowest number of tasks in service from `since` to `until`.

        One look may combine an old answer with a new one: it takes two in a row to be believed.
        """
        seen = [each.in_service for each in self.counts if since <= each.at <= until]
        return min((max(both) for both in pairwise(seen)), default=None)


class Observer:
    """Watches services of one cluster, with reads alone; a read that fails is counted."""

    def __init__(
        self, account: Account, *, cluster: str, services: tuple[str, ...], clock: Clock
    ) -> None:
        self.watched = {service: Watched() for service in services}
        self.errors: Counter[str] = Counter()
        self._account = account
        self._cluster = cluster
        self._clock = clock
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to look, once a second."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        while not self._is_over.is_set():
            began = self._clock.now()
            self.look()
            self._is_over.wait(max(0.0, began + LOOK_SECONDS - self._clock.now()))

    def look(self) -> None:
        """Look at every service once."""
        for service, watched in self.watched.items():
            try:
                self._look_at(service, watched)
            except ClientError as error:
                self.errors[str(error.response["Error"]["Code"])] += 1
            except Exception as error:  # noqa: BLE001 - else nobody would look any more
                self.errors[type(error).__name__] += 1

    def _look_at(self, service: str, watched: Watched) -> None:
        at = self._clock.now()
        ecs, where = self._account.ecs, {"cluster": self._cluster}
        found = ecs.describe_services(services=[service], **where)["services"]
        if not found:
            self.errors["service MISSING"] += 1
            return
        described = found[0]
        arns = self._listed(service, watched, where)
        tasks = ecs.describe_tasks(tasks=arns, **where)["tasks"] if arns else []
        targets = self._targets(described)
        for each in tasks:
            task = _noted(watched, each, at)
            if targets is not None and task.address in targets:
                task.first_seen.setdefault(f"target {targets[task.address]}", at)
        in_service = [each for each in tasks if _is_in_service(each, targets)]
        for each in in_service:
            watched.tasks[each["taskArn"]].first_seen.setdefault("in service", at)
        watched.counts.append(
            Counts(
                at=at,
                desired=described["desiredCount"],
                running=described["runningCount"],
                in_service=len(in_service),
            )
        )

    def _listed(self, service: str, watched: Watched, where: dict[str, str]) -> list[str]:
        """Return the tasks to look at: those listed, and those known that may not be gone."""
        listed = {
            arn
            for status in STATES
            for arn in self._account.ecs.list_tasks(
                serviceName=service, desiredStatus=status, **where
            )["taskArns"]
        }
        known = watched.tasks.values()
        listed |= {task.arn for task in known if task.state != "STOPPED"}
        return sorted(listed - {task.arn for task in known if task.state == "STOPPED"})

    def _targets(self, described: dict[str, Any]) -> dict[str, str] | None:
        """Return the states of the targets by address, None for a service without a group."""
        groups = [each["targetGroupArn"] for each in described["loadBalancers"]]
        if not groups:
            return None
        health = self._account.elbv2.describe_target_health(TargetGroupArn=groups[0])
        return {
            each["Target"]["Id"]: each["TargetHealth"]["State"]
            for each in health["TargetHealthDescriptions"]
        }


def _noted(watched: Watched, described: dict[str, Any], at: float) -> WatchedTask:
    arn = described["taskArn"]
    created_at = described["createdAt"].timestamp()
    task = watched.tasks.setdefault(arn, WatchedTask(arn=arn, created_at=created_at))
    task.started_at = _instant(described.get("startedAt"))
    task.stopping_at = _instant(described.get("stoppingAt"))
    task.execution_stopped_at = _instant(described.get("executionStoppedAt"))
    task.stopped_at = _instant(described.get("stoppedAt"))
    task.stop_code = described.get("stopCode")
    task.exit_code = described["containers"][0].get("exitCode") if described["containers"] else None
    task.address = _address(described) or task.address
    task.state = described["lastStatus"]
    task.first_seen.setdefault(task.state, at)
    return task


def _instant(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _address(described: dict[str, Any]) -> str | None:
    """Return the address by which a task with its own interface is known to a target group."""
    details = [
        detail for each in described.get("attachments", ()) for detail in each.get("details", ())
    ]
    return next((each["value"] for each in details if each["name"] == "privateIPv4Address"), None)


def _is_in_service(described: dict[str, Any], targets: dict[str, str] | None) -> bool:
    runs = described["lastStatus"] == described["desiredStatus"] == "RUNNING"
    return runs and (targets is None or targets.get(_address(described) or "") == "healthy")
