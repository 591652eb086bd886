"""What is seen from outside: looks at the services, answers to clients, and how long it took."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, Final

from botocore.exceptions import ClientError
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from verify_aws.account import Account, StoppableClock

GOOD: Final = "200"
INSTANTS: Final = ("createdAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt")


@dataclass(slots=True, kw_only=True)
class WatchedTask:
    """A task as last seen.

    `at` has epoch seconds by ECS's names (INSTANTS); also of when it was first seen `inService` and
    `draining`, and of the `signal` that its container logged.
    """

    id: str
    at: dict[str, float] = field(default_factory=dict)
    address: str | None = None
    is_stopped: bool = False
    is_stopped_by_call: bool = False

    def note(self, described: dict[str, Any]) -> None:
        """Take over what DescribeTasks says."""
        self.at |= {name: described[name].timestamp() for name in INSTANTS if name in described}
        self.address = _address(described) or self.address
        self.is_stopped = described["lastStatus"] == "STOPPED"
        self.is_stopped_by_call = "stoppingAt" in described and (
            described.get("stopCode") == "UserInitiated"
        )


@dataclass(slots=True, kw_only=True)
class Watched:
    """What was seen of one service: its tasks by id, and how many were in service at which look."""

    tasks: dict[str, WatchedTask] = field(default_factory=dict)
    in_service: list[tuple[float, int]] = field(default_factory=list)

    def lowest_in_service(self, since: float, until: float) -> int | None:
        """Return the lowest number of tasks in service from `since` to `until`.

        One look may combine an old answer with a new one: it takes two in a row to be believed.
        """
        seen = [count for at, count in self.in_service if since <= at <= until]
        return min((max(both) for both in pairwise(seen)), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Watches the services of one cluster by reads alone; a read that fails is counted."""

    account: Account
    cluster: str
    watched: dict[str, Watched]
    errors: Counter[str] = field(default_factory=Counter)

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
        ecs = self.account.aws.ecs
        (found,) = ecs.describe_services(cluster=self.cluster, services=[service])["services"]
        ids = self._ids(service, watched)
        tasks = ecs.describe_tasks(cluster=self.cluster, tasks=ids)["tasks"] if ids else []
        states = self._target_states(found)
        at, count = self.account.clock.now(), 0
        for each in tasks:
            id_ = each["taskArn"].rpartition("/")[2]
            task = watched.tasks.setdefault(id_, WatchedTask(id=id_))
            task.note(each)
            runs = each["lastStatus"] == each["desiredStatus"] == "RUNNING"
            state = "healthy" if states is None else states.get(task.address or "")
            if state == "draining":
                task.at.setdefault("draining", at)
            if runs and state == "healthy":
                task.at.setdefault("inService", at)
                count += 1
        watched.in_service.append((at, count))

    def _ids(self, service: str, watched: Watched) -> list[str]:
        """Return the tasks to look at: those listed or known, without those seen STOPPED."""
        listed = {
            arn.rpartition("/")[2]
            for status in ("RUNNING", "STOPPED")
            for arn in self.account.aws.ecs.list_tasks(
                cluster=self.cluster, serviceName=service, desiredStatus=status
            )["taskArns"]
        }
        stopped = {each.id for each in watched.tasks.values() if each.is_stopped}
        return sorted((listed | watched.tasks.keys()) - stopped)

    def _target_states(self, described: dict[str, Any]) -> dict[str, str] | None:
        """Return the states of the targets by address, None for a service without a group."""
        for group in described["loadBalancers"]:
            health = self.account.aws.elbv2.describe_target_health(
                TargetGroupArn=group["targetGroupArn"]
            )["TargetHealthDescriptions"]
            return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in health}
        return None


