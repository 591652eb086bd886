"""Reads the events of AWS that name what has to be recycled: no transformer stands between.

Only what is read here is understood; any other event of AWS is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ecs_task_recycle.settings.values import Resource, service_anywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an event of AWS asks for: ``parameters`` as an event of ours has them.

    ``services`` are those that it names; None: those that use what the parameters name.
    """

    parameters: Mapping[str, object] = field(default_factory=dict)
    services: tuple[Resource, ...] | None = None


def notice_of(event: object) -> Notice | None:
    """Return what an event of AWS asks for; None for any other event."""
    match event:
        case {
            "source": "aws.secretsmanager",
            "detail-type": "Secret Label Updated",
            "resources": [str(secret_arn), *_],
            "detail": {"labelUpdated": "AWSCURRENT"},
            "time": str(time),
        }:
            return _changed(secret_arn, time)
        case {
            "source": "aws.ssm",
            "detail-type": "Parameter Store Change",
            "resources": [str(parameter_arn), *_],
            "detail": {"operation": "Update"},
            "time": str(time),
        }:
            return _changed(parameter_arn, time)
        case {
            "source": "aws.health",
            "detail": {"eventTypeCode": "AWS_ECS_TASK_PATCHING_RETIREMENT", **detail},
            "time": str(time),
        }:
            return _retired(detail.get("affectedEntities"), time)
    return None


def _changed(arn: str, time: str) -> Notice:
    """Return the request to recycle the tasks that have read the value before.

    A task that was created before the change may have read the old value, however late it started.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/event-detail-secret-label-updated-secretsmanager.html
    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-cwe.html
    """
    return Notice(parameters={"uses": arn, "started_before": time, "if_running": "queue"})


def _retired(entities: object, time: str) -> Notice:
    """Return the request to recycle the services that a notice names, each as cluster|service.

    Tasks that belong to no service are named by their ids, and are left out: ECS does not replace
    them either. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
    """
    listed = entities if isinstance(entities, list) else []
    named = (_service(each) for each in listed if isinstance(each, Mapping))
    services = dict.fromkeys(each for each in named if each is not None)
    return Notice(parameters={"started_before": time}, services=tuple(services))


def _service(entity: Mapping[str, object]) -> Resource | None:
    try:
        found = service_anywhere(entity.get("entityValue"))
    except (ValueError, TypeError):
        return None
    return None if found.cluster is None else found
