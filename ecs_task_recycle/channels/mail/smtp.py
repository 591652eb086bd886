"""Hand a mail to an SMTP server: encrypted or not at all, and in time whatever the server does."""

from __future__ import annotations

import io
import re
import smtplib
import socket
import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from ecs_task_recycle.clock import SystemClock
from ecs_task_recycle.settings.input_json import Mail
from ecs_task_recycle.text import one_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


type RefusedRecipients = Mapping[str, tuple[int, bytes]]

# TLS from the first byte. https://www.rfc-editor.org/rfc/rfc8314#section-7.3
IMPLICIT_TLS_PORT: Final = 465

_GOODBYE_SECONDS: Final = 0.5
_LONGEST_CONVERSATION_BYTES: Final = 65_536
# smtplib would look up this machine's own name, which takes seconds where there is no DNS.
_OWN_NAME: Final = "[127.0.0.1]"
_LOGINS: Final = frozenset(("CRAM-MD5", "PLAIN", "LOGIN"))  # those of smtplib
# Such as 5.1.1, in front of the server's own words. https://www.rfc-editor.org/rfc/rfc3463
_ENHANCED_CODE: Final = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
# Dot-atoms alone: quoted local parts are too rare to be worth their ways to go wrong.
# https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

_clock: Final = SystemClock()


class NotSentError(Exception):
    """The mail was given up; the message is a part of a sentence and holds no credential."""


# ---- From whom, to whom ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who sends to whom; ``unusable`` are the configured recipients that are no addresses."""

    sender: Address
    recipients: tuple[Address, ...]
    unusable: tuple[str, ...]


def envelope_of(mail: Mail) -> Envelope:
    """Return sender and recipients, without recipients that are no addresses.

    Raises NotSentError if ``from_email`` is no address, or no recipient is one.
    """
    senders, _ = _addresses([mail.from_email])
    if len(senders) != 1:
        raise NotSentError("smtpCredentials.from_email is not an address")
    found, unusable = _addresses(mail.to)
    recipients = {address.addr_spec: address for address in found}
    if not recipients:
        raise NotSentError("emailNotification.to holds no address")
    return Envelope(sender=senders[0], recipients=tuple(recipients.values()), unusable=unusable)


def _addresses(entries: Iterable[str]) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Return the addresses in the entries, and the entries that hold anything else."""
    usable: list[Address] = []
    unusable: list[str] = []
    for entry in entries:
        # A line break in an address would let it write headers of its own.
        pairs = getaddresses([entry]) if entry.isprintable() else []
        found = [_address(*pair) for pair in pairs]
        usable += [address for address in found if address is not None]
        if None in found or not found:
            unusable.append(one_line(entry))
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


# ---- The conversation ----


def hand_over(
    message: EmailMessage,
    envelope: Envelope,
    *,
    mail: Mail,
    timeout_seconds: float,
    context: ssl.SSLContext,
) -> RefusedRecipients:
    """Give the message to the server that ``mail`` names; return the recipients it refused.

    Raises what kept the mail from all of them: NotSentError, or an error of smtplib, ssl or socket
    whose own text may hold credentials; ``reason_of`` tells it without. Returns or raises within
    ``timeout_seconds``, and half a second more if the server does not say goodbye.
    """
    refused: Future[RefusedRecipients] = Future()

    def talk() -> None:
        try:
            with _client(mail, context, timeout_seconds) as client:
                _log_in(client, mail, context)
                recipients = [recipient.addr_spec for recipient in envelope.recipients]
                sender = envelope.sender.addr_spec
                refused.set_result(client.send_message(message, sender, recipients))
        except Exception as problem:  # noqa: BLE001 - raised again where it is waited for
            refused.set_exception(problem)

    # No timeout of a socket covers the lookup of the host's name.
    thread = Thread(target=talk, name="smtp", daemon=True)
    thread.start()
    try:
        answer = refused.result(timeout_seconds)
    except (TimeoutError, _TooLateError):
        raise NotSentError(f"it took more than {timeout_seconds:g} s") from None
    thread.join(_GOODBYE_SECONDS)
    return answer


def _client(mail: Mail, context: ssl.SSLContext, timeout_seconds: float) -> _Client:
    """Return a client that talks to the server through TLS, or will before it says anything."""
    if mail.port == IMPLICIT_TLS_PORT:
        return _TlsClient(mail, timeout_seconds, context=context)
    return _Client(mail, timeout_seconds)


def _log_in(client: _Client, mail: Mail, context: ssl.SSLContext) -> None:
    client.ehlo_or_helo_if_needed()
    if not isinstance(client, _TlsClient):
        if not client.has_extn("starttls"):
            raise NotSentError("the server offers no STARTTLS, and nothing is sent in the clear")
        client.starttls(context=context)
    if mail.username is None or mail.password is None:
        return
    if not (mail.username + mail.password).isascii():
        raise NotSentError("the username or password has characters outside ASCII")
    client.ehlo_or_helo_if_needed()
    if _LOGINS.isdisjoint(client.esmtp_features.get("auth", "").split()):
        raise NotSentError("the server offers no login, and a username is configured")
    client.login(mail.username, mail.password)


class _TooLateError(Exception):
    """There is no time left. Not an OSError: smtplib would take that for a closed connection."""


class _Client(smtplib.SMTP):
    """An SMTP client that neither sends nor waits once its time is over.

    So a mail that was reported as not sent is not sent later.
    """

    def __init__(self, mail: Mail, timeout_seconds: float, **options: Any) -> None:  # noqa: ANN401
        self._ends = _clock.now() + timeout_seconds
        try:
            options["timeout"] = timeout_seconds
            super().__init__(mail.host, mail.port, _OWN_NAME, **options)
        except BaseException:
            self.close()
            raise

    def limit_time(self) -> None:
        """Have the socket's next operation end in time. Raises _TooLateError if it cannot."""
        left_seconds = self._ends - _clock.now()
        if left_seconds <= 0:
            raise _TooLateError
        if self.sock is not None:
            self.sock.settimeout(left_seconds)

    def send(self, s: ReadableBuffer | str) -> None:
        """Send, if there is time."""
        self.limit_time()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Wait for a reply, as long as there is time."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Incoming(self, self.sock))
        return super().getreply()

    def __exit__(self, *_: object) -> None:
        """Say goodbye if there is time, and close the connection."""
        with suppress(Exception):
            self.limit_time()
            self._ends = _clock.now() + _GOODBYE_SECONDS
            self.quit()
        self.close()


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


