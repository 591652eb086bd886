"""The Lambda function: settings, session, run, mail, answer. Wiring only."""

from __future__ import annotations

import json
import logging
import os
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from AWSSession import get_aws_session
from ecs_task_recycle.clock import Clock, SystemClock, as_utc
from ecs_task_recycle.configuration import (
    DEFAULT_TABLE,
    TABLE_VARIABLE,
    AwsCredentials,
    Mail,
    read_configuration,
)
from ecs_task_recycle.errors import AlreadyRunningError, SettingsError
from ecs_task_recycle.gateway import Gateway
from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.mail_secret import with_login
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.recycle import Run, recycle
from ecs_task_recycle.run_table import RunTable
from ecs_task_recycle.settings import Settings, settings_from_event
from Notification import send_notification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """Recycle the service that the event names.

    Returns ``{"statusCode": 200 or 206, "body": "<JSON>"}``. A run that fails raises one of the
    errors of ``ecs_task_recycle.errors``, after it has put everything back and mailed the failure.
    """
    run_id = context.aws_request_id if context else str(uuid.uuid4())
    configure_logging(run_id=run_id)
    configuration = None
    try:
        configuration = read_configuration(CONFIGURATION_FILE)
        settings = _settings(event)
        session = get_aws_session(configuration.aws)
        run = _run(settings, session, run_id, context)
    except SettingsError as error:
        logger.error("%s", error, extra=dict(error.facts))  # noqa: TRY400 - the sentence says it all
        if configuration is not None:
            make_session = partial(get_aws_session, configuration.aws)
            _notify(configuration.mail, _refused(error, run_id), make_session)
        raise
    report = recycle(run)
    body = report.answer()
    # AWS delivers events twice now and then: the run that goes on is the one to be heard of.
    if not settings.dry_run and not isinstance(report.error, AlreadyRunningError):
        # The run's own session: its role is assumed already, should STS not answer any more.
        _notify(configuration.mail, body, lambda: session)
    if report.error is not None:
        raise report.error
    return {"statusCode": report.status.code, "body": json.dumps(body)}


def _settings(event: object) -> Settings:
    settings = settings_from_event(event)
    started_before = settings.started_before
    if started_before is not None and started_before > as_utc(CLOCK.now()) + timedelta(seconds=5):
        # Tasks that are yet to start would be recycled again by a repeated event.
        problem = f"started_before is {started_before.isoformat()}, expected no instant to come"
        raise SettingsError.of("the event", [problem])
    return settings


def _run(
    settings: Settings, session: boto3.Session, run_id: str, context: LambdaContext | None
) -> Run:
    if settings.region is not None and settings.region != session.region_name:
        problem = f"its ARNs lie in {settings.region}, the function works in {session.region_name}"
        raise SettingsError.of("the event", [problem])
    gateway = Gateway(
        session, CLOCK, cluster_name=settings.cluster_name, service_name=settings.service_name
    )
    return Run(
        settings=settings,
        run_id=run_id,
        # AWS may deliver one request twice under the same id.
        owner=uuid.uuid4().hex,
        gateway=gateway,
        # The stack's own table: with the function's own role, in the function's own region.
        table=RunTable(
            get_aws_session(AwsCredentials(region_name=os.environ.get("AWS_REGION"))),
            name=os.environ.get(TABLE_VARIABLE, DEFAULT_TABLE),
            service=gateway.name,
        ),
        clock=CLOCK,
        deadline_at=_deadline_at(context),
    )


def _deadline_at(context: LambdaContext | None) -> float:
    if context is None:
        return float("inf")
    return CLOCK.now() + context.get_remaining_time_in_millis() / 1000


def _notify(
    mail: Mail | None, summary: Mapping[str, object], session_of: Callable[[], boto3.Session]
) -> None:
    if mail is None:
        return
    give_up_at = CLOCK.now() + MAIL_WITHIN_SECONDS
    with_its_login = with_login(mail, session_of)
    left_seconds = max(1.0, give_up_at - CLOCK.now())
    send_notification(with_its_login, summary, timeout_seconds=left_seconds)


def _refused(error: SettingsError, run_id: str) -> dict[str, object]:
    return {
        "status": Status.FAILED.value,
        "error": type(error).__name__,
        "reason": error.sentence,
        "remedy": error.remedy,
        "run_id": run_id,
        "timestamp": as_utc(CLOCK.now()).isoformat(),
    }
