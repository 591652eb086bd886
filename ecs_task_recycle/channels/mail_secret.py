"""The mail server's username and password, read from Secrets Manager when a mail is due."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.settings.input_json import Mail

if TYPE_CHECKING:
    import boto3


ACTION: Final = "secretsmanager:GetSecretValue"
# The mail has 15 s in all: what cannot be read at the second try is not worth more of them.
CONFIG: Final = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)

logger = logging.getLogger(__name__)


class UnusableSecretError(Exception):
    """The secret is no login; the message is a part of a sentence and holds nothing of it."""


def with_login(mail: Mail, session_of: Callable[[], boto3.Session]) -> Mail | None:
    """Return the mail with the username and password that its ``secret_id`` stands for.

    Without ``secret_id`` it is returned as it is, and ``session_of`` is not called. The secret is
    JSON, an object with the texts ``username`` and ``password``; what else it holds is passed
    over. It is read anew each time, so a rotated password is used from then on. Never raises:
    where it cannot be read, that is a warning in the log, without anything of the secret, and None.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    """
    if mail.secret_id is None:
        return mail
    try:
        username, password = _login(_read(session_of(), mail.secret_id))
    except Exception as problem:  # noqa: BLE001 - whatever a mail meets, the run's outcome stands
        logger.warning(
            "The summary was not mailed: %s.", _reason(problem), extra={"secret_id": mail.secret_id}
        )
        return None
    return replace(mail, username=username, password=password, secret_id=None)


def _read(session: boto3.Session, secret_id: str) -> str:
    client = session.client("secretsmanager", config=CONFIG)
    text = client.get_secret_value(SecretId=secret_id).get("SecretString")
    if text is None:
        raise UnusableSecretError("the secret of smtpCredentials.secret_id is binary")
    return text


def _login(text: str) -> tuple[str, str]:
    try:
        secret = json.loads(text)
    except (ValueError, RecursionError):
        # Without its cause, whose message quotes the secret.
        raise UnusableSecretError("the secret of smtpCredentials.secret_id is not JSON") from None
    login = secret if isinstance(secret, Mapping) else {}
    username, password = login.get("username"), login.get("password")
    if not (isinstance(username, str) and username and isinstance(password, str) and password):
        raise UnusableSecretError(
            "the secret of smtpCredentials.secret_id is not an object with username and password"
        )
    return username, password


def _reason(problem: Exception) -> str:
    match problem:
        case UnusableSecretError():
            return str(problem)
        case RecycleError():
            return problem.sentence.rstrip(".")
        case ClientError():
            code = problem.response.get("Error", {}).get("Code", "Unknown")
            action = "sts:AssumeRole" if problem.operation_name == "AssumeRole" else ACTION
            return f"{action} for smtpCredentials.secret_id was answered with {code}"
        case BotoCoreError():
            return f"smtpCredentials.secret_id could not be read ({type(problem).__name__})"
        case _:
            return f"smtpCredentials.secret_id could not be used ({type(problem).__name__})"
