"""Hand a mail to an SMTP server: encrypted or not at all, and in time whatever the server does."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ecs_task_recycle.settings.input_json import Mail

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


type Refusals = Mapping[str, tuple[int, bytes]]

# TLS from the first byte. https://www.rfc-editor.org/rfc/rfc8314#section-7.3
IMPLICIT_TLS_PORT: Final = 465

_GOODBYE_SECONDS: Final = 0.5
_LONGEST_REPLY_BYTES: Final = 65_536
# smtplib would look up this machine's own name, which takes seconds where there is no DNS.
_OWN_NAME: Final = "[127.0.0.1]"
_LOGINS: Final = frozenset(("CRAM-MD5", "PLAIN", "LOGIN"))  # those of smtplib
# Such as 5.1.1, in front of the server's own words. https://www.rfc-editor.org/rfc/rfc3463
_ENHANCED_CODE: Final = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who sends to whom; ``unusable`` are the configured recipients that are no addresses."""

    sender: Address
    recipients: tuple[Address, ...]
    unusable: tuple[str, ...]


def hand_over(
    message: EmailMessage,
    envelope: Envelope,
    *,
    mail: Mail,
    timeout_seconds: float,
    context: ssl.SSLContext,
) -> Refusals:
    """Give the message to the server that ``mail`` names; return the recipients it refused.

    Raises what kept the mail from all of them: NotSentError, or an error of smtplib, ssl or socket
    whose own text may hold credentials; ``reason_of`` tells it without. Returns or raises within
    ``timeout_seconds``, and half a second more where the server does not say goodbye.
    """
    return _Attempt(mail, context).hand_over(message, envelope, timeout_seconds)


class NotSentError(Exception):
    """The mail was given up; the message is a part of a sentence and holds no credential."""


class _Replies:
    """What the server says, by the line. Of one reply, smtplib keeps as many lines as come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left_bytes = _LONGEST_REPLY_BYTES

    def begin(self) -> None:
        """Expect a reply."""
        self._left_bytes = _LONGEST_REPLY_BYTES

    def readline(self, size: int) -> bytes:
        """Return the next line. Raises NotSentError for one too many."""
        line = self._file.readline(size)
        self._left_bytes -= len(line)
        if self._left_bytes < 0:
            raise NotSentError("the server's reply does not end")
        return line

    def close(self) -> None:
        """Close the connection's file."""
        self._file.close()


class _Client(smtplib.SMTP):
    """An SMTP client that its attempt knows before it connects, and that falls silent with it."""

    def __init__(self, attempt: _Attempt, **options: Any) -> None:  # noqa: ANN401 - smtplib's
        self._attempt = attempt
        attempt.client = self
        super().__init__(attempt.mail.host, attempt.mail.port, _OWN_NAME, **options)

    def send(self, s: ReadableBuffer | str) -> None:
        """Send, unless the attempt has been given up."""
        self._attempt.go_on()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Wait for a reply, unless the attempt has been given up."""
        self._attempt.go_on()
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock.makefile("rb"))
        if self.file is not None:
            self.file.begin()
        return super().getreply()


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


class _Attempt:
    """One try to hand a mail over, which ends in time whatever the server does.

    A socket's own timeout starts anew with every byte, and does not cover the lookup of the host's
    name. So a thread of its own talks to the server, and is hung up on when time has run out. From
    then on it says nothing more: a mail reported as not sent is not sent later.
    """

    def __init__(self, mail: Mail, context: ssl.SSLContext) -> None:
        self.mail = mail
        self.client: _Client | None = None
        self._context = context
        self._given_up = threading.Event()
        self._has_ended = threading.Event()
        self._refused: Refusals = {}
        self._problem: Exception | None = None

    def hand_over(
        self, message: EmailMessage, envelope: Envelope, timeout_seconds: float
    ) -> Refusals:
        """Return the recipients whom the server refused; raise what kept the mail from all."""
        talk = threading.Thread(
            target=self._talk, args=(message, envelope, timeout_seconds), name="smtp", daemon=True
        )
        talk.start()
        in_time = self._has_ended.wait(timeout_seconds)
        if in_time:
            talk.join(_GOODBYE_SECONDS)
        self._hang_up()
        if not in_time:
            # Not by way of _problem: the hanging up makes the other thread fail, too.
            raise NotSentError(f"it took more than {timeout_seconds:g} s")
        if self._problem is not None:
            raise self._problem
        return self._refused

    def go_on(self) -> None:
        """Raise NotSentError once the attempt has been given up."""
        if self._given_up.is_set():
            raise NotSentError("it was given up")

    def _hang_up(self) -> None:
        self._given_up.set()
        sock = None if self.client is None else self.client.sock
        if sock is not None:
            with suppress(OSError):
                # Not the TLS socket's own shutdown: it would drop the encryption first, and the
                # other thread might just be about to send a password.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _talk(self, message: EmailMessage, envelope: Envelope, timeout_seconds: float) -> None:
        try:
            client = self._connected(timeout_seconds)
            self._log_in(client)
            self._refused = client.send_message(
                message,
                envelope.sender.addr_spec,
                [each.addr_spec for each in envelope.recipients],
            )
        except Exception as problem:  # noqa: BLE001 - raised again where it is waited for
            self._problem = problem
        self._has_ended.set()
        self._say_goodbye()

    def _connected(self, timeout_seconds: float) -> _Client:
        # A little longer than the attempt as a whole, so that it is that which ends.
        patience_seconds = timeout_seconds + 1
        if self.mail.port == IMPLICIT_TLS_PORT:
            return _TlsClient(self, timeout=patience_seconds, context=self._context)
        client = _Client(self, timeout=patience_seconds)
        client.ehlo_or_helo_if_needed()
        if not client.has_extn("starttls"):
            raise NotSentError("the server offers no STARTTLS, and nothing is sent in the clear")
        client.starttls(context=self._context)
        return client

    def _log_in(self, client: _Client) -> None:
        username, password = self.mail.username, self.mail.password
        if username is None or password is None:
            return
        if not (username + password).isascii():
            raise NotSentError("the username or password has characters outside ASCII")
        client.ehlo_or_helo_if_needed()
        if _LOGINS.isdisjoint(client.esmtp_features.get("auth", "").split()):
            raise NotSentError("the server offers no login, and a username is configured")
        client.login(username, password)

    def _say_goodbye(self) -> None:
        client = self.client
        if client is None:
            return
        with suppress(Exception):
            if client.sock is not None:
                client.quit()
        client.close()


def reason_of(problem: Exception) -> str:
    """Return why a mail was not sent, as a part of a sentence.

    Never in the server's own words: it may echo the password.
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
    """Return SMTP's code and the enhanced one, such as "550 5.1.1", of a server's reply."""
    code, words = reply
    if code < 0:
        return "something that is not SMTP"
    enhanced = _ENHANCED_CODE.match(words.encode() if isinstance(words, str) else words)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)
