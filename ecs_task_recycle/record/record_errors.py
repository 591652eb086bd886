"""What to say where a service's run record belongs to another run, or to another version."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import (
    AlreadyRunningError,
    OwnershipLostError,
    PreconditionError,
    RunDiedError,
)
from ecs_task_recycle.record.record import RunRecord, foreign_arns, from_item
from ecs_task_recycle.record.table import Item, RunTable

DEATHS_LIMIT: Final = 3


def already_running(service: str, record: RunRecord | None) -> AlreadyRunningError:
    """Return the error for a second run while the one of a record may be alive."""
    if record is None:
        return AlreadyRunningError(
            f"Another run of {service} started at the same time.",
            remedy="Nothing was touched. Invoke again if it is not the one you want.",
        )
    return AlreadyRunningError(
        f"Run {record.run_id} of {service} "
        f"started at {record.run_started_at.isoformat(timespec='seconds')} and may be alive "
        f"until {record.owner_dead_at.isoformat(timespec='seconds')}.",
        remedy="Nothing was touched. Wait for its end, or until then.",
        running_run_id=record.run_id,
    )


def require_free(service: str, record: RunRecord, run_id: str, now_at: datetime) -> None:
    """Raise AlreadyRunningError while the run of a record may be alive, or where it was this one.

    That is so where AWS delivers an event once more, after its run.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
    """
    if record.may_be_alive(now_at):
        raise already_running(service, record)
    if record.run_id == run_id and not record.is_open:
        raise AlreadyRunningError(
            f"Run {run_id} of {service} has ended already, as {record.status}: its event was "
            "delivered once more.",
            remedy="Nothing was touched.",
            running_run_id=run_id,
        )


def lost(run_id: str, service: str, item: Item | None) -> OwnershipLostError:
    """Return the error for a run whose record was taken over, by the run of an item."""
    record = None if item is None else understood(item)
    other = "another run" if record is None else f"run {record.run_id}"
    return OwnershipLostError(
        f"Run {run_id} no longer owns the record of {service}: {other} has taken it over.",
        remedy="This run stopped nothing more and restored nothing; the other one does.",
    )


def not_understood(table: RunTable, problem: ValueError) -> PreconditionError:
    """Return the error for a record that another version, or somebody else, has written."""
    command = (
        f"aws dynamodb delete-item --table-name {table.name} --region {table.region} "
        f'--key \'{{"service": {{"S": "{table.service}"}}}}\''
    )
    return PreconditionError(
        f"The run record of {table.service} in table {table.name} is not one that this version "
        f"understands: {problem}.",
        remedy="Nothing was touched. Deploy the version that wrote it; or, once no run is alive, "
        f"delete it: {command}",
    )


def understood(item: Item) -> RunRecord | None:
    """Return the record of an item, None where it is not one that can be read."""
    try:
        return from_item(dict(item))
    except ValueError:
        return None


def require_own_tasks(gateway: Gateway, record: RunRecord) -> None:
    """Raise PreconditionError for a record whose tasks are not in the service's own cluster."""
    service = gateway.service()
    if service is None or record.memory is None:
        return
    foreign = foreign_arns(record.memory, service.arn)
    if foreign:
        raise PreconditionError(
            f"The run record of {gateway.name} names a task of another account, region or cluster: "
            f"{foreign[0]:.200}.",
            remedy="Nothing was touched. Delete the record if nobody of yours has written it.",
        )


def require_few_deaths(gateway: Gateway, run_id: str, deaths_count: int) -> None:
    """Raise RunDiedError at the third death in a row without progress."""
    if deaths_count >= DEATHS_LIMIT:
        raise RunDiedError(
            f"Run {run_id} of {gateway.name} died {deaths_count} times in a row without replacing "
            "a task.",
            remedy="The log says how far each invocation came. Invoke again once it can go on.",
        )
