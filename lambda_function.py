"""The Lambda function: settings, session, run, mail, answer. Wiring only."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from AWSSession import get_aws_session
from ecs_task_recycle.actions import act
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.aws.sweep_machine import SweepMachine
from ecs_task_recycle.channels.mail.secret import with_login
from ecs_task_recycle.clock import Clock, SystemClock, as_utc
from ecs_task_recycle.errors import AwsCallError, PreconditionError, SettingsError
from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.final_record import log_final_record
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.report.sweep_answer import SweepAnswer
from ecs_task_recycle.run import Run
from ecs_task_recycle.segments import restore_run, run_segment
from ecs_task_recycle.settings.event import Settings, settings_from_event
from ecs_task_recycle.settings.function import FunctionContext, function_context_from, stack_from
from ecs_task_recycle.settings.input_json import (
    AwsCredentials,
    Configuration,
    Mail,
    read_configuration,
)
from ecs_task_recycle.settings.invocation import Invocation, RestoreOnly, read_invocation
from ecs_task_recycle.settings.sweep import (
    SweepEnd,
    SweepSettings,
    SweepTurn,
    is_of_sweep,
    step_from,
    sweep_from,
)
from ecs_task_recycle.sweep.gateway import SweepGateway
from ecs_task_recycle.sweep.record import SweepStore, key_of
from ecs_task_recycle.sweep.sweep import ask, begin
from ecs_task_recycle.sweep.turns import Sweep, end, take_turn

if TYPE_CHECKING:
    import boto3


CONFIGURATION_FILE: Final = Path(__file__).with_name("input.json")
CLOCK: Final[Clock] = SystemClock()
MAIL_WITHIN_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


class LambdaContext(Protocol):
    """What is used of Lambda's context object.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""
        ...


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Do what the event asks for the service that it names.

    Returns ``{"statusCode": 200, 202 or 206, "body": "<JSON>"}``, to a run's guardian what it goes
    on with. A run that fails raises one of the errors of ``ecs_task_recycle.errors``, after it has
    put everything back and mailed the failure.
    """
    run_id = context.aws_request_id if context else str(uuid.uuid4())
    configure_logging(run_id=run_id)
    configuration = None
    try:
        step = step_from(event)
        invocation = read_invocation(event)
        only_credentials = invocation.restore is not None
        configuration = read_configuration(CONFIGURATION_FILE, only_credentials=only_credentials)
        sweeping = step or sweep_from(event, stack_from(os.environ).notices)
        if sweeping is not None:
            return _swept(sweeping, configuration, run_id=run_id, context=context)
        run_id = invocation.run_id or run_id
        configure_logging(run_id=run_id)
        settings = _settings(invocation)
        session = get_aws_session(configuration.aws)
        run = _run(settings, session, run_id=run_id, context=context)
    except SettingsError as error:
        logger.error("%s", error, extra=dict(error.facts))  # noqa: TRY400 - the sentence says it all
        if configuration is not None:
            answer = Answer.refused(error, run_id=run_id, at=as_utc(CLOCK.now()))
            _notify(
                configuration.mail,
                answer,
                function_context_from(os.environ),
                session_of=partial(get_aws_session, configuration.aws),
            )
        raise
    if invocation.restore is not None:
        return _restored(run, invocation.restore, configuration.mail, session)
    if invocation.run_id is not None:
        return _segment(run, configuration.mail, session)
    return _answered(act(run), configuration.mail, session)


def _swept(
    sweeping: SweepTurn | SweepEnd | SweepSettings,
    configuration: Configuration,
    *,
    run_id: str,
    context: LambdaContext | None,
) -> dict[str, Any]:
    """Do what a sweep's machine asks for, or an event that names many services."""
    session = get_aws_session(configuration.aws)
    sweep = _sweep(sweeping.sweep or run_id, session, context)
    match sweeping:
        case SweepTurn():
            turn = take_turn(sweep, sweeping.lane)
            if turn.report is not None and turn.report.is_worth_a_mail:
                _log_final(turn.report.answer())
            return turn.answer(sweeping)
        case SweepEnd():
            ended = end(sweep, sweeping.rounds)
            if ended.answer is not None:
                _notify_of_sweep(ended.answer, configuration.mail, session)
                sweep.store.note_told()
            return ended.as_json(sweeping)
        case _:
            return _sweep_answered(sweep, sweeping, configuration, session)


def _sweep_answered(
    sweep: Sweep, settings: SweepSettings, configuration: Configuration, session: boto3.Session
) -> dict[str, Any]:
    """Answer an event that names many services. Somebody is told of one that fails."""
    _require_instants(settings.started_before)
    _require_region(settings.region, session)
    stack = stack_from(os.environ)
    machine = None
    if stack.sweep_arn is not None:
        machine = SweepMachine(_own_session(), machine_arn=stack.sweep_arn)
    try:
        if settings.sweep is not None:
            answer = ask(sweep, settings.action)
        else:
            gateway = SweepGateway(session, CLOCK)
            answer = begin(
                sweep, settings, gateway, machine=machine, cluster_names=stack.cluster_names
            )
    except (AwsCallError, PreconditionError) as error:
        logger.error("%s", error, extra=dict(error.facts))  # noqa: TRY400 - the sentence says it all
        refused = Answer.refused(error, run_id=sweep.id, at=as_utc(CLOCK.now()))
        _notify(
            configuration.mail,
            refused,
            function_context_from(os.environ),
            session_of=lambda: session,
        )
        raise
    return {"statusCode": answer.status.code, "body": json.dumps(answer.as_json())}


