"""What an event asks of many services: begin a sweep, plan one, stop it, say where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from ecs_task_recycle.actions import act
from ecs_task_recycle.aws.sweep_machine import SweepMachine
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AwsCallError, PreconditionError
from ecs_task_recycle.record.requests import request_stop
from ecs_task_recycle.report.sweep_answer import (
    SweepAnswer,
    SweepStatus,
    SweptService,
    SweptStatus,
    outcome_of,
)
from ecs_task_recycle.settings.parameters import Action
from ecs_task_recycle.settings.sweep import SweepSettings, run_id_of
from ecs_task_recycle.sweep.gateway import ServiceName, SweepGateway
from ecs_task_recycle.sweep.record import SweepRecord
from ecs_task_recycle.sweep.selection import select
from ecs_task_recycle.sweep.turns import Sweep, answer_of

PLANS_LIMIT: Final = 50
PLAN_SECONDS: Final = 60.0
"""What one service's dry run may take, so that the answer still comes in time."""


def begin(
    sweep: Sweep,
    settings: SweepSettings,
    gateway: SweepGateway,
    *,
    machine: SweepMachine | None,
    cluster_names: Sequence[str],
) -> SweepAnswer:
    """Select the services, write them down and start the state machine; or plan each one.

    Raises PreconditionError where one of them cannot be swept, or nothing would watch over it.
    """
    if machine is None:
        raise PreconditionError(
            "This stack sweeps no services: it has no state machine for it.",
            remedy="Nothing was touched. Deploy it with Guardian=enabled and Sweeps=enabled.",
        )
    services = select(gateway, settings, cluster_names)
    plans = _plans(sweep, settings, services) if settings.dry_run else []
    answer = partial(
        SweepAnswer,
        sweep=sweep.id,
        services_count=len(services),
        parameters=settings.parameters,
        timestamp=as_utc(sweep.clock.now()),
    )
    if not services:
        return answer(status=SweepStatus.NOTHING_TO_DO, reason="no service is selected")
    waiting = [SweptService(service=str(each), status=SweptStatus.WAITING) for each in services]
    if settings.dry_run:
        return answer(status=SweepStatus.PLANNED, services=(*plans, *waiting[len(plans) :]))
    sweep.store.open(services, settings)
    try:
        machine.start(sweep.id, lanes=min(settings.at_once, len(services)), clock=sweep.clock)
    except AwsCallError:
        sweep.store.close(SweepStatus.FAILED)
        raise
    arn = machine.execution_arn(sweep.id)
    return answer(status=SweepStatus.SWEEPING, services=tuple(waiting), execution=arn)


def _plans(
    sweep: Sweep, settings: SweepSettings, services: Sequence[ServiceName]
) -> list[SweptService]:
    """Return the plan of each service, of as many as there is time for."""
    plans: list[SweptService] = []
    for number, each in enumerate(services[:PLANS_LIMIT]):
        if sweep.clock.now() + PLAN_SECONDS >= sweep.deadline_at:
            break
        names = {"cluster_name": each.cluster, "service_name": each.service}
        event = {**settings.parameters, **names, "dry_run": True}
        report = act(sweep.run_of(event, run_id_of(sweep.id, number)))
        sweep.tell(report)
        plans.append(outcome_of(report))
    return plans


def ask(sweep: Sweep, action: Action) -> SweepAnswer:
    """Stop a sweep, or say where it stands. Raises PreconditionError where there is none."""
    record = sweep.store.read()
    if record is None:
        raise PreconditionError(
            f"There is no sweep {sweep.id}.",
            remedy="Its id is in the answer to the event that began it, and in its mail.",
        )
    if action is Action.STATUS:
        return answer_of(sweep, record, SweepStatus.STATUS)
    if record.status is not None:
        return answer_of(sweep, record, SweepStatus.NOTHING_TO_DO)
    stopped = stop(sweep, 'the sweep was asked to stop by {"action": "stop"}')
    return answer_of(sweep, stopped or record, SweepStatus.STOPPING)


def stop(sweep: Sweep, reason: str) -> SweepRecord | None:
    """Let no further service begin, and each run end after its task in hand; return the record."""
    sweep.store.request_stop(reason)
    record = sweep.store.read()
    if record is None:
        return None
    for number in record.running:
        run = sweep.make_run(record, number)
        known = run.record.read()
        if known is not None and known.run_id == run.run_id:
            request_stop(run.record, sweep.clock)
    return record
