"""The permissions of a run: each is tried by a call, all that are missing are named together.

AWS denies or refuses each call that only tries a permission, so none changes anything: decision 4.
In which words it refuses is nobody's promise: what is neither denied nor a moment's failure means
that the call is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ecs_task_recycle.aws.errors import expect_refusal
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import AwsCallError, PreconditionError
from ecs_task_recycle.model import ScalableTarget, Service
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import ProtectedTasks

AUTOSCALING_READ: Final = "application-autoscaling:DescribeScalableTargets"
TRIED_BY_AUTOSCALING: Final = (
    "ecs:DescribeServices",
    "ecs:UpdateService",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:DeleteAlarms",
)
"""What RegisterScalableTarget needs of its caller besides, by AWS's own trial calls.

https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_permission_validation.html
"""
SLOW_START_READ: Final = "elasticloadbalancing:DescribeTargetGroupAttributes"
REVISION_READ: Final = "ecs:DescribeServiceRevisions"
NO_TASK_ID: Final = "0" * 32
"""The id of a task that cannot exist."""


@dataclass(slots=True)
class Permissions:
    """The IAM actions that were tried: which are allowed, which are missing.

    ``hints`` says what to do where a policy allows what seems to be missing.
    """

    allowed: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def trying[T](self, actions: tuple[str, ...], call: Callable[[], T]) -> T | None:
        """Make a call; note what it lacks, or that its actions are allowed."""
        try:
            answer = call()
        except AwsCallError as error:
            if not error.denied:
                raise
            self.lacking += [each for each in error.lacking_actions if each not in self.lacking]
            self.hints += [error.hint] if error.hint else []
            return None
        self.allow(actions)
        return answer

    def optional[T](self, actions: tuple[str, ...], call: Callable[[], T]) -> T | None:
        """Make a call that a run can do without; None where AWS does not do it."""
        try:
            answer = call()
        except AwsCallError as error:
            if error.transient:
                raise
            return None
        self.allow(actions)
        return answer

    def allow(self, actions: tuple[str, ...]) -> None:
        """Note that actions are allowed."""
        self.allowed += [each for each in actions if each not in self.allowed]

    def require(self, *, untouched: str) -> None:
        """Raise PreconditionError if anything is missing, with the statement to add.

        ``untouched`` says in which state that leaves the service.
        """
        if not self.lacking:
            return
        statement = {"Effect": "Allow", "Action": self.lacking, "Resource": "*"}
        raise PreconditionError(
            f"The role lacks permissions: {', '.join(self.lacking)}.",
            remedy=" ".join(
                [untouched, *self.hints, f"Add to its policy: {json.dumps(statement)}"]
            ),
            lacking_actions=self.lacking,
        )


def probe_reads(gateway: Gateway, permissions: Permissions, service: Service | None) -> None:
    """Try each read of a look by itself, to name all that are denied."""
    trying = permissions.trying
    trying(("ecs:ListTasks",), gateway.task_arns)
    trying(("ecs:DescribeTasks",), lambda: gateway.tasks([NO_TASK_ID]))
    if service is not None:
        balancers = service.load_balancers
        trying(("elasticloadbalancing:DescribeTargetHealth",), lambda: gateway.targets(balancers))


def probe_writes(
    gateway: Gateway,
    permissions: Permissions,
    settings: Settings,
    *,
    service: Service,
    target: ScalableTarget | None,
) -> None:
    """Try every write that a run may need."""
    trying = permissions.trying
    stop = partial(gateway.stop_task, _no_task(gateway, service), reason="permission check")
    trying(("ecs:StopTask",), partial(expect_refusal, stop))
    if settings.protected_tasks is ProtectedTasks.STOP:
        clear = partial(gateway.clear_protection, NO_TASK_ID)
        trying(("ecs:UpdateTaskProtection",), partial(expect_refusal, clear))
    if not settings.raises_capacity:
        return
    set_impossible_count = partial(gateway.set_desired_count, -1)
    trying(("ecs:UpdateService",), partial(expect_refusal, set_impossible_count))
    # Where the limits may not even be read, the service may well have some.
    if target is None and AUTOSCALING_READ in permissions.lacking:
        target = ScalableTarget(min_capacity=0, max_capacity=service.desired_count)
    if target is not None and target.max_capacity:
        # Were a minimum above the maximum that was found accepted, no task would be lost.
        highest = target.max_capacity
        set_impossible_limits = partial(
            gateway.set_limits, min_capacity=highest + 1, max_capacity=highest
        )
        trying(
            ("application-autoscaling:RegisterScalableTarget",),
            partial(expect_refusal, set_impossible_limits),
        )


def _no_task(gateway: Gateway, service: Service) -> str:
    """Return the ARN of a task that cannot exist."""
    head = service.arn.split(":service/", maxsplit=1)[0]
    return f"{head}:task/{gateway.cluster_name}/{NO_TASK_ID}"
