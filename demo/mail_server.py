"""A mail server on 127.0.0.1 that takes mail by STARTTLS and login."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
import ssl
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any, Final, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from demo.process import LOCALHOST

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

USERNAME: Final = "demo"
PASSWORD: Final = "the-mail-password-of-this-machine"  # noqa: S105 - of our own server


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail as the server took it; `username` is None where nobody has logged in."""

    message: EmailMessage
    envelope: Envelope
    over_tls: bool
    username: str | None

    def part(self, subtype: str) -> str:
        """Return the text of the mail's part of this kind: plain or html."""
        body = self.message.get_body(preferencelist=(subtype,))
        return "" if body is None else str(body.get_content())


class MailServer(Controller):
    """For as long as the `with` lasts, on a free port. `mails` holds what came, oldest first.

    A client trusts the server only when told to: SSL_CERT_FILE=`certificate`.
    """

    def __init__(
        self,
        certificate: Path,
        *,
        username: str | None = USERNAME,
        password: str | None = PASSWORD,
        **options: Any,  # noqa: ANN401 - aiosmtpd's
    ) -> None:
        # aiosmtpd warns of a property of its own that it uses itself.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self.certificate = certificate
        self.mails: list[ReceivedMail] = []
        self._credentials = (username, password)
        starttls = {"tls_context": server_context(certificate), "require_starttls": True}
        super().__init__(
            self,
            hostname=LOCALHOST,
            port=0,
            server_hostname="mail.example.com",  # else it asks the network for this machine's name
            authenticator=self.log_in,
            **{**starttls, "auth_required": True, **options},
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(no_assert=True)

    def _trigger_server(self) -> None:
        if isinstance(self.server, asyncio.Server):
            self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]

    def log_in(
        self, _smtp: object, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        """Accept the one username with its password."""
        login = data if isinstance(data, LoginPassword) else LoginPassword(b"", b"")
        username, password = login.login.decode(), login.password.decode()
        is_right = (username, password) == self._credentials
        return AuthResult(success=is_right, handled=False, auth_data=username)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _smtp: object, session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail that has come."""
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        over_tls = bool(session.ssl or self.ssl_context)
        username = session.auth_data if session.authenticated else None
        self.mails.append(ReceivedMail(message, envelope, over_tls, username))
        return "250 OK"


def self_signed(folder: Path, name: str = LOCALHOST) -> Path:
    """Write a certificate for an address or host name, valid for a day, and its key; as one PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made up for this machine")])
    now = dt.datetime.now(dt.UTC)
    is_address = name == LOCALHOST
    alternative = x509.IPAddress(ipaddress.ip_address(name)) if is_address else x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own_name)
        .issuer_name(own_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail-server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
