"""What is seen from outside: looks at the services, answers to clients, and how long it took."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from ecs_task_recycle.aws.responses import task_of
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.watch.in_service import short, why_not_ready
from verify_aws.account import NAME, Account

GOOD: Final = "200"
INSTANTS: Final = ("createdAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt")


@dataclass(slots=True, kw_only=True)
class Watched:
    """What was seen of one service.

    `tasks`: by id, the instants of each (epoch seconds) by ECS's names (INSTANTS), and of when it
    was first seen `inService` and `draining`, of the `StopTask` that stopped it, and of the
    `signal` that its container logged. `in_service`: how many were in service at which look.
    """

    tasks: dict[str, dict[str, float]] = field(default_factory=dict)
    in_service: list[tuple[float, int]] = field(default_factory=list)

    def lowest_in_service(self, since: float, until: float) -> int | None:
        """Return the lowest number of tasks in service from `since` to `until`.

        One look may combine an old answer with a new one: it takes two in a row to be believed.
        """
        seen = [count for at, count in self.in_service if since <= at <= until]
        return min((max(both) for both in pairwise(seen)), default=None)


@dataclass(frozen=True, slots=True)
class Observer:
    """Watches the services by reads alone; a read that fails is counted."""

    account: Account
    watched: dict[str, Watched]
    errors: Counter[str] = field(default_factory=Counter)

    def look(self) -> None:
        """Look at every service once."""
        for service, watched in self.watched.items():
            try:
                self._look_at(service, watched)
            except Exception as error:  # noqa: BLE001 - else nobody would look any more
                self.errors[str(error)] += 1

    def _look_at(self, service: str, watched: Watched) -> None:
        ecs, where = self.account.aws.ecs, {"cluster": NAME}
        (found,) = ecs.describe_services(services=[service], **where)["services"]
        listed = ecs.list_tasks(serviceName=service, **where)["taskArns"]
        stopped = {id_ for id_, at in watched.tasks.items() if "stoppedAt" in at}
        ids = ({*watched.tasks} | {short(arn) for arn in listed}) - stopped
        tasks = ecs.describe_tasks(tasks=sorted(ids), **where)["tasks"] if ids else []
        describe, groups = self.account.aws.elbv2.describe_target_health, found["loadBalancers"]
        health = [describe(TargetGroupArn=each["targetGroupArn"]) for each in groups]
        targets = [target for each in health for target in each["TargetHealthDescriptions"]]
        states = {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in targets}
        now, count = self.account.clock.now(), 0
        for each in tasks:
            at = watched.tasks.setdefault(short(each["taskArn"]), {})
            at |= {name: each[name].timestamp() for name in INSTANTS if name in each}
            if "stoppingAt" in at and each.get("stopCode") == "UserInitiated":
                at["StopTask"] = at["stoppingAt"]
            task = task_of(each, {})
            state = states.get(task.ip_address) if groups else "healthy"
            if state == "draining":
                at.setdefault("draining", now)
            if state == "healthy" and why_not_ready(task, checks_health=False) is None:
                at.setdefault("inService", now)
                count += 1
        watched.in_service.append((now, count))


@dataclass(frozen=True, slots=True)
class Client:
    """Makes one request at a time, over one connection or each over a new one.

    `answers`: when each request was made (epoch seconds), and its status or error.
    """

    url: str
    keeps_connection: bool
    clock: Clock
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


@contextmanager
def meanwhile(works: Sequence[tuple[float, Callable[[], object]]]) -> Iterator[None]:
    """Do each work again and again, with pauses of so many seconds, until the block ends."""
    is_over = threading.Event()

    def repeat(seconds: float, work: Callable[[], object]) -> None:
        while not is_over.wait(seconds):
            work()

    with ThreadPoolExecutor(len(works)) as pool:
        for each in works:
            pool.submit(repeat, *each)
        try:
            yield
        finally:
            is_over.set()


# ---- As figures ----

DRAIN: Final = "Drain or SIGTERM first on StopTask"
END: Final = "Other phases of an end"
REPLACED: Final = "When a stopped task is replaced"

# Name, row, from, to: names of instants; those of the replacement begin with "new".
DURATIONS: Final = (
    ("StopTask to the target seen draining", DRAIN, "StopTask", "draining"),
    ("StopTask to the stop signal, by the container's log", DRAIN, "StopTask", "signal"),
    ("The target seen draining to the stop signal (negative: after)", DRAIN, "draining", "signal"),
    ("StopTask to the end of the container", END, "StopTask", "executionStoppedAt"),
    ("StopTask to STOPPED", END, "StopTask", "stoppedAt"),
    ("StopTask to the replacement's creation", REPLACED, "StopTask", "new createdAt"),
    ("STOPPED to the replacement's creation (negative: before)",
     REPLACED, "stoppedAt", "new createdAt"),
    ("The replacement's creation to its start", "Phases of a start", "new createdAt",
     "new startedAt"),
    ("The replacement's start to in service", "Health after the start", "new startedAt",
     "new inService"),
    ("StopTask to the replacement in service", REPLACED, "StopTask", "new inService"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
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
    created = sorted(watched.tasks.values(), key=lambda at: at["createdAt"])
    called = [at for at in created if "StopTask" in at]
    found = []
    for at in sorted(called, key=lambda at: at["StopTask"]):
        new = next((each for each in created if each["createdAt"] >= at["StopTask"]), {})
        created = [each for each in created if each is not new]
        found.append(at | {f"new {name}": instant for name, instant in new.items()})
    return found


def figures(watched: Watched) -> list[Figure]:
    """Return the figures of a service."""
    instants = stops(watched)
    return [
        Figure(name, row, tuple(at[end] - at[start] for at in instants if {start, end} <= {*at}))
        for name, row, start, end in DURATIONS
    ]
