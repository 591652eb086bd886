"""Read the service and every permission, and refuse what cannot be done safely.

Nothing here changes anything. Each permission is tried by a call that does no harm; all that are
missing are named together, and so are all reasons to refuse the service as it is.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AwsCallError, PreconditionError
from ecs_task_recycle.gateway import NO_TASK_ID
from ecs_task_recycle.journal import Journal
from ecs_task_recycle.model import Capacity, Chain, Protection, Raise, Service, WorkList
from ecs_task_recycle.observation import Observer
from ecs_task_recycle.protection import under_protection
from ecs_task_recycle.selection import originals
from ecs_task_recycle.settings import ProtectedTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import ScalableTarget
    from ecs_task_recycle.observation import Picture
    from ecs_task_recycle.settings import Settings

AUTOSCALING_READ: Final = "application-autoscaling:DescribeScalableTargets"
READS: Final = ("ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a run finds: the work, the journal, and every reason not to start."""

    work: WorkList
    chain: Chain
    refusals: tuple[str, ...]

    @property
    def raised_since_at(self) -> datetime:
        """Since when a task more may have been asked for: by this run, or by dead ones before."""
        entries = self.chain.entries
        return entries[0].run_started_at if entries else self.work.run_started_at


class Surveyor:
    """Reads the service, its limits and its journal, and tries every permission."""

    def __init__(self, gateway: Gateway, clock: Clock, settings: Settings) -> None:
        """Take what is asked; nothing is called yet."""
        self._gateway = gateway
        self._clock = clock
        self._settings = settings
        self._journal = Journal(gateway, clock)
        self._permissions = _Permissions()

    def survey(self) -> Survey:
        """Return what was found.

        Raises PreconditionError with all missing permissions, or for a service that is not there,
        and AlreadyRunningError while another run may be alive.
        """
        run_started_at = as_utc(self._clock.now())
        gateway, permissions = self._gateway, self._permissions
        service = permissions.trying(("ecs:DescribeServices",), gateway.service)
        if service is None and not permissions.lacking:
            raise absent(gateway)
        target = permissions.trying((AUTOSCALING_READ,), gateway.scalable_target)
        chain = permissions.trying(("ssm:GetParameter",), self._journal.read)
        observer = Observer(gateway, self._clock, checks_health=False)
        picture = permissions.trying(_read_actions(service), observer.look)
        if picture is None:
            self._probe_reads(service)
        protections = self._read_protections(picture)
        alarming = self._alarming(service)
        if service is not None:
            self._probe_writes(service, target)
        permissions.require()
        if service is None or picture is None or chain is None:
            raise AssertionError("a read without an answer is a missing permission")
        self._journal.require_dead(chain)
        work = self._work_list(
            picture,
            now=capacity_of(picture.service, target),
            chain=chain,
            run_started_at=run_started_at,
            checks_health=observer.checks_health,
            protections=protections,
        )
        reasons = refusals(picture.service, target, maintain=self._settings.maintain_service_state)
        return Survey(work=work, chain=chain, refusals=(*reasons, *_alarm_refusals(alarming)))

    def _alarming(self, service: Service | None) -> tuple[str, ...]:
        if service is None or not service.alarm_names:
            return ()
        names = service.alarm_names
        return (
            self._permissions.trying(
                ("cloudwatch:DescribeAlarms",), lambda: self._gateway.alarms_in_alarm(names)
            )
            or ()
        )

    def _read_protections(self, picture: Picture | None) -> tuple[Protection, ...]:
        """Return which tasks are under scale-in protection; without tasks the right is tried."""
        arns = [NO_TASK_ID] if picture is None else sorted(set(picture.tasks) - picture.gone)
        ends = self._permissions.trying(
            ("ecs:GetTaskProtection",), lambda: self._gateway.protections(arns or [NO_TASK_ID])
        )
        return under_protection(ends or {})

    def _probe_reads(self, service: Service | None) -> None:
        """Try each read of a look by itself, to name all that are denied."""
        gateway, trying = self._gateway, self._permissions.trying
        trying(("ecs:ListTasks",), gateway.task_arns)
        trying(("ecs:DescribeTasks",), lambda: gateway.tasks([NO_TASK_ID]))
        if service is not None:
            balancers = service.load_balancers
            trying(
                ("elasticloadbalancing:DescribeTargetHealth",), lambda: gateway.targets(balancers)
            )

    def _probe_writes(self, service: Service, target: ScalableTarget | None) -> None:
        gateway, trying = self._gateway, self._permissions.trying
        trying(("ecs:StopTask",), lambda: gateway.probe_stop_task(service.arn))
        # In this order: should the first ever be accepted, the second clears it away.
        name = f"{self._journal.name}/permission-check"
        trying(("ssm:PutParameter",), lambda: gateway.probe_put_parameter(name))
        trying(("ssm:DeleteParameter",), lambda: gateway.delete_parameter(name))
        if self._settings.protected_tasks is ProtectedTasks.STOP:
            trying(("ecs:UpdateTaskProtection",), lambda: gateway.clear_protection(NO_TASK_ID))
        if not self._settings.raises_capacity:
            return
        trying(("ecs:UpdateService",), gateway.probe_update_service)
        # Where the limits may not even be read, the service may well have some.
        if target is not None or AUTOSCALING_READ in self._permissions.lacking:
            trying(
                ("application-autoscaling:RegisterScalableTarget",),
                gateway.probe_register_scalable_target,
            )

    def _work_list(
        self,
        picture: Picture,
        *,
        now: Capacity,
        chain: Chain,
        run_started_at: datetime,
        checks_health: bool,
        protections: tuple[Protection, ...],
    ) -> WorkList:
        found = chain.original(now)
        tasks = [task for arn, task in picture.tasks.items() if arn not in picture.gone]
        started_before_at = self._settings.started_before or run_started_at
        logger.info(
            "Original desired count: %d, tasks: %d",
            found.desired_count,
            len(tasks),
            extra={"desired_count": found.desired_count, "tasks": len(tasks)},
        )
        chosen = originals(tasks, started_before_at)
        chosen_arns = {task.arn for task in chosen}
        deployments = picture.service.deployments
        return WorkList(
            deployment_id=deployments[0].id if deployments else "",
            run_started_at=run_started_at,
            started_before_at=started_before_at,
            originals=chosen,
            protections=tuple(each for each in protections if each.task_arn in chosen_arns),
            known_arns=tuple(sorted(picture.tasks)),
            in_service_count=len(picture.in_service),
            checks_health=checks_health,
            found=found,
            actions=tuple(self._permissions.allowed),
            leavings=Raise(found=found, written=now) if chain.entry else None,
        )


