"""Writes made for their own sake: how long AWS takes to act on them, and to show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from verify_aws.account import Account, VerifyError
from verify_aws.measures import Figure
from verify_aws.stacks import limits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.clock import Clock

DESIRED: Final = 3
HIGHEST: Final = 6
POLL_SECONDS: Final = 0.25
WATCH_SECONDS: Final = 8
"""How long reads are watched after a write: an old answer may follow a new one."""

SETTLE_SECONDS: Final = 5
CONFLICT_SECONDS: Final = 180
COUNT_SECONDS: Final = 600
REASON: Final = "verify-aws probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """The probes of one service, which has three tasks and autoscaling limits before and after."""

    account: Account
    cluster: str
    service: str
    clock: Clock
    figures: list[Figure] = field(default_factory=list)

    def set_limits(self, lowest: int) -> None:
        """Register the service as a scalable target."""
        self.account.autoscaling.register_scalable_target(
            MinCapacity=lowest, MaxCapacity=HIGHEST, **limits_of(self.cluster, self.service)
        )

    def run(self) -> list[Figure]:
        """Raise and lower the desired count, stop a task; return what was measured."""
        self._raise_minimum()
        self._wait_for_tasks(DESIRED + 1)
        # No answer is to be from before the fourth task.
        self.clock.sleep(SETTLE_SECONDS)
        self._stop_a_task()
        self._wait_for_tasks(DESIRED + 1)
        self._set_limits_patiently(DESIRED)
        self._lower_desired_count()
        self._wait_for_tasks(DESIRED)
        return self.figures

    def _raise_minimum(self) -> None:
        """Raise the minimum above the desired count; see when that moves, and what is refused."""
        # The registration itself may still be pending.
        self._set_limits_patiently(DESIRED + 1)
        began = self.clock.now()
        self._wait_for(lambda: self._described()["desiredCount"] > DESIRED, "the raised count")
        behaviour = "How long a raised minimum takes"
        self._note("RegisterScalableTarget to the new desired count", behaviour, self._since(began))
        refused_at = self._set_limits_patiently(DESIRED + 1)
        self._note("RegisterScalableTarget to the last ConcurrentUpdateException (0: none)",
                   "Another call meanwhile", refused_at - began if refused_at else 0.0)  # fmt: skip

    def _set_limits_patiently(self, lowest: int) -> float | None:
        """Set the limits as soon as that is not refused; return when it was refused last."""
        until, refused_at = self.clock.now() + CONFLICT_SECONDS, None
        while self._is_refused(lowest):
            refused_at = self.clock.now()
            if refused_at > until:
                raise VerifyError(
                    f"The limits of {self.service} cannot be set: others are pending."
                )
            self.clock.sleep(1)
        return refused_at

    def _is_refused(self, lowest: int) -> bool:
        try:
            self.set_limits(lowest)
        except self.account.autoscaling.exceptions.ConcurrentUpdateException:
            return True
        return False

    def _since(self, instant: float) -> float:
        return self.clock.now() - instant

    def _stop_a_task(self) -> None:
        """Stop the oldest task; see for how long reads show it as before."""
        ecs, where = self.account.ecs, {"cluster": self.cluster}
        arns = ecs.list_tasks(serviceName=self.service, **where)["taskArns"]
        tasks = ecs.describe_tasks(tasks=arns, **where)["tasks"]
        arn = min(tasks, key=lambda each: each["createdAt"])["taskArn"]
        ecs.stop_task(task=arn, reason=REASON, **where)
        self._watch_reads("StopTask", {
            "ListTasks leaves the task out": lambda: arn not in ecs.list_tasks(
                serviceName=self.service, **where)["taskArns"],
            "DescribeTasks shows desiredStatus STOPPED": lambda: ecs.describe_tasks(
                tasks=[arn], **where)["tasks"][0]["desiredStatus"] == "STOPPED",
            # Once only: the replacement makes the number what it was.
            "runningCount leaves the task out": _once(
                lambda: self._described()["runningCount"] <= DESIRED),
        })  # fmt: skip

    def _lower_desired_count(self) -> None:
        """Lower the desired count; see for how long reads show the old one."""
        self.account.ecs.update_service(
            cluster=self.cluster, service=self.service, desiredCount=DESIRED
        )
        shows = {"DescribeServices shows it": lambda: self._described()["desiredCount"] == DESIRED}
        self._watch_reads("UpdateService", shows)

    def _watch_reads(self, write: str, shows: dict[str, Callable[[], bool]]) -> None:
        """Read again and again after a write; note for each kind when it was last out of date."""
        began = self.clock.now()
        last_old = dict.fromkeys(shows, began)
        while self.clock.now() < began + WATCH_SECONDS:
            asked_at = self.clock.now()
            last_old |= {name: asked_at for name, is_shown in shows.items() if not is_shown()}
            self.clock.sleep(POLL_SECONDS)
        for name, at in last_old.items():
            behaviour = "Who is in `runningCount`" if "runningCount" in name else "Stale reads"
            self._note(f"{write} until {name}", behaviour, at - began)

    def _wait_for_tasks(self, count: int) -> None:
        def has_them() -> bool:
            found = self._described()
            return bool(found["desiredCount"] == found["runningCount"] == count)

        self._wait_for(has_them, f"{count} running tasks")

    def _wait_for(self, condition: Callable[[], bool], awaited: str) -> None:
        until = self.clock.now() + COUNT_SECONDS
        while not condition():
            if self.clock.now() > until:
                raise VerifyError(f"{self.service}: {awaited} did not come in {COUNT_SECONDS} s.")
            self.clock.sleep(POLL_SECONDS)

    def _described(self) -> dict[str, Any]:
        answer = self.account.ecs.describe_services(cluster=self.cluster, services=[self.service])
        found: dict[str, Any] = answer["services"][0]
        return found

    def _note(self, name: str, behaviour: str, seconds: float) -> None:
        self.figures.append(Figure(name=name, behaviour=behaviour, seconds=(seconds,)))


def _once(condition: Callable[[], bool]) -> Callable[[], bool]:
    """Return a condition that stays true from the first time on."""
    seen: list[bool] = []

    def has_been_true() -> bool:
        if not seen and condition():
            seen.append(True)
        return bool(seen)

    return has_been_true
