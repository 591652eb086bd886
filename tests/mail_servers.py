"""Mail servers for the tests: the demo's in every variant, and one that hangs."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from demo import mail_server
from demo.mail_server import self_signed, server_context
from demo.process import LOCALHOST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aiosmtpd.smtp import AuthResult, Envelope, Session

type Security = Literal["starttls", "tls", "plain"]

POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """A password that a client sent, right or wrong, and whether TLS hid it."""

    password: str
    over_tls: bool


class MailServer(mail_server.MailServer):
    """Takes mail under any of SMTP's conditions.

    `security`: "starttls" (required before anything else), "tls" (from the first byte, as on
    port 465) or "plain" (offers no encryption at all). With `username` and `password` a login is
    demanded; a plain server offers it in the clear then, as a trap. Mail to `refused` addresses
    is refused with 550. `logins` holds what was tried, oldest first.
    """

    def __init__(
        self,
        security: Security = "starttls",
        *,
        username: str | None = None,
        password: str | None = None,
        refused: Collection[str] = (),
        certified_name: str = LOCALHOST,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._refused = frozenset(refused)
        self.logins: list[LoginAttempt] = []
        certificate = self_signed(Path(self._folder.name), certified_name)
        is_starttls = security == "starttls"
        options: dict[str, Any] = {
            "ssl_context": server_context(certificate) if security == "tls" else None,
            "require_starttls": is_starttls,
            "auth_require_tls": is_starttls,
            # aiosmtpd warns of every other server that demands a login.
            "auth_required": username is not None and is_starttls,
            "auth_exclude_mechanism": () if username is not None else ("LOGIN", "PLAIN"),
        }
        if not is_starttls:
            options["tls_context"] = None
        super().__init__(certificate, username=username, password=password, **options)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._folder.cleanup()

    def log_in(
        self, smtp: object, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        over_tls = bool(session.ssl or self.ssl_context)
        password = bytes(getattr(data, "password", b"")).decode()
        self.logins.append(LoginAttempt(password=password, over_tls=over_tls))
        return super().log_in(smtp, session, envelope, mechanism, data)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _smtp: object,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address in self._refused:
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"


class HangingServer:
    """A server on 127.0.0.1 that takes a connection and then never says what SMTP wants to hear.

    Without `drip` it says nothing at all. With it, it sends those bytes again and again, one every
    `drip_seconds`: the connection is alive, and a timeout that only watches for silence never ends.
    """

    def __init__(self, *, drip: bytes = b"", drip_seconds: float = 0.2) -> None:
        self._drip = drip
        self._drip_seconds = drip_seconds
        self._ended = threading.Event()
        self._resources = ExitStack()
        self.host = LOCALHOST
        self.port = 0
        self.connections_count = 0

    def __enter__(self) -> Self:
        listening = self._resources.enter_context(socket.create_server((LOCALHOST, 0)))
        listening.settimeout(POLL_SECONDS)
        self.port = listening.getsockname()[1]
        self._start(self._serve, listening)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._resources.close()

    def _start(self, serve: Callable[[socket.socket], None], one: socket.socket) -> None:
        thread = threading.Thread(target=serve, args=(one,), daemon=True)
        thread.start()
        self._resources.callback(thread.join)

    def _serve(self, listening: socket.socket) -> None:
        while not self._ended.is_set():
            connection = _accepted(listening)
            if connection is not None:
                self.connections_count += 1
                self._start(self._hang_on, connection)

    def _hang_on(self, connection: socket.socket) -> None:
        drops = cycle(self._drip)
        with connection, suppress(OSError):  # the client has had enough
            while not self._ended.wait(self._drip_seconds):
                connection.sendall(bytes(islice(drops, 1)))


def _accepted(listening: socket.socket) -> socket.socket | None:
    try:
        return listening.accept()[0]
    except TimeoutError:
        return None
