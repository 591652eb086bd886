"""Writes made for their own sake: how long AWS takes to act on them, and to show them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from verify_aws.account import Account, VerifyError, limits_of
from verify_aws.watching import Figure

DESIRED: Final = 3
HIGHEST: Final = 6
POLL_SECONDS: Final = 0.25
WATCH_SECONDS: Final = 8
"""How long reads are watched after a write: an old answer may follow a new one."""

SETTLE_SECONDS: Final = 5
COUNT_SECONDS: Final = 600
CONFLICTS: Final = 180
COUNTS: Final = "StopTask until runningCount leaves the task out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """The probes of one service, which has three tasks, and limits from its first probe on."""

    account: Account
    cluster: str
    service: str
    figures: list[Figure]

    def run(self) -> None:
        """Raise the minimum, stop a task, lower the desired count; note what was measured."""
        self._set_limits(DESIRED)
        self._raise_minimum()
        self._await(DESIRED + 1)
        # No answer is to be from before the fourth task.
        self.account.clock.sleep(SETTLE_SECONDS)
        self._stop_a_task()
        self._await(DESIRED + 1)
        self._set_limits(DESIRED)
        self._lower_desired_count()
        self._await(DESIRED)

    def _raise_minimum(self) -> None:
        """Raise the minimum above the desired count; see when that moves, and what is refused."""
        self._set_limits(DESIRED + 1)
        clock = self.account.clock
        began = clock.now()
        self._await(DESIRED + 1, of="desiredCount")
        self._note("RegisterScalableTarget to the new desired count",
                   "How long a raised minimum takes", clock.now() - began)  # fmt: skip
        refused_at = self._set_limits(DESIRED + 1)
        self._note("RegisterScalableTarget to the last ConcurrentUpdateException (0: none)",
                   "Another call meanwhile", refused_at - began if refused_at else 0.0)  # fmt: skip

    def _set_limits(self, lowest: int) -> float | None:
        """Set the limits as soon as that is not refused; return when it was refused last."""
        autoscaling, refused_at = self.account.aws.autoscaling, None
        limits = {"MinCapacity": lowest, "MaxCapacity": HIGHEST}
        for _ in range(CONFLICTS):
            try:
                autoscaling.register_scalable_target(
                    **limits, **limits_of(self.cluster, self.service)
                )
            except autoscaling.exceptions.ConcurrentUpdateException:
                refused_at = self.account.clock.now()
                self.account.clock.sleep(1)
            else:
                return refused_at
        raise VerifyError(f"The limits of {self.service} cannot be set: others are pending.")

    def _stop_a_task(self) -> None:
        """Stop a task; see for how long reads show it as before."""
        ecs, cluster = self.account.aws.ecs, self.cluster

        def listed() -> list[str]:
            found: list[str] = ecs.list_tasks(cluster=cluster, serviceName=self.service)["taskArns"]
            return found

        def is_to_stop() -> bool:
            (found,) = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
            return bool(found["desiredStatus"] == "STOPPED")

        task = listed()[0]
        ecs.stop_task(cluster=cluster, task=task, reason="verify-aws probe")
        self._watch_reads({
            "StopTask until ListTasks leaves the task out": lambda: task not in listed(),
            "StopTask until DescribeTasks shows desiredStatus STOPPED": is_to_stop,
            COUNTS: lambda: self._described()["runningCount"] <= DESIRED,
        })  # fmt: skip

    def _lower_desired_count(self) -> None:
        """Lower the desired count; see for how long reads show the old one."""
        where = {"cluster": self.cluster, "service": self.service}
        self.account.aws.ecs.update_service(**where, desiredCount=DESIRED)
        self._watch_reads({
            "UpdateService until DescribeServices shows it":
                lambda: self._described()["desiredCount"] == DESIRED,
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
        until = self.account.clock.now() + COUNT_SECONDS
        while {(found := self._described())["desiredCount"], found[of]} != {count}:
            if self.account.clock.now() > until:
                raise VerifyError(f"{self.service}: no {of} of {count} in {COUNT_SECONDS} s.")
            self.account.clock.sleep(POLL_SECONDS)

    def _described(self) -> dict[str, Any]:
        where = {"cluster": self.cluster, "services": [self.service]}
        found: list[dict[str, Any]] = self.account.aws.ecs.describe_services(**where)["services"]
        return found[0]

    def _note(self, name: str, row: str, seconds: float) -> None:
        self.figures.append(Figure(name=name, row=row, seconds=(seconds,)))
