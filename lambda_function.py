"""The Lambda function: settings, session, run, mail, answer. Wiring only."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from AWSSession import get_aws_session
from ecs_task_recycle.actions import act
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.aws.sweep_machine import SweepMachine
from ecs_task_recycle.channels.chat import tell_chat
from ecs_task_recycle.channels.event_bus import tell_event_bus, tell_event_bus_of_start
from ecs_task_recycle.channels.mail_secret import with_login
from ecs_task_recycle.clock import Clock, SystemClock, as_utc
from ecs_task_recycle.codec import Json
from ecs_task_recycle.errors import AwsCallError, PreconditionError, SettingsError
from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.record.refused import once_an_hour
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.final_record import log_final_record, log_oldest_task
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
from ecs_task_recycle.sweep.sweep import ask, begin, stop
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
    work = _begin(event, context)
    if isinstance(work, SweepWork):
        return _swept(work)
    if work.restore is not None:
        # An attempt that fails is no error of the invocation: the guardian tries again.
        attempt = restore_run(work.run, work.restore, work.raised)
        _tell(work.session, work.mail, attempt.report)
        return attempt.answer()
    if work.is_segment:
        segment = run_segment(work.run, work.raised)
        _tell(work.session, work.mail, segment.report)
        _require_success(segment.report)
        return segment.answer(work.run, work.raised)
    report = act(work.run)
    answer = _tell(work.session, work.mail, report)
    _require_success(report)
    return {"statusCode": report.status.code, "body": json.dumps(answer)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an invocation has to do, and how it tells of it."""

    run: Run
    session: boto3.Session
    mail: Mail | None
    is_segment: bool
    raised: object
    restore: RestoreOnly | None


def _begin(event: object, context: LambdaContext | None) -> Work | SweepWork:
    """Read event and configuration. Raises SettingsError, after it has mailed it."""
    run_id = context.aws_request_id if context else str(uuid.uuid4())
    configure_logging(run_id=run_id)
    configuration = invocation = None
    try:
        step = step_from(event)
        invocation = read_invocation(event)
        only_restores = invocation.restore is not None
        configuration = read_configuration(CONFIGURATION_FILE, is_lenient=only_restores)
        sweeping = step or sweep_from(event, stack_from(os.environ).notices)
        if sweeping is not None:
            return _sweep_work(sweeping, configuration, run_id=run_id, context=context)
        run_id = invocation.run_id or run_id
        configure_logging(run_id=run_id)
        settings = _settings(invocation)
        session = get_aws_session(configuration.aws)
        run = _run(settings, session, run_id=run_id, context=context)
    except SettingsError as error:
        logger.error("%s", error, extra=dict(error.facts))  # noqa: TRY400 - the sentence says it all
        if configuration is not None:
            answer = Answer.refused(error, run_id=run_id, at=as_utc(CLOCK.now()))
            _tell_of_refused(answer, configuration, invocation)
        raise
    return Work(
        run=run,
        session=session,
        # Of a run of a sweep, the sweep mails.
        mail=None if is_of_sweep(run_id) else configuration.mail,
        is_segment=invocation.run_id is not None,
        raised=invocation.raised,
        restore=invocation.restore,
    )


def _tell_of_refused(
    answer: Answer, configuration: Configuration, invocation: Invocation | None
) -> None:
    """Mail of an event that cannot be understood: of a user's or rule's once an hour."""
    tell = partial(
        _notify,
        configuration.mail,
        answer,
        function_context_from(os.environ),
        session_of=partial(get_aws_session, configuration.aws),
    )
    is_guardians = invocation is not None and invocation.run_id is not None
    if configuration.mail is None or is_guardians:
        tell()
    else:
        once_an_hour(_table, CLOCK, tell)


# -- sweeps ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepWork:
    """What an invocation has to do for a sweep: what is asked, and the sweep's context."""

    asked: SweepTurn | SweepEnd | SweepSettings
    sweep: Sweep
    session: boto3.Session
    mail: Mail | None


def _sweep_work(
    asked: SweepTurn | SweepEnd | SweepSettings,
    configuration: Configuration,
    *,
    run_id: str,
    context: LambdaContext | None,
) -> SweepWork:
    session = get_aws_session(configuration.aws)
    if isinstance(asked, SweepSettings):
        _require_instants(asked.started_before)
        _require_place(asked, session)
    sweep_id = asked.sweep or run_id
    sweep = Sweep(
        id=sweep_id,
        store=SweepStore(_table(key_of(sweep_id)), CLOCK),
        clock=CLOCK,
        deadline_at=_deadline_at(context),
        run_of=lambda event, run_id: _run(
            settings_from_event(event), session, run_id=run_id, context=context
        ),
        # The sweep mails, at its end.
        tell=partial(_tell, session, None),
    )
    return SweepWork(asked=asked, sweep=sweep, session=session, mail=configuration.mail)


def _swept(work: SweepWork) -> dict[str, Any]:
    """Do what a sweep's machine asks for, or an event that names many services."""
    sweep = work.sweep
    match work.asked:
        case SweepTurn() as asked:
            return take_turn(sweep, asked)
        case SweepEnd() as asked:
            if asked.stopped is not None:
                stop(sweep, f"the execution of the sweep was {asked.stopped}")
            goes_on_with, answer = end(sweep, asked)
            if answer is not None:
                _notify_of_sweep(work, answer)
                sweep.store.note_told()
            return goes_on_with
        case SweepSettings() as asked:
            return _sweep_answered(work, asked)