class _Incoming(io.RawIOBase):
    """What the server says, in time and of limited length.

    A socket's own timeout starts anew with every byte, and smtplib keeps any number of lines.
    """

    def __init__(self, client: _Client, sock: socket.socket) -> None:
        self._client = client
        self._sock = sock
        self._left_bytes = _LONGEST_CONVERSATION_BYTES

    def readable(self) -> bool:
        """Tell the buffer above that this is a source."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what has come."""
        self._client.limit_time()
        try:
            size = self._sock.recv_into(buffer)
        except TimeoutError:
            raise _TooLateError from None
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise NotSentError("the server's reply does not end")
        return size


# ---- What went wrong ----


def reason_of(problem: Exception) -> str:
    """Return why a mail was not sent, as a part of a sentence.

    It never quotes the server, which may echo the password.
    """
    match problem:
        case NotSentError():
            return str(problem)
        case smtplib.SMTPException():
            return _smtp_reason(problem)
        case ssl.SSLCertVerificationError():
            why = problem.verify_message.rstrip(".")
            return f"the server's certificate cannot be trusted: {why}"
        case ssl.SSLError():
            return f"TLS failed ({problem.reason})"
        case OSError():
            why = problem.strerror or type(problem).__name__
            return f"the server cannot be reached ({why})"
        case _:
            return f"an unexpected {type(problem).__name__} came up"


def _smtp_reason(problem: smtplib.SMTPException) -> str:
    match problem:
        case smtplib.SMTPRecipientsRefused():
            codes = (f"{who} with {code_of(reply)}" for who, reply in problem.recipients.items())
            return f"the server refused {', '.join(codes)}"
        case smtplib.SMTPServerDisconnected():
            return "the server closed the connection"
        case smtplib.SMTPResponseException():
            what = _REFUSED.get(type(problem), "the server answered")
            return f"{what} {code_of((problem.smtp_code, problem.smtp_error))}"
        case _:
            return f"the conversation failed ({type(problem).__name__})"


_REFUSED: Final[Mapping[type[smtplib.SMTPException], str]] = {
    smtplib.SMTPAuthenticationError: "the server refused the login with",
    smtplib.SMTPSenderRefused: "the server refused the sender with",
    smtplib.SMTPDataError: "the server refused the mail with",
}


def code_of(reply: tuple[int, bytes | str]) -> str:
    """Return the SMTP code and the enhanced code in a server's reply, such as "550 5.1.1"."""
    code, words = reply
    if code < 0:
        return "something that is not SMTP"
    enhanced = _ENHANCED_CODE.match(words.encode() if isinstance(words, str) else words)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)
