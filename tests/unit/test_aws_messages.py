"""AWS's own words, and what they mean for a start."""

from __future__ import annotations

import pytest

from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.messages import (
    SERVICE_EVENTS,
    STOPPED_TASKS,
    Meaning,
    meaning_of_event,
    meaning_of_stop,
    started_task_ids,
)

NO_INSTANCE = (
    "was unable to place a task because no container instance met all of its requirements. "
    "Reason: No Container Instances were found in your capacity provider."
)
WITH_ROOM = (
    NO_INSTANCE,
    "was unable to reach steady state. Reason: No Container Instances were found.",
    "was unable to place a task in your VPC because the subnets have no free addresses.",
    "was unable to place tasks in your cluster because the provisioning limit was exceeded.",
    "Timed out waiting for Amazon ECS Agent to start. Please check logs.",
    "was unable to place a task. Reason: Capacity is unavailable at this time.",
    "is unable to consistently start tasks successfully. For more information, see the guide.",
    "was unable to stop or start tasks during a deployment because of its configuration.",
)
COUNTING = (
    "(deployment ecs-svc/1) failed to launch a task with (error was unable to assume it).",
    "failed to register targets in (target-group arn) with (error no such group)",
    "task set 1 is not healthy in target-group arn due to TARGET GROUP IS NOT FOUND.",
)
NOT_COUNTING = (
    "is unable to place a task in us-east-1a because no container instance met all of it.",
    "was unable to AZ Rebalance because (task set 1) was unable to scale in due to (reason 1).",
    "was unable to scale in due to (reason 2 tasks under protection)",
    "is not AZ balanced with 3 tasks in us-east-1a. AZ Rebalancing in progress.",
    "stopped AZ Rebalancing.",
    "has reached a steady state.",
    "has started 1 tasks: (task 37db882f).",
    "has stopped 1 running tasks: (task 37db882f).",
    "has begun draining connections on 1 tasks.",
    "registered 1 targets in (target-group arn)",
    "deregistered 1 targets in (target-group arn)",
    "task set 1 is not healthy in (target-group arn) due to TARGET IS NOT FOUND.",
    "(port 80) is unhealthy in (target-group arn) due to (reason Health checks failed)",
    "(task 37db882f) failed container health checks.",
    "(deployment ecs-svc/1) deployment completed.",
    "(deployment ecs-svc/1) deployment failed: tasks failed to start.",
)

STOPS = {
    ("TaskFailedToStart", "CannotPullContainerError: manifest unknown"): Meaning.COUNTS,
    ("EssentialContainerExited", "Essential container in task exited"): Meaning.COUNTS,
    (None, "Essential container in task exited"): Meaning.COUNTS,
    ("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group arn)"): (
        Meaning.COUNTS
    ),
    ("ServiceSchedulerInitiated", "Task failed container health checks"): Meaning.COUNTS,
    ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)"): (
        Meaning.DOES_NOT_COUNT
    ),
    ("ServiceSchedulerInitiated", "Task stopped during instance draining"): Meaning.DOES_NOT_COUNT,
    ("UserInitiated", "Task stopped by user"): Meaning.DOES_NOT_COUNT,
    ("SpotInterruption", "Your Spot Task was interrupted."): Meaning.DOES_NOT_COUNT,
    ("TerminationNotice", "Host EC2 (instance i-1) terminated."): Meaning.DOES_NOT_COUNT,
    (None, "Host EC2 (instance i-1) terminated."): Meaning.DOES_NOT_COUNT,
    ("InfrastructureHealth", "ECS is performing maintenance on the underlying infrastructure"): (
        Meaning.DOES_NOT_COUNT
    ),
    ("ServiceSchedulerInitiated", "for a reason that nobody has seen"): Meaning.UNKNOWN,
    ("ACodeToCome", ""): Meaning.UNKNOWN,
    (None, None): Meaning.UNKNOWN,
}


@pytest.mark.parametrize("message", WITH_ROOM)
def test_placements_that_fail_count_where_there_is_room(message: str) -> None:
    assert meaning_of_event(f"(service web) {message}") is Meaning.COUNTS_WITH_ROOM


@pytest.mark.parametrize("message", COUNTING)
def test_launches_that_fail_count(message: str) -> None:
    assert meaning_of_event(f"(service web) {message}") is Meaning.COUNTS


@pytest.mark.parametrize("message", NOT_COUNTING)
def test_what_tells_of_no_start_does_not_count(message: str) -> None:
    assert meaning_of_event(f"(service web) {message}") is Meaning.DOES_NOT_COUNT


def test_the_tasks_that_a_service_has_started_are_named_in_two_forms() -> None:
    ids = ["37db882f", "48ec993a"]
    started = f"(task {ids[0]}) (task {ids[1]})."
    assert started_task_ids(f"(service web) has started 2 tasks: {started}") == ids
    rebalanced = f"(service web) has started 2 tasks in us-east-1a to AZ Rebalance: {started}"
    assert started_task_ids(rebalanced) == ids


def test_what_is_in_no_row_is_unknown() -> None:
    assert meaning_of_event("(service web) was unable to foresee this") is Meaning.UNKNOWN


@pytest.mark.parametrize("code, reason", STOPS)
def test_a_stop_counts_if_the_task_failed_by_itself(code: str | None, reason: str | None) -> None:
    task = Task(
        arn="arn",
        last_status="STOPPED",
        desired_status="STOPPED",
        stop_code=code,
        stopped_reason=reason,
    )
    assert meaning_of_stop(task) is STOPS[code, reason]


def test_each_row_names_its_source() -> None:
    rows = (*SERVICE_EVENTS, *STOPPED_TASKS)
    assert [row.source for row in rows if not row.source.startswith("https://")] == []
