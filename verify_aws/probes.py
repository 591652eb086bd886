"""Writes made for their own sake: how long AWS takes to act on them, and to show them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ecs_task_recycle.aws.errors import CONFLICT, retry_until
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import AwsCallError
from verify_aws.account import Account, VerifyError
from verify_aws.watching import Figure

DESIRED: Final = 3
HIGHEST: Final = 6
POLL_SECONDS: Final = 0.25
WATCH_SECONDS: Final = 8
"""How long reads are watched after a write: an old answer may follow a new one."""

LIMIT_SECONDS: Final = 600
COUNTS: Final = "StopTask until runningCount leaves the task out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """The probes of one service, which has three tasks, and limits from its first probe on."""

    account: Account
    gateway: Gateway
    figures: list[Figure]

    def run(self) -> None:
        """Raise the minimum, stop a task, lower the desired count; note what was measured."""
        self._set_limits(DESIRED)
        self._raise_minimum()
        self._await(DESIRED + 1)
        # No answer is to be from before the fourth task.
        self.account.clock.sleep(5)
        self._stop_a_task()
        self._await(DESIRED + 1)
        self._set_limits(DESIRED)
        self.gateway.set_desired_count(DESIRED)
        shown = "UpdateService until DescribeServices shows it"
        self._watch_reads({shown: lambda: self._described()["desiredCount"] == DESIRED})
        self._await(DESIRED)

    def _raise_minimum(self) -> None:
        """Raise the minimum above the desired count; see when that moves, and what is refused."""
        self._set_limits(DESIRED + 1)
        began = self.account.clock.now()
        self._await(DESIRED + 1, of="desiredCount")
        self._note("RegisterScalableTarget to the new desired count",
                   "How long a raised minimum takes", self.account.clock.now() - began)  # fmt: skip
        refused_at = self._set_limits(DESIRED + 1)
        self._note("RegisterScalableTarget to the last ConcurrentUpdateException (0: none)",
                   "Another call meanwhile", max(0.0, refused_at - began))  # fmt: skip

    def _set_limits(self, lowest: int) -> float:
        """Set the limits as soon as that is not refused; return when it was refused last, or 0."""
        clock, refusals = self.account.clock, [0.0]

        def is_pending(error: AwsCallError) -> bool:
            refusals.append(clock.now())
            return error.code == CONFLICT

        call = partial(self.gateway.set_limits, min_capacity=lowest, max_capacity=HIGHEST)
        until = clock.now() + LIMIT_SECONDS
        retry_until(call, clock, until=until, every_seconds=1, is_retryable=is_pending)
        return refusals[-1]

    def _stop_a_task(self) -> None:
        """Stop a task; see for how long reads show it as before."""
        gateway = self.gateway
        task = gateway.task_arns()[0]
        gateway.stop_task(task, reason="verify-aws probe")
        self._watch_reads({
            "StopTask until ListTasks leaves the task out":
                lambda: task not in gateway.task_arns(),
            "StopTask until DescribeTasks shows desiredStatus STOPPED":
                lambda: gateway.tasks([task])[task].desired_status == "STOPPED",
            COUNTS: lambda: self._described()["runningCount"] <= DESIRED,
        })  # fmt: skip

    def _watch_reads(self, shows: dict[str, Callable[[], bool]]) -> None:
        """Read again and again after a write; note for each kind when it was last out of date."""
        clock = self.account.clock
        began = clock.now()
        last_old = dict.fromkeys(shows, began)
        while (asked_at := clock.now()) < began + WATCH_SECONDS:
            new = [name for name, is_shown in shows.items() if is_shown()]
            last_old |= dict.fromkeys(shows.keys() - new, asked_at)
            if COUNTS in new:
                del shows[COUNTS]  # the replacement makes the number what it was
            clock.sleep(POLL_SECONDS)
        for name, at in last_old.items():
            row = "Who is in `runningCount`" if name == COUNTS else "Stale reads"
            self._note(name, row, at - began)

    def _await(self, count: int, of: str = "runningCount") -> None:
        """Wait until the service wants so many tasks, and has them if `of` is runningCount."""
        until = self.account.clock.now() + LIMIT_SECONDS
        while {(found := self._described())["desiredCount"], found[of]} != {count}:
            if self.account.clock.now() > until:
                raise VerifyError(f"{self.gateway.name}: no {of} of {count} in {LIMIT_SECONDS} s.")
            self.account.clock.sleep(POLL_SECONDS)

    def _described(self) -> Any:  # noqa: ANN401 - botocore's
        where = {"cluster": self.gateway.cluster_name, "services": [self.gateway.service_name]}
        return self.account.aws.ecs.describe_services(**where)["services"][0]

    def _note(self, name: str, row: str, seconds: float) -> None:
        self.figures.append(Figure(name, row, (seconds,)))