def _sweep(sweep_id: str, session: boto3.Session, context: LambdaContext | None) -> Sweep:
    table = RunTable(
        _own_session(), name=stack_from(os.environ).table_name, service=key_of(sweep_id)
    )
    return Sweep(
        id=sweep_id,
        store=SweepStore(table, CLOCK),
        clock=CLOCK,
        deadline_at=_deadline_at(context),
        run_of=lambda event, run_id: _run(
            settings_from_event(event), session, run_id=run_id, context=context
        ),
    )


def _segment(run: Run, mail: Mail | None, session: boto3.Session) -> dict[str, Any]:
    """Go on with a run; answer what the state machine goes on with."""
    segment = run_segment(run)
    if segment.report is not None:
        # Of a run of a sweep, the sweep tells.
        _answered(segment.report, None if is_of_sweep(run.run_id) else mail, session)
    return segment.answer(run)


def _restored(
    run: Run, only: RestoreOnly, mail: Mail | None, session: boto3.Session
) -> dict[str, Any]:
    """Restore a run; answer whether that is done. An attempt that fails raises nothing."""
    attempt = restore_run(run, only)
    if attempt.report is not None:
        _tell(attempt.report, mail, session)
    return attempt.answer()


def _answered(report: Report, mail: Mail | None, session: boto3.Session) -> dict[str, Any]:
    """Mail what is to be mailed; return the answer, or raise what made the run fail."""
    answer = _tell(report, mail, session)
    if report.error is not None:
        raise report.error
    return {"statusCode": report.status.code, "body": json.dumps(answer.as_json())}


def _tell(report: Report, mail: Mail | None, session: boto3.Session) -> Answer:
    """Log and mail what somebody is to be told of; return the answer."""
    answer = report.answer()
    if report.is_worth_a_mail:
        _log_final(answer)
        function = replace(
            function_context_from(os.environ),
            service_region=session.region_name,
            execution_arn=report.execution_arn,
        )
        # The run's own session: its role is assumed already, should STS not answer any more.
        _notify(mail, answer, function, session_of=lambda: session)
    return answer


def _log_final(answer: Answer) -> None:
    log_final_record(answer, function_name=stack_from(os.environ).function_name)


def _settings(invocation: Invocation) -> Settings:
    settings = settings_from_event(invocation.event)
    _require_instants(settings.started_before)
    return settings


def _require_instants(started_before: datetime | None) -> None:
    if started_before is not None and started_before > as_utc(CLOCK.now()) + timedelta(seconds=5):
        # Tasks that are yet to start would be recycled again by a repeated event.
        problem = f"started_before is {started_before.isoformat()}, expected no instant to come"
        raise SettingsError.of("the event", [problem])


def _require_region(region: str | None, session: boto3.Session) -> None:
    if region is not None and region != session.region_name:
        problem = f"its ARNs lie in {region}, the function works in {session.region_name}"
        raise SettingsError.of("the event", [problem])


def _own_session() -> boto3.Session:
    """Return the stack's own session: with the function's own role, in its own region."""
    return get_aws_session(AwsCredentials(region_name=os.environ.get("AWS_REGION")))


def _run(
    settings: Settings,
    session: boto3.Session,
    *,
    run_id: str,
    context: LambdaContext | None,
) -> Run:
    _require_region(settings.region, session)
    gateway = Gateway(
        session, CLOCK, cluster_name=settings.cluster_name, service_name=settings.service_name
    )
    stack = stack_from(os.environ)
    own_session = _own_session()
    guardian = None
    if stack.guardian_arn is not None:
        guardian = Guardian(
            own_session,
            machine_arn=stack.guardian_arn,
            run_id=run_id,
            names={"cluster_name": gateway.cluster_name, "service_name": gateway.service_name},
        )
    return Run.of(
        settings,
        run_id=run_id,
        # AWS may deliver one request twice under the same id.
        owner=uuid.uuid4().hex,
        gateway=gateway,
        table=RunTable(own_session, name=stack.table_name, service=gateway.name),
        clock=CLOCK,
        deadline_at=_deadline_at(context),
        guardian=guardian,
    )


def _deadline_at(context: LambdaContext | None) -> float:
    if context is None:
        return float("inf")
    return CLOCK.now() + context.get_remaining_time_in_millis() / 1000


def _notify_of_sweep(answer: SweepAnswer, mail: Mail | None, session: boto3.Session) -> None:
    """Log how a sweep has ended, and mail it."""
    logger.info("Sweep ended: %s", answer.reason, extra=answer.as_json())
    function = replace(function_context_from(os.environ), service_region=session.region_name)
    _notify(mail, answer, function, session_of=lambda: session)


def _notify(
    mail: Mail | None,
    answer: Answer | SweepAnswer,
    function: FunctionContext,
    *,
    session_of: Callable[[], boto3.Session],
) -> None:
    if mail is None:
        return
    # Not at a cold start: to import the mail room takes a third as long as all the rest.
    from Notification import send_notification  # noqa: PLC0415

    give_up_at = CLOCK.now() + MAIL_WITHIN_SECONDS
    with_its_login = with_login(mail, session_of)
    left_seconds = max(1.0, give_up_at - CLOCK.now())
    send_notification(with_its_login, answer, function, timeout_seconds=left_seconds)