def _sweep_answered(work: SweepWork, settings: SweepSettings) -> dict[str, Any]:
    """Answer an event that names many services. Somebody is told of one that fails."""
    try:
        if settings.sweep is not None:
            answer = ask(work.sweep, settings.action)
        else:
            stack = stack_from(os.environ)
            arn = stack.sweep_arn
            answer = begin(
                work.sweep,
                settings,
                SweepGateway(work.session, CLOCK),
                machine=None if arn is None else SweepMachine(_own_session(), machine_arn=arn),
                cluster_names=stack.cluster_names,
            )
    except (AwsCallError, PreconditionError) as error:
        logger.error("%s", error, extra=dict(error.facts))  # noqa: TRY400 - the sentence says it all
        refused = Answer.refused(error, run_id=work.sweep.id, at=as_utc(CLOCK.now()))
        function = function_context_from(os.environ)
        _notify(work.mail, refused, function, session_of=lambda: work.session)
        raise
    return {"statusCode": answer.status.code, "body": json.dumps(answer.as_json())}


def _notify_of_sweep(work: SweepWork, answer: SweepAnswer) -> None:
    """Log how a sweep has ended, and mail it."""
    logger.info("Sweep ended: %s", answer.reason, extra=answer.as_json())
    function = replace(function_context_from(os.environ), service_region=work.session.region_name)
    _notify(work.mail, answer, function, session_of=lambda: work.session)


# -- the answer ------------------------------------------------------------------------------------


def _require_success(report: Report | None) -> None:
    """Raise what made a run fail."""
    if report is not None and report.error is not None:
        raise report.error


def _tell(session: boto3.Session, mail: Mail | None, report: Report | None) -> Json:
    """Log and mail what somebody is to be told of; return the answer's body."""
    if report is None:
        return None
    answer = report.answer()
    function_name = stack_from(os.environ).function_name
    if report.is_only_a_look:
        log_oldest_task(answer, function_name=function_name)
    if report.is_worth_a_mail:
        log_final_record(answer, function_name=function_name)
        function = replace(
            function_context_from(os.environ),
            service_region=session.region_name,
            execution_arn=report.execution_arn,
        )
        # The run's own session: its role is assumed already, should STS not answer any more.
        _notify(mail, answer, function, session_of=lambda: session)
        own_session = _own_session()
        tell_chat(own_session, os.environ.get("CHAT_TOPIC_ARN"), answer, function)
        tell_event_bus(own_session, os.environ.get("EVENT_BUS_NAME"), answer)
    return answer.as_json()


def _settings(invocation: Invocation) -> Settings:
    settings = settings_from_event(invocation.event)
    _require_instants(settings.started_before)
    return settings


def _require_instants(started_before: datetime | None) -> None:
    if started_before is not None and started_before > as_utc(CLOCK.now()) + timedelta(seconds=5):
        # Tasks that are yet to start would be recycled again by a repeated event.
        problem = f"started_before is {started_before.isoformat()}, expected no instant to come"
        raise SettingsError.of("the event", [problem])


def _require_place(asked: Settings | SweepSettings, session: boto3.Session) -> None:
    """Raise SettingsError for ARNs of another region or partition than the session's."""
    region = session.region_name
    if asked.region not in {None, region}:
        problem = f"its ARNs lie in {asked.region}, the function works in {region}"
        raise SettingsError.of("the event", [problem])
    if asked.partition not in {None, own := session.get_partition_for_region(region)}:
        problem = f"its ARNs lie in partition {asked.partition}, the function works in {own}"
        raise SettingsError.of("the event", [problem])


def _run(
    settings: Settings,
    session: boto3.Session,
    *,
    run_id: str,
    context: LambdaContext | None,
) -> Run:
    _require_place(settings, session)
    gateway = Gateway(
        session, CLOCK, cluster_name=settings.cluster_name, service_name=settings.service_name
    )
    stack, own_session = stack_from(os.environ), _own_session()
    return Run.of(
        settings,
        run_id=run_id,
        # AWS may deliver one request twice under the same id.
        owner=uuid.uuid4().hex,
        gateway=gateway,
        table=_table(gateway.name),
        clock=CLOCK,
        deadline_at=_deadline_at(context),
        guardian=_guardian(settings, own_session, stack.guardian_arn, run_id=run_id),
        tell_start=partial(
            tell_event_bus_of_start,
            own_session,
            os.environ.get("EVENT_BUS_NAME"),
            cluster=settings.cluster_name,
            service=settings.service_name,
            run_id=run_id,
        ),
    )


def _guardian(
    settings: Settings, own_session: boto3.Session, machine_arn: str | None, *, run_id: str
) -> Guardian | None:
    if machine_arn is None:
        return None
    names = {"cluster_name": settings.cluster_name, "service_name": settings.service_name}
    return Guardian(own_session, machine_arn=machine_arn, run_id=run_id, names=names)


def _table(service: str) -> RunTable:
    return RunTable(_own_session(), name=stack_from(os.environ).table_name, service=service)


def _own_session() -> boto3.Session:
    """Return a session for what the stack has: the function's own role, in its own region."""
    return get_aws_session(AwsCredentials(region_name=os.environ.get("AWS_REGION")))


def _deadline_at(context: LambdaContext | None) -> float:
    if context is None:
        return float("inf")
    return CLOCK.now() + context.get_remaining_time_in_millis() / 1000


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
