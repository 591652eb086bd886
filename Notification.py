"""Mails the answer of a run: the door to the mail room, ``ecs_task_recycle/channels/mail``."""

from __future__ import annotations

import logging
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, make_msgid
from typing import Final

from ecs_task_recycle.channels.mail.digest import Digest, digest_of
from ecs_task_recycle.channels.mail.html import as_html
from ecs_task_recycle.channels.mail.smtp import (
    Envelope,
    RefusedRecipients,
    code_of,
    envelope_of,
    hand_over,
    reason_of,
)
from ecs_task_recycle.channels.mail.sweep import sweep_digest
from ecs_task_recycle.channels.mail.text import as_text
from ecs_task_recycle.channels.mail.times import TimeFormat
from ecs_task_recycle.clock import SystemClock, as_utc
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.sweep_answer import SweepAnswer
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.settings.input_json import Mail
from ecs_task_recycle.text import one_line

WHAT: Final = "ECS Service Task Recycle"
UNKNOWN_FUNCTION: Final = FunctionContext()

logger = logging.getLogger(__name__)


def send_notification(
    mail: Mail | None,
    answer: Answer | SweepAnswer,
    function: FunctionContext = UNKNOWN_FUNCTION,
    *,
    timeout_seconds: float = 15,
    context: ssl.SSLContext | None = None,
) -> bool:
    """Mail an answer; return whether the server took a copy for every recipient.

    Port 465 speaks TLS from the start, every other port upgrades by STARTTLS before anything else.
    Certificates are verified; ``context`` replaces Python's default, which heeds SSL_CERT_FILE.
    After ``timeout_seconds`` in all, the mail is given up. Never raises: a problem is a warning in
    the log, without anything that could be a credential. ``mail`` None: nothing is sent.
    """
    if mail is None:
        return False
    try:
        envelope = envelope_of(mail)
        message = compose(mail, answer, function)
        refused = hand_over(
            message,
            envelope,
            mail=mail,
            timeout_seconds=timeout_seconds,
            context=context or ssl.create_default_context(),
        )
    except Exception as problem:  # noqa: BLE001 - whatever a mail meets, the run's outcome stands
        reason = reason_of(problem)
        logger.warning("The summary was not mailed: %s.", reason, extra={"smtp_host": mail.host})
        return False
    return _all_served(envelope, refused)


def compose(
    mail: Mail, answer: Answer | SweepAnswer, function: FunctionContext = UNKNOWN_FUNCTION
) -> EmailMessage:
    """Return an answer as a mail: a text and an HTML part with the same facts.

    Raises NotSentError if ``from_email`` is no address, or no recipient is one.
    """
    envelope = envelope_of(mail)
    times = TimeFormat.of(mail.timezone)
    if isinstance(answer, SweepAnswer):
        digest = sweep_digest(answer, function, times)
    else:
        digest = digest_of(answer, function, times)
    message = EmailMessage(policy=SMTP_POLICY)
    message["Subject"] = _subject(
        mail, digest, has_completed=answer.status.value == Status.COMPLETED
    )
    message["From"] = envelope.sender
    message["To"] = envelope.recipients
    message["Date"] = format_datetime(as_utc(SystemClock().now()))
    message["Message-ID"] = make_msgid(domain=envelope.sender.domain)
    # RFC 3834: no out-of-office replies to it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(as_text(digest), cte="quoted-printable")
    message.add_alternative(as_html(digest), subtype="html", cte="quoted-printable")
    return message


def _subject(mail: Mail, digest: Digest, *, has_completed: bool) -> str:
    """Return the configured subject for a completed run, else one that starts with the outcome.

    The configured subject usually says "Completed", which must never stand above a failure.
    """
    prefix = one_line(mail.subject_prefix)[:60]
    if has_completed:
        configured = one_line(mail.email_subject)[:120] or f"{WHAT} Completed"
        words = [configured, digest.service]
    else:
        words = [digest.outcome, digest.service, WHAT]
    subject = ": ".join(filter(None, words[:2])) + "".join(f" - {word}" for word in words[2:])
    return f"[{prefix}] {subject}" if prefix else subject


def _all_served(envelope: Envelope, refused: RefusedRecipients) -> bool:
    reasons = {address: f"refused with {code_of(reply)}" for address, reply in refused.items()}
    reasons |= dict.fromkeys(envelope.unusable, "not an address")
    for address, reason in reasons.items():
        logger.warning("The summary was not mailed to %s: %s.", address, reason)
    count = len(envelope.recipients) - len(refused)
    logger.info("The summary was mailed to %s of %s recipients.", count, count + len(reasons))
    return not reasons
