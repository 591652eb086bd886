"""The texts of service events that tests inject, besides those that the emulator tells by itself.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing-event-messages-list.html
"""

from collections.abc import Mapping

ZONES_STOPPED = "stopped AZ Rebalancing."


def zones_uneven(task_counts: Mapping[str, int]) -> str:
    """Return the text for a rebalancing that starts; task counts by zone."""
    return f"is not AZ balanced with {_spread(task_counts)}. AZ Rebalancing in progress."


def zones_even(task_counts: Mapping[str, int]) -> str:
    """Return the text for a rebalancing that is done."""
    return f"is AZ balanced with {_spread(task_counts)}."


def zones_blocked(task_set: str, reason: str) -> str:
    """Return the text for a rebalancing that task protection blocks."""
    return f"was unable to AZ Rebalance because {task_set} was unable to scale in due to {reason}."


def zone_full(zone: str, *, on_instances: bool = False) -> str:
    """Return the text for a rebalancing that finds no room in a zone."""
    why = " because no container instance met all of its requirements" if on_instances else ""
    return f"is unable to place a task in {zone}{why}."


def launch_failed(error: str) -> str:
    """Return the text for a launch of which there is not even a task.

    https://github.com/telia-oss/terraform-aws-ecs-fargate/pull/58
    """
    return f"failed to launch a task with (error {error})."


def _spread(task_counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} tasks in {zone}" for zone, count in sorted(task_counts.items()))
