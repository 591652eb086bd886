"""Mails on their way: real SMTP servers on 127.0.0.1, the willing and the others."""

from __future__ import annotations

import base64
import gc
import logging
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from demo.mail_server import self_signed, server_context
from ecs_task_recycle.channels.mail import smtp
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.settings.input_json import Mail
from Notification import send_notification
from tests.mail_servers import HangingServer, MailServer, Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

type Reply = Callable[[bytes], bytes]
type StartServer = Callable[[Reply], tuple[int, ssl.SSLContext]]

pytestmark = [
    pytest.mark.e2e,
    # aiosmtpd leaves the server's end of a connection open that its server's end cut short, and
    # asyncio of 3.13.0 stumbles over it when it is collected.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FIRST: Final = "first@example.com"
SECOND: Final = "second@example.com"
USERNAME: Final = "the-user"
PASSWORD: Final = "hunter2-correct-horse"
ANSWER: Final = Answer(
    cluster="shop",
    service="web",
    status=Status.COMPLETED,
    run_id="run-1",
    tasks_recycled=3,
    timestamp=datetime(2026, 11, 22, 2, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def every_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    wait_for_the_talk_to_end(timeout_seconds=3)
    gc.collect()  # while the warnings are ignored


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Return the list that the mailing thread's connections get into."""
    made: list[socket.socket] = []
    connect = socket.create_connection

    def keep(*args: Any, **options: Any) -> socket.socket:  # noqa: ANN401 - as the one it replaces
        connection = connect(*args, **options)
        if threading.current_thread().name == "smtp":
            made.append(connection)
        return connection

    monkeypatch.setattr(socket, "create_connection", keep)
    return made


def wait_for_the_talk_to_end(*, timeout_seconds: float) -> None:
    for thread in threading.enumerate():
        if thread.name == "smtp":
            thread.join(timeout_seconds)
            assert not thread.is_alive(), "a conversation goes on after its mail was given up"


def mail_to(port: int, *to: str, username: str | None = None, password: str | None = None) -> Mail:
    return Mail(
        host="127.0.0.1",
        port=port,
        from_email="AWS <noreply@example.com>",
        to=to or (FIRST,),
        username=username,
        password=password,
        subject_prefix="AWS ECS",
    )


def trusting(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.certificate))


def the_warning(caplog: pytest.LogCaptureFixture) -> str:
    records = [each for each in caplog.records if each.name == "Notification"]
    [record] = [each for each in records if each.levelno != logging.INFO]
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    return record.getMessage()


def assert_no_credential_in(caplog: pytest.LogCaptureFixture) -> None:
    ours = (each for each in caplog.records if each.name != "mail.log")  # that is the server's
    logged = " ".join(str(vars(record)) for record in ours)
    plain = f"\0{USERNAME}\0{PASSWORD}"
    for secret in (USERNAME, PASSWORD, plain):
        assert secret not in logged
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in logged


def test_a_mail_goes_by_starttls_and_login(caplog: pytest.LogCaptureFixture) -> None:
    with MailServer(username=USERNAME, password=PASSWORD) as server:
        mail = mail_to(server.port, FIRST, SECOND, username=USERNAME, password=PASSWORD)
        assert send_notification(mail, ANSWER, context=trusting(server)) is True
        [received] = server.mails
    assert (received.over_tls, received.username) == (True, USERNAME)
    assert all(login.over_tls for login in server.logins)
    assert received.envelope.mail_from == "noreply@example.com"
    assert received.envelope.rcpt_tos == [FIRST, SECOND]
    assert received.message["Subject"] == "[AWS ECS] ECS Service Task Recycle Completed: shop/web"
    assert "3 tasks recycled" in received.part("plain")
    assert "3 tasks recycled" in received.part("html")
    [record] = [each for each in caplog.records if each.name == "Notification"]
    assert record.getMessage() == "The summary was mailed to 2 of 2 recipients."
    assert_no_credential_in(caplog)


def test_a_mail_goes_by_starttls_where_no_login_is_wanted() -> None:
    with MailServer() as server:
        assert send_notification(mail_to(server.port), ANSWER, context=trusting(server))
        assert server.mails[0].over_tls
        assert server.logins == []


def test_port_465_speaks_tls_from_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    assert smtp.IMPLICIT_TLS_PORT == 465
    with MailServer("tls", username=USERNAME, password=PASSWORD) as server:
        monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", server.port)
        mail = mail_to(server.port, username=USERNAME, password=PASSWORD)
        assert send_notification(mail, ANSWER, context=trusting(server))
        [received] = server.mails
    assert (received.over_tls, received.username) == (True, USERNAME)


def test_names_outside_ascii_arrive() -> None:
    with MailServer() as server:
        mail = replace(mail_to(server.port, f"Jürgen <{FIRST}>"), email_subject="任务回收已完成")
        assert send_notification(mail, ANSWER, context=trusting(server))
        [received] = server.mails
    assert received.message["Subject"] == "[AWS ECS] 任务回收已完成: shop/web"
    assert received.message["To"].addresses[0].display_name == "Jürgen"


@pytest.mark.parametrize("username", [None, USERNAME])
def test_nothing_is_sent_to_a_server_that_offers_no_encryption(
    caplog: pytest.LogCaptureFixture, username: str | None
) -> None:
    with MailServer("plain", username=username, password=username and PASSWORD) as server:
        mail = mail_to(server.port, username=username, password=username and PASSWORD)
        assert send_notification(mail, ANSWER) is False
        assert (server.mails, server.logins) == ([], [])
    assert "offers no STARTTLS, and nothing is sent in the clear" in the_warning(caplog)
    assert_no_credential_in(caplog)


def test_a_wrong_password_is_told_by_its_code_alone(caplog: pytest.LogCaptureFixture) -> None:
    with MailServer(username=USERNAME, password="another") as server:
        mail = mail_to(server.port, username=USERNAME, password=PASSWORD)
        assert send_notification(mail, ANSWER, context=trusting(server)) is False
        assert server.mails == []
        assert PASSWORD in {login.password for login in server.logins}
    assert the_warning(caplog) == (
        "The summary was not mailed: the server refused the login with 535 5.7.8."
    )
    assert_no_credential_in(caplog)


def test_a_password_that_smtp_cannot_carry_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with MailServer(username=USERNAME, password=PASSWORD) as server:
        mail = mail_to(server.port, username=USERNAME, password=f"{PASSWORD}ü")
        assert send_notification(mail, ANSWER, context=trusting(server)) is False
    assert "characters outside ASCII" in the_warning(caplog)
    assert_no_credential_in(caplog)


def test_a_login_that_is_not_offered_is_said_so(caplog: pytest.LogCaptureFixture) -> None:
    with MailServer() as server:
        mail = mail_to(server.port, username=USERNAME, password=PASSWORD)
        assert send_notification(mail, ANSWER, context=trusting(server)) is False
        assert server.mails == []
    assert "offers no login" in the_warning(caplog)


def test_a_login_that_is_wanted_and_not_configured_is_told_by_its_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MailServer(username=USERNAME, password=PASSWORD) as server:
        assert not send_notification(mail_to(server.port), ANSWER, context=trusting(server))
    assert "refused the sender with 530 5.7.0" in the_warning(caplog)


def test_the_other_recipients_get_it_where_one_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MailServer(refused=[SECOND]) as server:
        mail = mail_to(server.port, FIRST, SECOND)
        assert send_notification(mail, ANSWER, context=trusting(server)) is False
        assert server.mails[0].envelope.rcpt_tos == [FIRST]
    assert the_warning(caplog) == (
        f"The summary was not mailed to {SECOND}: refused with 550 5.1.1."
    )


def test_the_other_recipients_get_it_where_one_is_no_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MailServer() as server:
        mail = mail_to(server.port, "nobody\r\nRCPT TO:<evil@example.com>", FIRST)
        assert send_notification(mail, ANSWER, context=trusting(server)) is False
        assert server.mails[0].envelope.rcpt_tos == [FIRST]
    assert "not an address" in the_warning(caplog)


def test_refused_by_all_is_a_warning_that_names_them(caplog: pytest.LogCaptureFixture) -> None:
    with MailServer(refused=[FIRST, SECOND]) as server:
        mail = mail_to(server.port, FIRST, SECOND)
        assert send_notification(mail, ANSWER, context=trusting(server)) is False
        assert server.mails == []
    assert f"refused {FIRST} with 550 5.1.1, {SECOND} with 550 5.1.1" in the_warning(caplog)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, security: Security
) -> None:
    with MailServer(security, username=USERNAME, password=PASSWORD) as server:
        if security == "tls":
            monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", server.port)
        mail = mail_to(server.port, username=USERNAME, password=PASSWORD)
        assert send_notification(mail, ANSWER) is False
        assert (server.mails, server.logins) == ([], [])
    assert "certificate cannot be trusted: self-signed certificate" in the_warning(caplog)


def test_a_certificate_for_another_host_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MailServer(certified_name="smtp.example.com") as server:
        assert not send_notification(mail_to(server.port), ANSWER, context=trusting(server))
        assert server.mails == []
    assert "not valid for '127.0.0.1'" in the_warning(caplog)


def test_a_certificate_named_by_ssl_cert_file_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    with MailServer() as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        assert send_notification(mail_to(server.port), ANSWER) is True


def test_nobody_listening_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with MailServer() as server:
        port = server.port
    assert send_notification(mail_to(port), ANSWER) is False
    assert "cannot be reached (Connection refused)" in the_warning(caplog)


def test_a_host_that_cannot_be_one_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    mail = replace(mail_to(587), host="x" * 70)
    assert send_notification(mail, ANSWER) is False
    assert "an unexpected Unicode" in the_warning(caplog)


@pytest.mark.parametrize(
    "drip", [b"", b"2", b"220-still here\r\n"], ids=["silence", "one line", "many lines"]
)
@pytest.mark.parametrize("with_tls", [False, True], ids=["starttls", "tls"])
def test_a_server_that_never_comes_to_the_point_is_given_up_in_time(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    connections: list[socket.socket],
    drip: bytes,
    with_tls: bool,  # noqa: FBT001
) -> None:
    with HangingServer(drip=drip, drip_seconds=0.02) as server:
        if with_tls:
            monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", server.port)
        started_at = time.monotonic()
        assert send_notification(mail_to(server.port), ANSWER, timeout_seconds=0.5) is False
        assert time.monotonic() - started_at < 1.2
        assert server.connections_count == 1
        # A handshake of TLS cannot be hung up on: it ends by itself, a second later.
        wait_for_the_talk_to_end(timeout_seconds=1.5 if with_tls else 0.5)
    assert [each.fileno() for each in connections] == [-1]
    warning = the_warning(caplog)
    if not (with_tls and drip):  # what is no TLS at all ends at once
        assert "it took more than 0.5 s" in warning


def test_a_name_that_takes_too_long_to_look_up_is_given_up_and_not_mailed_later(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    connections: list[socket.socket],
) -> None:
    found = threading.Event()
    look_up = socket.getaddrinfo

    def slowly(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the one it replaces
        if threading.current_thread().name == "smtp":
            found.wait(5)
        return look_up(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with MailServer() as server:
        mail = mail_to(server.port)
        assert not send_notification(mail, ANSWER, timeout_seconds=0.3, context=trusting(server))
        found.set()
        wait_for_the_talk_to_end(timeout_seconds=3)
        assert server.mails == []
        assert [each.fileno() for each in connections] == [-1]
    assert "it took more than 0.3 s" in the_warning(caplog)


@pytest.fixture
def server_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StartServer]:
    """Start servers that say what they are told; their port and what makes them trusted."""
    with ExitStack() as servers:

        def start(answer: Reply) -> tuple[int, ssl.SSLContext]:
            port, trusted = servers.enter_context(answering(answer, tmp_path))
            monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", port)
            return port, trusted

        yield start


@contextmanager
def answering(answer: Reply, folder: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Serve one client by TLS, each line with what `answer` says to it; `b""` keeps silent."""
    certificate = self_signed(folder)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def serve() -> None:
            with suppress(OSError):
                plain, _ = listening.accept()
                plain.settimeout(5)
                context = server_context(certificate)
                with context.wrap_socket(plain, server_side=True) as client:
                    client.sendall(b"220 here\r\n")
                    for line in client.makefile("rb"):
                        client.sendall(answer(line))

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        trusted = ssl.create_default_context(cafile=str(certificate))
        yield listening.getsockname()[1], trusted
        server.join(timeout=6)


def test_no_code_word_or_password_that_the_server_echoes_gets_into_the_log(
    caplog: pytest.LogCaptureFixture,
    server_for: StartServer,
) -> None:
    heard: list[bytes] = []

    def echo(line: bytes) -> bytes:
        heard.append(line)
        if line.lower().startswith(b"ehlo"):
            return b"250-here\r\n250 AUTH PLAIN\r\n"
        if line.startswith(b"AUTH"):
            secret = line.split()[-1]
            return b"535 5.7.8 no: " + secret + b" " + base64.b64decode(secret) + b"\r\n"
        return b"221 bye\r\n"

    port, trusted = server_for(echo)
    mail = mail_to(port, username=USERNAME, password=PASSWORD)
    assert send_notification(mail, ANSWER, context=trusted) is False
    assert PASSWORD.encode() in base64.b64decode(heard[1].split()[-1])
    assert "refused the login with 535 5.7.8." in the_warning(caplog)
    assert_no_credential_in(caplog)


@pytest.mark.parametrize(
    "at, code, reason",
    [
        (b"mail", b"451 4.7.1", "refused the sender with 451 4.7.1."),
        (b"rcpt", b"450", f"refused {FIRST} with 450."),
        (b"data", b"554 5.3.4", "refused the mail with 554 5.3.4."),
        (b".", b"552 5.3.4", "refused the mail with 552 5.3.4."),
        (b"mail", b"what?", "refused the sender with something that is not SMTP."),
    ],
)
def test_a_refusal_at_any_step_is_told_by_its_code_alone(
    caplog: pytest.LogCaptureFixture,
    server_for: StartServer,
    at: bytes,
    code: bytes,
    reason: str,
) -> None:
    port, trusted = server_for(_refusing(at, code + b" " + PASSWORD.encode()))
    assert send_notification(mail_to(port), ANSWER, context=trusted) is False
    assert reason in the_warning(caplog)
    assert_no_credential_in(caplog)


def test_a_server_that_does_not_say_goodbye_does_not_unsend_a_mail(
    server_for: StartServer,
) -> None:
    port, trusted = server_for(_refusing(b"quit", b""))
    started_at = time.monotonic()
    assert send_notification(mail_to(port), ANSWER, context=trusted) is True
    assert time.monotonic() - started_at < 2


@pytest.mark.parametrize("at", [b"ehlo", b"mail"])
def test_a_reply_without_an_end_is_not_kept(
    caplog: pytest.LogCaptureFixture, server_for: StartServer, at: bytes
) -> None:
    """In 15 seconds, a server could send more lines than the function has memory for."""
    line = b"250-" + b"x" * 400
    port, trusted = server_for(_refusing(at, b"\r\n".join([line] * 400)))
    assert send_notification(mail_to(port), ANSWER, context=trusted, timeout_seconds=5) is False
    assert "the server's reply does not end" in the_warning(caplog)


def test_a_server_that_hangs_up_in_the_middle_is_a_warning(
    caplog: pytest.LogCaptureFixture,
    server_for: StartServer,
) -> None:
    def hang_up(_line: bytes) -> bytes:
        raise OSError

    port, trusted = server_for(hang_up)
    assert send_notification(mail_to(port), ANSWER, context=trusted) is False
    assert the_warning(caplog) == ("The summary was not mailed: the server closed the connection.")


def _refusing(at: bytes, reply: bytes) -> Reply:
    """Return the answers of a server that takes everything but one step."""
    in_data = False

    def answer(line: bytes) -> bytes:
        nonlocal in_data
        if in_data and line != b".\r\n":
            return b""
        in_data = False
        if line.lower().startswith(at):
            return reply + b"\r\n" if reply else b""
        if line.lower().startswith(b"data"):
            in_data = True
            return b"354 go on\r\n"
        return b"221 bye\r\n" if line.lower().startswith(b"quit") else b"250 OK\r\n"

    return answer