def capacity_of(service: Service, target: ScalableTarget | None) -> Capacity:
    """Return the capacity that a service and its scalable target show."""
    return Capacity(
        desired_count=service.desired_count,
        min_capacity=None if target is None else target.min_capacity,
        max_capacity=None if target is None else target.max_capacity,
    )


@dataclass(slots=True)
class _Permissions:
    """The IAM actions that were tried: which are allowed, which are missing."""

    allowed: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    def trying[T](self, actions: tuple[str, ...], call: Callable[[], T]) -> T | None:
        """Make a call; note what it lacks, or that its actions are allowed."""
        try:
            answer = call()
        except AwsCallError as error:
            if not error.denied:
                raise
            self.lacking += [each for each in error.lacking_actions if each not in self.lacking]
            return None
        self.allowed += [each for each in actions if each not in self.allowed]
        return answer

    def require(self) -> None:
        """Raise PreconditionError if anything is missing, with the statement to add."""
        if not self.lacking:
            return
        statement = {"Effect": "Allow", "Action": self.lacking, "Resource": "*"}
        raise PreconditionError(
            f"The role lacks permissions: {', '.join(self.lacking)}.",
            remedy=f"Nothing was touched. Add to its policy: {json.dumps(statement)}",
            lacking_actions=self.lacking,
        )


def _read_actions(service: Service | None) -> tuple[str, ...]:
    if service is not None and service.load_balancers:
        return (*READS, "elasticloadbalancing:DescribeTargetHealth")
    return READS


def absent(gateway: Gateway) -> PreconditionError:
    """Return the error for a service that is not there."""
    return PreconditionError(
        f"There is no service {gateway.service_name} in a cluster {gateway.cluster_name} "
        f"of {gateway.region}.",
        remedy="Nothing was touched. Check both names, the region and the account.",
    )


def refusals(service: Service, target: ScalableTarget | None, *, maintain: bool) -> list[str]:
    """Return every reason why the service cannot be recycled safely as it is."""
    return [
        *_kind_refusals(service),
        *_deployment_refusals(service),
        *_limit_refusals(service, target, maintain=maintain),
    ]


def _kind_refusals(service: Service) -> list[str]:
    """Refuse what has no replacement of single tasks, or whose health cannot be followed."""
    reasons = []
    if service.status != "ACTIVE":
        reasons.append(f"it is {service.status}, not ACTIVE")
    if service.scheduling_strategy != "REPLICA":
        reasons.append(f"its scheduling strategy is {service.scheduling_strategy}, not REPLICA")
    if service.controller != "ECS":
        reasons.append(f"its deployment controller is {service.controller}, not ECS")
    if service.classic_load_balancers:
        names = ", ".join(service.classic_load_balancers)
        reasons.append(f"it is behind a Classic Load Balancer ({names}), whose health is not read")
    if any(deployment.uses_vpc_lattice for deployment in service.deployments):
        reasons.append("it is behind VPC Lattice, whose health is not read")
    return reasons


def _deployment_refusals(service: Service) -> list[str]:
    """Refuse a service whose deployment is not complete.

    After a failed deployment ECS starts no tasks, so a stopped one would never come back.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
    """
    if service.controller != "ECS" or service.status != "ACTIVE":
        return []
    if len(service.deployments) != 1:
        return [f"{len(service.deployments)} deployments are in progress"]
    state = service.deployments[0].rollout_state
    if state in (None, "COMPLETED"):
        return []
    reason = service.deployments[0].rollout_reason
    return [f"its deployment is {state}" + (f" ({reason.rstrip('.')})" if reason else "")]


def _limit_refusals(
    service: Service, target: ScalableTarget | None, *, maintain: bool
) -> list[str]:
    """Refuse a desired count above the maximum: any call to autoscaling would scale it in."""
    if not maintain or target is None or service.desired_count <= target.max_capacity:
        return []
    reason = (
        f"its desired count {service.desired_count} is above the autoscaling maximum "
        f"{target.max_capacity}, and putting the limits back would make autoscaling stop tasks"
    )
    return [reason]


def _alarm_refusals(alarming: tuple[str, ...]) -> list[str]:
    if not alarming:
        return []
    return [f"its deployment alarms are in ALARM: {', '.join(alarming)}"]


def refusal(gateway: Gateway, reasons: Sequence[str], *, healed: bool) -> PreconditionError:
    """Return the error that names every reason."""
    touched = "What a dead run had left raised was put back." if healed else "Nothing was touched."
    return PreconditionError(
        f"Service {gateway.cluster_name}/{gateway.service_name} is not recycled: "
        f"{'; '.join(reasons)}.",
        remedy=touched,
        reasons=list(reasons),
    )
