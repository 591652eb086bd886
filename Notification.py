"""Compose the summary of a run as a mail, and send it over SMTP."""

from __future__ import annotations

import html
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, getaddresses, make_msgid
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import SystemClock, as_utc
from ecs_task_recycle.smtp import Envelope, NotSentError, Refusals, code_of, hand_over, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ecs_task_recycle.configuration import Mail

type Summary = Mapping[str, object]

SHOWN_ROWS_COUNT: Final = 50
WHAT: Final = "ECS Service Task Recycle"

_LONGEST_CELL: Final = 500
_MINUTE_SECONDS: Final = 60
_LONGEST_DURATION_SECONDS: Final = 366 * 86_400
_LONGEST_SENTENCE: Final = 8_000  # A remedy's commands must not be cut.
# Dot-atoms alone: whoever needs a quoted local part is too rare to be worth its ways to go wrong.
# https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

logger = logging.getLogger(__name__)


def send_notification(
    mail: Mail | None,
    summary: Summary,
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
        envelope = _envelope(mail)
        message = compose(mail, summary)
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


def compose(mail: Mail, summary: Summary) -> EmailMessage:
    """Return the body of an answer as a mail: a text and an HTML part with the same facts.

    Any key of the summary may be missing, null or of an unexpected kind. Raises
    NotSentError when ``from_email`` or every recipient is no address; else such a recipient is
    left out.
    """
    envelope = _envelope(mail)
    digest = _digest(summary)
    message = EmailMessage(policy=SMTP_POLICY)
    message["Subject"] = _subject(mail, summary)
    message["From"] = envelope.sender
    message["To"] = envelope.recipients
    message["Date"] = format_datetime(as_utc(SystemClock().now()))
    message["Message-ID"] = make_msgid(domain=envelope.sender.domain)
    # RFC 3834: no out-of-office replies to it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_as_text(digest), cte="quoted-printable")
    message.add_alternative(_as_html(digest), subtype="html", cte="quoted-printable")
    return message


def _all_served(envelope: Envelope, refused: Refusals) -> bool:
    reasons = {address: f"refused with {code_of(reply)}" for address, reply in refused.items()}
    reasons |= dict.fromkeys(envelope.unusable, "not an address")
    for address, reason in reasons.items():
        logger.warning("The summary was not mailed to %s: %s.", address, reason)
    count = len(envelope.recipients) - len(refused)
    logger.info("The summary was mailed to %s of %s recipients.", count, count + len(reasons))
    return not reasons


# ---- Who: addresses ----


def _envelope(mail: Mail) -> Envelope:
    senders, _ = _addresses([mail.from_email])
    if len(senders) != 1:
        raise NotSentError("smtpCredentials.from_email is not an address")
    found, unusable = _addresses(mail.to)
    recipients = {address.addr_spec: address for address in found}
    if not recipients:
        raise NotSentError("emailNotification.to holds no address")
    return Envelope(sender=senders[0], recipients=tuple(recipients.values()), unusable=unusable)


def _addresses(entries: Iterable[str]) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Return the addresses of the entries, and those entries that hold something else."""
    usable: list[Address] = []
    unusable: list[str] = []
    for entry in entries:
        # A line break would be a way to write headers of one's own.
        pairs = getaddresses([entry]) if entry.isprintable() else []
        found = [_address(*pair) for pair in pairs]
        usable += [address for address in found if address is not None]
        if None in found or not found:
            unusable.append(_one_line(entry))
    return tuple(usable), tuple(unusable)


def _address(display_name: str, address: str) -> Address | None:
    user, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    if not _ADDRESS.fullmatch(f"{user}@{ascii_domain}"):
        return None
    return Address(display_name, user, ascii_domain)


# ---- What: the digest that both parts show ----


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One line a task; cells may be empty. ``all_count`` counts the rows left out, too."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    all_count: int

    @property
    def left_out(self) -> str:
        count = self.all_count - len(self.rows)
        return f"… and {count} more: the log names them all." if count else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Digest:
    """What a mail says, in its order. ``lead`` and ``facts`` are pairs of a label and a text."""

    headline: str
    colour: str
    lead: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    tables: tuple[_Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wording:
    """How one status is told: a word for the subject, a sentence, a colour for its sentence."""

    word: str
    headline: str
    colour: str = "#1d4f91"


_WORDINGS: Final[Mapping[str, _Wording]] = {
    "completed": _Wording(
        word="COMPLETED",
        headline="Task recycle of {service} completed: {recycled}.",
        colour="#1a6b2f",
    ),
    "partial": _Wording(
        word="PARTIAL",
        headline="Task recycle of {service} is PARTIAL: {recycled}, {left} left.",
        colour="#8a5a00",
    ),
    "failed": _Wording(
        word="FAILED",
        headline="Task recycle of {service} FAILED{error}: {recycled}.",
        colour="#b00020",
    ),
    "nothing_to_do": _Wording(
        word="NOTHING TO DO", headline="Task recycle of {service}: there was nothing to do."
    ),
    "restored": _Wording(word="RESTORED", headline="The capacity of {service} was put back."),
    "continued": _Wording(
        word="CONTINUED",
        headline="Task recycle of {service} goes on: {recycled} so far, {left} to come.",
    ),
    "planned": _Wording(
        word="PLANNED", headline="Task recycle of {service} is planned: nothing was changed."
    ),
}
_UNKNOWN: Final = _Wording(
    word="ENDED", headline="Task recycle of {service} ended, and its outcome is unknown."
)


def _subject(mail: Mail, summary: Summary) -> str:
    """Return the configured subject for a completed run; any other says first what it came to.

    The configured subject usually says "Completed", which must never stand above a failure.
    """
    prefix = _one_line(mail.subject_prefix)[:60]
    service = _service(summary)
    if _wording(summary) is _WORDINGS["completed"]:
        configured = _one_line(mail.email_subject)[:120] or f"{WHAT} Completed"
        words = [configured, service]
    else:
        words = [f"{_wording(summary).word}{_error(summary)}", service, WHAT]
    subject = ": ".join(filter(None, words[:2])) + "".join(f" - {word}" for word in words[2:])
    return f"[{prefix}] {subject}" if prefix else subject


def _wording(summary: Summary) -> _Wording:
    return _WORDINGS.get(_one_line(summary.get("status")), _UNKNOWN)


def _service(summary: Summary) -> str:
    names = (_one_line(summary.get("cluster")), _one_line(summary.get("service")))
    return "/".join(filter(None, names))


def _error(summary: Summary) -> str:
    error = _one_line(summary.get("error"))[:60]
    return f" ({error})" if error else ""


def _digest(summary: Summary) -> _Digest:
    wording = _wording(summary)
    left = {_one_line(row.get("task")) for row in _rows(summary, "skipped")}
    left.update(_remaining(summary))
    headline = wording.headline.format(
        service=_service(summary) or "an ECS service",
        recycled=_tasks_recycled(_recycled_count(summary)),
        left=len(left),
        error=_error(summary),
    )
    lead = (("Why", _lines(summary.get("reason"))), ("What to do", _lines(summary.get("remedy"))))
    return _Digest(
        headline=headline,
        colour=wording.colour,
        lead=_known(lead),
        facts=_known((*_numbers(summary, len(left)), *_capacity(summary), *_times(summary))),
        tables=tuple(table for table in _tables(summary) if table.rows),
    )


def _known(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, text) for label, text in pairs if text)


def _numbers(summary: Summary, left_count: int) -> list[tuple[str, str]]:
    return [
        ("Cluster", _one_line(summary.get("cluster"))),
        ("Service", _one_line(summary.get("service"))),
        ("Status", _one_line(summary.get("status"))),
        ("Error", _one_line(summary.get("error"))),
        ("Tasks recycled", _one_line(_recycled_count(summary))),
        ("Tasks left", _one_line(left_count or None)),
        ("Original desired count", _one_line(summary.get("original_desired_count"))),
        ("Lowest in service", _one_line(summary.get("lowest_in_service"))),
    ]


def _capacity(summary: Summary) -> list[tuple[str, str]]:
    capacity = _mapping(summary.get("capacity"))
    found, now = _mapping(capacity.get("found")), _mapping(capacity.get("now"))
    labels = ("Desired count", "Min capacity", "Max capacity")
    keys = ("desired_count", "min_capacity", "max_capacity")
    pairs = [
        (label, _found_and_now(_one_line(found.get(key)), _one_line(now.get(key))))
        for label, key in zip(labels, keys, strict=True)
    ]
    sentences = _sequence(capacity.get("left_alone"))
    return [*pairs, ("Left alone", "\n".join(_one_line(each) for each in sentences))]


def _found_and_now(found: str, now: str) -> str:
    if not found and not now:
        return ""
    verdict = "as found" if found == now else "NOT as found"
    return f"found {found or '?'}, now {now or '?'} ({verdict})"


def _times(summary: Summary) -> list[tuple[str, str]]:
    return [
        ("Started before", _one_line(summary.get("started_before"))),
        ("Duration", _duration(summary.get("duration_seconds"))),
        ("Finished", _one_line(summary.get("timestamp"))),
        ("Run", _one_line(summary.get("run_id"))),
    ]


def _duration(seconds: object) -> str:
    if not isinstance(seconds, int | float) or not 0 <= seconds < _LONGEST_DURATION_SECONDS:
        return _one_line(seconds)
    if seconds < _MINUTE_SECONDS:
        return f"{_one_line(seconds)} s"
    minutes, rest = divmod(round(seconds), _MINUTE_SECONDS)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{minutes} min {rest} s"


def _tables(summary: Summary) -> list[_Table]:
    recycled = [
        (
            _task_id(row.get("task")),
            _task_id(row.get("replacement")),
            _duration(row.get("seconds_to_replace")),
            _one_line(row.get("started_at")),
            _one_line(row.get("note")),
        )
        for row in _rows(summary, "tasks")
    ]
    skipped = [
        (_task_id(row.get("task")), _one_line(row.get("reason")), _one_line(row.get("until")))
        for row in _rows(summary, "skipped")
    ]
    remaining = [(_task_id(arn),) for arn in _remaining(summary)]
    return [
        _table("Recycled tasks", ("Task", "Replacement", "Took", "Started", "Note"), recycled),
        _table("Skipped tasks", ("Task", "Reason", "Until"), skipped),
        _table("Remaining tasks", ("Task",), remaining),
    ]


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> _Table:
    return _Table(
        title=f"{title} ({len(rows)})",
        columns=columns,
        rows=tuple(rows[:SHOWN_ROWS_COUNT]),
        all_count=len(rows),
    )


def _recycled_count(summary: Summary) -> int | None:
    count = summary.get("tasks_recycled")
    if isinstance(count, int):
        return count
    return len(_rows(summary, "tasks")) or None


def _tasks_recycled(count: int | None) -> str:
    if not count:
        return "no task recycled"
    return "1 task recycled" if count == 1 else f"{_one_line(count)} tasks recycled"


def _remaining(summary: Summary) -> list[str]:
    return [_one_line(arn) for arn in _sequence(summary.get("remaining"))]


def _rows(summary: Summary, key: str) -> list[Mapping[str, object]]:
    return [_mapping(row) for row in _sequence(summary.get(key))]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _task_id(arn: object) -> str:
    # The whole ARN would fill three lines of a phone; cluster and region stand above.
    return _one_line(arn).rsplit("/", 1)[-1]


def _one_line(value: object) -> str:
    """Return a value as one line of printable text; control characters and the like are spaces."""
    visible = (char if char.isprintable() else " " for char in _written(value)[:_LONGEST_CELL])
    return " ".join("".join(visible).split())


def _lines(value: object) -> str:
    lines = _written(value)[:_LONGEST_SENTENCE].splitlines()
    printable = ("".join(c if c.isprintable() else " " for c in line) for line in lines)
    return "\n".join(filter(None, map(str.strip, printable)))


def _written(value: object) -> str:
    if value is None:
        return ""
    try:
        return str(round(value, 1) if isinstance(value, float) else value)
    except ValueError:  # Python refuses to write out integers of more than 4300 digits.
        return f"a large {type(value).__name__}"


# ---- The two parts ----


def _as_text(digest: _Digest) -> str:
    lead = [f"{label}: {text}" for label, text in digest.lead]
    facts = "\n".join(f"{label}: {text}" for label, text in digest.facts)
    tables = [_table_as_text(table) for table in digest.tables]
    return "\n\n".join([digest.headline, *lead, facts, *tables]) + "\n"


def _table_as_text(table: _Table) -> str:
    lines = [table.title, *(_row_as_text(table, row) for row in table.rows), table.left_out]
    return "\n".join(filter(None, lines))


def _row_as_text(table: _Table, row: tuple[str, ...]) -> str:
    rest = _known(zip(table.columns[1:], row[1:], strict=True))
    return f"- {row[0]}" + "".join(f"\n  {label}: {text}" for label, text in rest)


def _as_html(digest: _Digest) -> str:
    lead = "".join(
        f'<p style="white-space:pre-wrap"><b>{label}:</b> {html.escape(text)}</p>\n'
        for label, text in digest.lead
    )
    facts = "".join(
        f'<tr><th style="text-align:left;padding-right:12px;vertical-align:top">{label}</th>'
        f'<td style="white-space:pre-wrap;word-break:break-word">{html.escape(text)}</td></tr>\n'
        for label, text in digest.facts
    )
    tables = "".join(_table_as_html(table) for table in digest.tables)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>\n'
        '<body style="font:15px/1.4 sans-serif;max-width:48em;margin:0 auto;padding:12px">\n'
        f'<h1 style="font-size:20px;color:{digest.colour}">{html.escape(digest.headline)}</h1>\n'
        f"{lead}<table>\n{facts}</table>\n{tables}</body></html>\n"
    )


def _table_as_html(table: _Table) -> str:
    head = "".join(f'<th style="text-align:left">{column}</th>' for column in table.columns)
    rows = "".join(f"<tr>{_cells_as_html(row)}</tr>\n" for row in table.rows)
    return (
        f'<h2 style="font-size:17px">{html.escape(table.title)}</h2>\n'
        f'<table style="font-size:13px;border-spacing:8px 4px">\n<tr>{head}</tr>\n{rows}</table>\n'
        f"<p>{table.left_out}</p>\n"
    )


def _cells_as_html(row: tuple[str, ...]) -> str:
    style = "vertical-align:top;word-break:break-word"
    return "".join(f'<td style="{style}">{html.escape(cell)}</td>' for cell in row)
