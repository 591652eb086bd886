"""What an event asks of many services: begin a sweep, plan one, stop it, say where it stands."""

from __future__ import annotations

from collections.abc import Sequence
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
    if not services:
        return _answer(sweep, settings, SweepStatus.NOTHING_TO_DO, reason="no service is selected")
    if settings.dry_run:
        return _planned(sweep, settings, services)
    sweep.store.open(
        services,
        parameters=settings.parameters,
        at_once=settings.at_once,
        on_error=settings.on_error,
    )
    try:
        machine.start(sweep.id, lanes=min(settings.at_once, len(services)), clock=sweep.clock)
    except AwsCallError:
        sweep.store.close(SweepStatus.FAILED)
        raise
    waiting = [SweptService(service=str(each), status=SweptStatus.WAITING) for each in services]
    return _answer(
        sweep, settings, SweepStatus.SWEEPING, waiting, execution=machine.execution_arn(sweep.id)
    )


def _answer(
    sweep: Sweep,
    settings: SweepSettings,
    status: SweepStatus,
    services: Sequence[SweptService] = (),
    *,
    reason: str | None = None,
    execution: str | None = None,
) -> SweepAnswer:
    return SweepAnswer(
        sweep=sweep.id,
        status=status,
        reason=reason,
        services_count=len(services),
        services=tuple(services),
        parameters=settings.parameters,
        execution=execution,
        timestamp=as_utc(sweep.clock.now()),
    )


def _planned(sweep: Sweep, settings: SweepSettings, services: Sequence[ServiceName]) -> SweepAnswer:
    """Return the plan of each service, of as many as there is time for."""
    plans: list[SweptService] = []
    for number, each in enumerate(services):
        has_time = sweep.clock.now() + PLAN_SECONDS < sweep.deadline_at
        if number < PLANS_LIMIT and has_time:
            names = {"cluster_name": each.cluster, "service_name": each.service}
            event = {**settings.parameters, **names, "dry_run": True}
            report = act(sweep.run_of(event, run_id_of(sweep.id, number)))
            sweep.tell(report)
            plans.append(outcome_of(report))
        else:
            plans.append(SweptService(service=str(each), status=SweptStatus.WAITING))
    return _answer(sweep, settings, SweepStatus.PLANNED, plans)


def ask(sweep: Sweep, action: Action) -> SweepAnswer:
    """Stop a sweep, or say where it stands. Raises PreconditionError where there is none."""
    record = _existing(sweep)
    if action is Action.STATUS:
        return answer_of(sweep, record, SweepStatus.STATUS)
    if record.status is not None:
        return answer_of(sweep, record, SweepStatus.NOTHING_TO_DO)
    sweep.store.request_stop()
    record = _existing(sweep)
    for number in record.running:
        _stop(sweep, record, number)
    return answer_of(sweep, record, SweepStatus.STOPPING)


def _stop(sweep: Sweep, record: SweepRecord, number: int) -> None:
    """Ask the run of a service to end after the task in hand; nobody else's run of it."""
    run = sweep.make_run(record, number)
    known = run.record.read()
    if known is not None and known.run_id == run.run_id:
        request_stop(run.record, sweep.clock)


def _existing(sweep: Sweep) -> SweepRecord:
    record = sweep.store.read()
    if record is None:
        raise PreconditionError(
            f"There is no sweep {sweep.id}.",
            remedy="Its id is in the answer to the event that began it, and in its mail.",
        )
    return record
