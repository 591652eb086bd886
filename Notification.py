"""What a mail says of a run, and to whom; it goes out by the channel in ``smtp``.

The words come from ``digest``, which knows nothing of mail: another channel starts there.
"""

from __future__ import annotations

import logging
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, make_msgid
from typing import Final

from ecs_task_recycle.channels.mail.addresses import envelope_of
from ecs_task_recycle.channels.mail.body import Body, one_line
from ecs_task_recycle.channels.mail.console import Place
from ecs_task_recycle.channels.mail.digest import Digest, digest_of, is_completed
from ecs_task_recycle.channels.mail.html import as_html
from ecs_task_recycle.channels.mail.smtp import Envelope, Refusals, code_of, hand_over, reason_of
from ecs_task_recycle.channels.mail.text import as_text
from ecs_task_recycle.channels.mail.times import TimeFormat
from ecs_task_recycle.clock import SystemClock, as_utc
from ecs_task_recycle.settings.input_json import Mail

WHAT: Final = "ECS Service Task Recycle"
UNKNOWN_PLACE: Final = Place()

logger = logging.getLogger(__name__)


def send_notification(
    mail: Mail | None,
    body: Body,
    place: Place = UNKNOWN_PLACE,
    *,
    timeout_seconds: float = 15,
    context: ssl.SSLContext | None = None,
) -> bool:
    """Mail the body of an answer; return whether every recipient's copy was taken by the server.

    Port 465 speaks TLS from the start, every other upgrades by STARTTLS before anything is said;
    certificates are verified (``context`` replaces Python's default, which heeds SSL_CERT_FILE).
    After ``timeout_seconds`` in all, the mail is given up. Never raises: what went wrong is a
    warning in the log, without anything that could be a credential. ``mail`` None: nothing is sent.
    """
    if mail is None:
        return False
    try:
        envelope = envelope_of(mail)
        message = compose(mail, body, place)
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


def compose(mail: Mail, body: Body, place: Place = UNKNOWN_PLACE) -> EmailMessage:
    """Return the body of an answer as a mail: a text and an HTML part with the same facts.

    Any key of the body may be missing, null or of an unexpected kind. Raises NotSentError when
    ``from_email`` or every recipient is no address; else such a recipient is left out.
    """
    envelope = envelope_of(mail)
    digest = digest_of(body, place, TimeFormat.of(mail.timezone))
    message = EmailMessage(policy=SMTP_POLICY)
    message["Subject"] = _subject(mail, digest, has_completed=is_completed(body))
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
    """Return the configured subject for a completed run; any other says first what it came to.

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


def _all_served(envelope: Envelope, refused: Refusals) -> bool:
    reasons = {address: f"refused with {code_of(reply)}" for address, reply in refused.items()}
    reasons |= dict.fromkeys(envelope.unusable, "not an address")
    for address, reason in reasons.items():
        logger.warning("The summary was not mailed to %s: %s.", address, reason)
    count = len(envelope.recipients) - len(refused)
    logger.info("The summary was mailed to %s of %s recipients.", count, count + len(reasons))
    return not reasons
