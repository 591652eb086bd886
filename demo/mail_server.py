"""Mail servers on 127.0.0.1: one that takes mail under any of SMTP's conditions, one that hangs."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from email.message import EmailMessage

type Security = Literal["starttls", "tls", "plain"]

LOCALHOST: Final = "127.0.0.1"
POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMail:
    """One mail as the server took it; `message` is parsed, `source` is what came over the wire."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    source: bytes
    over_tls: bool
    username: str | None

    def part(self, subtype: Literal["plain", "html"]) -> str:
        """Return the text of the mail's text/plain or text/html part; LookupError without one."""
        body = self.message.get_body(preferencelist=(subtype,))
        if body is None:
            raise LookupError(f"The mail has no text/{subtype} part.")
        return str(body.get_content())


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """A username and password that a client sent, right or wrong, and whether TLS hid them."""

    username: str
    password: str
    over_tls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate and its key as PEM files; the certificate signs itself."""

    certificate_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS settings of a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


class MailServer:
    """An SMTP server on 127.0.0.1, for as long as the `with` lasts.

    `security`: "starttls" (required before anything else), "tls" (from the first byte, as on
    port 465) or "plain" (offers no encryption at all). With `username` and `password` a login is
    demanded; a plain server offers it in the clear then, as a trap. Mail to `refused` addresses
    is refused with 550. `mails` and `logins` hold what came, oldest first. A client trusts the
    server's certificate only when told to: SSL_CERT_FILE=`certificate.certificate_file`.
    """

    def __init__(
        self,
        security: Security = "starttls",
        *,
        username: str | None = None,
        password: str | None = None,
        refused: Collection[str] = (),
        certificate: Certificate | None = None,
    ) -> None:
        self._security = security
        self._credentials = (username, password)
        self._refused = frozenset(refused)
        self._certificate = certificate
        self._resources = ExitStack()
        self._arrived = threading.Condition()
        self.port = 0
        self.mails: list[ReceivedMail] = []
        self.logins: list[LoginAttempt] = []

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            if self._certificate is None:
                folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
                self._certificate = self_signed(folder)
            controller = _Controller(self, **self._smtp_options())
            self.port = controller.port
            resources.callback(controller.bound.close)
            resources.callback(controller.stop, no_assert=True)
            controller.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def host(self) -> str:
        """The address the server listens on, the only one."""
        return LOCALHOST

    @property
    def certificate(self) -> Certificate:
        """The certificate that the server shows."""
        if self._certificate is None:
            raise RuntimeError("Not started yet: use it in a with statement.")
        return self._certificate

    def wait_for_mails(
        self, count: int = 1, *, timeout_seconds: float = 10.0
    ) -> list[ReceivedMail]:
        """Return the mails once there are so many; else TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.mails) >= count, timeout_seconds):
                raise TimeoutError(f"{len(self.mails)} of {count} mails came.")
            return list(self.mails)

    def take(self, mail: ReceivedMail) -> None:
        """Keep a mail that has come."""
        with self._arrived:
            self.mails.append(mail)
            self._arrived.notify_all()

    def refuses(self, address: str) -> bool:
        """Whether mail to the address is refused."""
        return address in self._refused

    @property
    def demands_login(self) -> bool:
        """Whether mail is only taken after a login."""
        return self._credentials != (None, None)

    def is_encrypted(self, session: Session) -> bool:
        """Whether TLS hides what is said in the session."""
        return self._security == "tls" or session.ssl is not None

    def log_in(self, login: LoginAttempt) -> bool:
        """Keep an attempt to log in and say whether it succeeds."""
        self.logins.append(login)
        return (login.username, login.password) == self._credentials

    def _smtp_options(self) -> dict[str, Any]:
        context = self.certificate.server_context()
        return {
            "ssl_context": context if self._security == "tls" else None,
            "tls_context": context if self._security == "starttls" else None,
            "require_starttls": self._security == "starttls",
            "auth_require_tls": self._security == "starttls",
            "auth_exclude_mechanism": () if self.demands_login else ("LOGIN", "PLAIN"),
        }


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


def self_signed(folder: Path, *, names: Collection[str] = (LOCALHOST, "localhost")) -> Certificate:
    """Write a certificate for these host names and addresses, valid for a day, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made up for this machine")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own_name)
        .issuer_name(own_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(certificate_file=folder / "server.pem", key_file=folder / "server.key")
    made.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _accepted(listening: socket.socket) -> socket.socket | None:
    try:
        return listening.accept()[0]
    except TimeoutError:
        return None


class _Controller(Controller):
    """aiosmtpd's server thread on a port that the kernel chose, so that none is guessed."""

    def __init__(self, server: MailServer, **options: Any) -> None:  # noqa: ANN401 - aiosmtpd's
        self.bound = socket.socket()
        self.bound.bind((LOCALHOST, 0))
        super().__init__(
            _Handler(server),
            hostname=LOCALHOST,
            port=self.bound.getsockname()[1],
            server_hostname="mail.example.com",  # else it asks the network for this machine's name
            authenticator=_Authenticator(server),
            **options,
        )

    def _create_server(self) -> Any:  # noqa: ANN401 - a coroutine of asyncio's
        return self.loop.create_server(self._factory_invoker, sock=self.bound, ssl=self.ssl_context)


class _Authenticator:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    def __call__(
        self, _smtp: object, session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        login = LoginAttempt(
            username=data.login.decode(),
            password=data.password.decode(),
            over_tls=self._server.is_encrypted(session),
        )
        return AuthResult(success=self._server.log_in(login), handled=False, auth_data=login)


class _Handler:
    """What aiosmtpd asks at each of SMTP's steps; the methods' names are its."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        _smtp: object,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        # aiosmtpd's own auth_required warns of every server that has no STARTTLS.
        if self._server.demands_login and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _smtp: object,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self._server.refuses(address):
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _smtp: object, session: Session, envelope: Envelope
    ) -> str:
        source = envelope.original_content or b""
        login: LoginAttempt | None = getattr(session, "auth_data", None)
        self._server.take(
            ReceivedMail(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                message=message_from_bytes(source, policy=policy.default),
                source=source,
                over_tls=self._server.is_encrypted(session),
                username=login.username if login else None,
            )
        )
        return "250 OK"
