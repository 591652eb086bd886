"""The mail servers of the tests and the demo, proved with Python's own SMTP client."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final

import pytest

from demo.mail_server import HangingServer, MailServer, self_signed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

SENDER: Final = "noreply@example.com"
FIRST: Final = "first@example.com"
SECOND: Final = "second@example.com"


def mail() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Recycled ✓ 3 of 3"
    message["From"] = SENDER
    message["To"] = FIRST
    message.set_content("three tasks\n")
    message.add_alternative("<p>three tasks</p>", subtype="html")
    return message


def trusting(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.certificate.certificate_file))


def test_mail_comes_in_by_starttls_and_login() -> None:
    with MailServer(username="me", password="secret") as server:
        with smtplib.SMTP(server.host, server.port, timeout=5) as client:
            client.starttls(context=trusting(server))
            client.login("me", "secret")
            client.send_message(mail())
        (received,) = server.wait_for_mails()
    assert (received.sender, received.recipients) == (SENDER, (FIRST,))
    assert (received.over_tls, received.username) == (True, "me")
    assert received.message["Subject"] == "Recycled ✓ 3 of 3"
    assert received.part("plain").strip() == "three tasks"
    assert received.part("html").strip() == "<p>three tasks</p>"


def test_a_server_that_wants_starttls_takes_nothing_before_it() -> None:
    with MailServer() as server, smtplib.SMTP(server.host, server.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPSenderRefused, match="STARTTLS"):
            client.send_message(mail())
        assert server.mails == []


def test_mail_comes_in_over_implicit_tls() -> None:
    with MailServer("tls", username="me", password="secret") as server:
        context = trusting(server)
        with smtplib.SMTP_SSL(server.host, server.port, timeout=5, context=context) as client:
            client.login("me", "secret")
            client.send_message(mail())
        (received,) = server.wait_for_mails()
    assert (received.over_tls, received.username) == (True, "me")
    assert server.logins[0].over_tls


def test_a_plain_server_offers_no_encryption_and_notes_a_password_in_the_clear() -> None:
    with (
        MailServer("plain", username="me", password="secret") as server,
        smtplib.SMTP(server.host, server.port, timeout=5) as client,
    ):
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.starttls()
        client.login("me", "secret")
        client.send_message(mail())
        assert [(login.password, login.over_tls) for login in server.logins] == [("secret", False)]
        assert not server.wait_for_mails()[0].over_tls


def test_a_plain_server_without_a_login_takes_mail_from_anyone() -> None:
    with MailServer("plain") as server:
        with smtplib.SMTP(server.host, server.port, timeout=5) as client:
            client.send_message(mail())
        assert server.wait_for_mails()[0].username is None


def test_a_wrong_password_is_refused_and_noted() -> None:
    with (
        MailServer(username="me", password="secret") as server,
        smtplib.SMTP(server.host, server.port, timeout=5) as client,
    ):
        client.starttls(context=trusting(server))
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.login("me", "wrong")
        assert refusal.value.smtp_code == 535
        assert "wrong" in {login.password for login in server.logins}


def test_mail_without_the_login_that_is_demanded_is_refused() -> None:
    with (
        MailServer(username="me", password="secret") as server,
        smtplib.SMTP(server.host, server.port, timeout=5) as client,
    ):
        client.starttls(context=trusting(server))
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            client.send_message(mail())
        assert refusal.value.smtp_code == 530


def test_one_recipient_can_be_refused_while_the_other_gets_the_mail() -> None:
    with (
        MailServer("plain", refused=[SECOND]) as server,
        smtplib.SMTP(server.host, server.port, timeout=5) as client,
    ):
        refused = client.send_message(mail(), to_addrs=[FIRST, SECOND])
        assert refused[SECOND][0] == 550
        assert server.wait_for_mails()[0].recipients == (FIRST,)


def test_the_certificate_is_trusted_by_nobody_who_was_not_told_to() -> None:
    with (
        MailServer() as server,
        smtplib.SMTP(server.host, server.port, timeout=5) as client,
        pytest.raises(ssl.SSLCertVerificationError, match="self-signed"),
    ):
        client.starttls(context=ssl.create_default_context())


def test_a_certificate_can_be_for_another_host(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, names=["smtp.example.com"])
    with (
        MailServer(certificate=certificate) as server,
        smtplib.SMTP(server.host, server.port, timeout=5) as client,
        pytest.raises(ssl.SSLCertVerificationError, match="certificate is not valid for"),
    ):
        client.starttls(context=trusting(server))


def test_mail_that_does_not_come_is_not_waited_for_for_ever() -> None:
    with MailServer("plain") as server, pytest.raises(TimeoutError, match="0 of 1 mails"):
        server.wait_for_mails(timeout_seconds=0.05)


def test_a_server_is_gone_afterwards() -> None:
    with MailServer("plain") as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(server.host, server.port, timeout=5)


def test_a_hanging_server_takes_the_connection_and_says_nothing() -> None:
    with HangingServer() as server:
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            smtplib.SMTP(server.host, server.port, timeout=0.3)
        assert server.connections_count == 1


def test_a_dripping_server_outlasts_a_timeout_that_watches_for_silence() -> None:
    with (
        HangingServer(drip=b"220", drip_seconds=0.1) as server,
        socket.create_connection((server.host, server.port), timeout=0.3) as client,
    ):
        heard = b"".join(client.recv(1) for _ in range(7))
    assert heard == b"2202202"