def _address(described: dict[str, Any]) -> str | None:
    """Return the address by which a task with its own interface is known to a target group."""
    details = [
        detail for each in described.get("attachments", ()) for detail in each.get("details", ())
    ]
    return next((each["value"] for each in details if each["name"] == "privateIPv4Address"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Makes one request at a time, over one connection or each over a new one.

    `answers`: when each request was made (epoch seconds), and its status or error.
    """

    url: str
    keeps_connection: bool
    clock: StoppableClock
    answers: list[tuple[float, str]] = field(default_factory=list)
    _pool: PoolManager = field(default_factory=lambda: PoolManager(retries=False, timeout=10.0))

    def request(self) -> None:
        """Make a request; note what came of it."""
        at = self.clock.now()
        try:
            outcome = str(self._pool.request("GET", self.url).status)
        except HTTPError as error:
            outcome = type(error).__name__
        if not self.keeps_connection:
            self._pool.clear()
        self.answers.append((at, outcome))


# ---- As figures ----

DRAIN: Final = "Drain or SIGTERM first on StopTask"
END: Final = "Other phases of an end"
REPLACED: Final = "When a stopped task is replaced"

# Name, row, from, to: names of instants; those of the replacement begin with "new".
DURATIONS: Final = (
    ("StopTask to the target seen draining", DRAIN, "stoppingAt", "draining"),
    ("StopTask to the stop signal, by the container's log", DRAIN, "stoppingAt", "signal"),
    ("The target seen draining to the stop signal (negative: after)",
     DRAIN, "draining", "signal"),
    ("StopTask to the end of the container", END, "stoppingAt", "executionStoppedAt"),
    ("StopTask to STOPPED", END, "stoppingAt", "stoppedAt"),
    ("StopTask to the replacement's creation", REPLACED, "stoppingAt", "new createdAt"),
    ("STOPPED to the replacement's creation (negative: before)",
     REPLACED, "stoppedAt", "new createdAt"),
    ("The replacement's creation to its start",
     "Phases of a start", "new createdAt", "new startedAt"),
    ("The replacement's start to in service",
     "Health after the start", "new startedAt", "new inService"),
    ("StopTask to the replacement in service", REPLACED, "stoppingAt", "new inService"),
)  # fmt: skip
PACE: Final = "From one stop of a run to the next"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A duration that was measured some times; `row` is what docs/emulator.md says of it."""

    name: str
    row: str
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        if not self.seconds:
            return "not seen"
        found = min(self.seconds), median(self.seconds), max(self.seconds)
        return " / ".join(f"{each:.1f}" for each in found[-3 if self.seconds[1:] else -1 :])


def stops(watched: Watched) -> list[dict[str, float]]:
    """Return the instants of each task that a call stopped, in order.

    After "new ": those of the first task created after it, its replacement.
    """
    created = sorted((each.at for each in watched.tasks.values()), key=lambda at: at["createdAt"])
    called = [each.at for each in watched.tasks.values() if each.is_stopped_by_call]
    found = []
    for at in sorted(called, key=lambda at: at["stoppingAt"]):
        new = next((each for each in created if each["createdAt"] >= at["stoppingAt"]), None)
        if new is not None:
            created.remove(new)
        found.append(at | {f"new {name}": instant for name, instant in (new or {}).items()})
    return found


def figures(watched: Watched, runs: Sequence[tuple[float, float]]) -> list[Figure]:
    """Return the figures of a service that undisturbed runs recycled from then to then."""
    instants = stops(watched)
    durations = [
        Figure(
            name=name,
            row=row,
            seconds=tuple(at[end] - at[start] for at in instants if {start, end} <= at.keys()),
        )
        for name, row, start, end in DURATIONS
    ]
    of_runs = [[at["stoppingAt"] for at in instants if a <= at["stoppingAt"] <= b] for a, b in runs]
    pace = tuple(later - before for each in of_runs for before, later in pairwise(each))
    return [*durations, Figure(name=PACE, row=REPLACED, seconds=pace)]


def since_stop(at: float, watched: Watched) -> float | None:
    """Return how long before an instant the last task was stopped, None if none was."""
    before = [each["stoppingAt"] for each in stops(watched) if each["stoppingAt"] <= at]
    return at - before[-1] if before else None
