"""Reads input.json and the stack's environment variables into frozen values, with every default.

It finds every problem before it raises SettingsError, and no error shows a secret's value.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.event import LONGEST_LIST, unknown_names
from ecs_task_recycle.settings.values import shown, zone_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """Section ``awsCredentials``. All are optional; without any, boto3's default chain signs."""

    region_name: str | None = None
    profile_name: str | None = None
    role_arn: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None

    def __repr__(self) -> str:
        """Show nothing that could be a secret."""
        return f"AwsCredentials(region_name={self.region_name!r}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Sections ``smtpCredentials`` and ``emailNotification``, if somebody is to be mailed.

    With ``secret_id``, that secret holds username and password, and both are None here.
    """

    host: str
    port: int
    from_email: str
    to: tuple[str, ...]
    username: str | None = None
    password: str | None = None
    secret_id: str | None = None
    email_subject: str | None = None
    subject_prefix: str | None = None
    timezone: str | None = None

    def __repr__(self) -> str:
        """Show nothing that could be a secret."""
        return f"Mail(host={self.host!r}, port={self.port}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The content of input.json. ``mail`` is None if nobody is to be mailed."""

    aws: AwsCredentials
    mail: Mail | None


DEFAULT_SMTP_PORT: Final = 587
_HIGHEST_PORT: Final = 65_535
_SENDABLE: Final = re.compile(r"[!-~]+")
_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "awsCredentials": (
        "region_name",
        "profile_name",
        "role_arn",
        "access_key",
        "secret_key",
        "session_token",
    ),
    "smtpCredentials": ("host", "port", "username", "password", "secret_id", "from_email"),
    "emailNotification": ("email_subject", "subject_prefix", "to", "timezone"),
}


def read_configuration(path: Path, *, is_lenient: bool = False) -> Configuration:
    """Read input.json. Raises SettingsError, which names every problem and no secret's value.

    ``is_lenient``: of a file with problems return the credentials alone, the default ones where
    these cannot be read either. Restoring needs no mail.
    """
    try:
        document, problems = _document(path)
        return configuration_from(document, problems)
    except SettingsError as problem:
        if not is_lenient:
            raise
        logger.error("Restoring without mail: %s", problem)  # noqa: TRY400 - it says it all
    return Configuration(aws=_credentials(path), mail=None)


def _credentials(path: Path) -> AwsCredentials:
    try:
        document, _ = _document(path)
        section = document.get("awsCredentials") if isinstance(document, Mapping) else None
        return configuration_from({"awsCredentials": section}).aws
    except SettingsError:
        return AwsCredentials()


def _document(path: Path) -> tuple[object, list[str]]:
    """Return what the file holds, and a problem for each name that stands in an object twice."""
    problems: list[str] = []

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        problems.extend(f"{shown(name)} is given more than once" for name in twice)
        return dict(pairs)

    try:
        # Editors on Windows may put a byte order mark in front.
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=once), problems[:LONGEST_LIST]
    except (OSError, ValueError, RecursionError) as problem:
        raise SettingsError.of("input.json", [_unreadable(problem)]) from None


def _unreadable(problem: Exception) -> str:
    # Never the exception's own message: a decoder may quote what it could not read.
    match problem:
        case FileNotFoundError():
            return "the file is missing"
        case OSError():
            return f"it cannot be read: {problem.strerror}"
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case json.JSONDecodeError():
            return f"it is not JSON, see line {problem.lineno}"
        case _:  # A number of thousands of digits, or thousands of brackets in each other.
            return "it is not JSON that can be read"


def configuration_from(document: object, problems: Sequence[str] = ()) -> Configuration:
    """Read the parsed input.json, whose text has these ``problems`` already.

    Raises SettingsError, which names every problem.
    """
    if not isinstance(document, Mapping):
        raise SettingsError.of("input.json", ["it is not an object of sections"])
    problems = [*problems, *unknown_names(document, list(_SECTIONS), "section")]
    sections = {name: _section(document, name, problems) for name in _SECTIONS}
    aws = AwsCredentials(**_texts(sections["awsCredentials"], "awsCredentials", problems))
    problems += _halves(aws) + _unsendable(aws)
    mail = _mail(sections["smtpCredentials"], sections["emailNotification"], problems)
    if problems:
        raise SettingsError.of("input.json", problems)
    return Configuration(aws=aws, mail=mail)


def _section(document: Mapping[str, object], name: str, problems: list[str]) -> dict[str, object]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        problems.append(f"{name} is not an object")
        return {}
    problems += [f"{name}: {text}" for text in unknown_names(section, list(_SECTIONS[name]), "key")]
    return {key: value for key, value in section.items() if key in _SECTIONS[name]}


def _texts(section: Mapping[str, object], name: str, problems: list[str]) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for key, value in section.items():
        if value is None or isinstance(value, str):
            texts[key] = (value or "").strip() or None
        else:
            problems.append(f"{name}.{key} is {type(value).__name__}, expected text")
    return texts


def _halves(aws: AwsCredentials) -> list[str]:
    problems = []
    if (aws.access_key is None) != (aws.secret_key is None):
        missing = "secret_key" if aws.secret_key is None else "access_key"
        problems.append(f"awsCredentials.{missing} is missing: the two keys belong together")
    if aws.session_token is not None and aws.access_key is None:
        problems.append("awsCredentials.session_token is given without access_key and secret_key")
    return problems


def _unsendable(aws: AwsCredentials) -> list[str]:
    """Return a problem for each key that no request can carry, such as one with a line break."""
    secrets = {name: getattr(aws, name) for name in ("access_key", "secret_key", "session_token")}
    return [
        f"awsCredentials.{name} has a space, a line break or another character that no such key has"
        for name, value in secrets.items()
        if value is not None and not _SENDABLE.fullmatch(value)
    ]


def _mail(
    smtp: Mapping[str, object], email: Mapping[str, object], problems: list[str]
) -> Mail | None:
    recipients = _recipients(email.get("to"), problems)
    port = _port(smtp.get("port"), problems)
    texts = _texts({k: v for k, v in smtp.items() if k != "port"}, "smtpCredentials", problems)
    subject = _texts({k: v for k, v in email.items() if k != "to"}, "emailNotification", problems)
    problems += _timezone_problems(subject.get("timezone"))
    if not recipients:
        return None
    problems += [
        f"smtpCredentials.{key} is missing: emailNotification.to asks for mail"
        for key in ("host", "from_email")
        if not texts.get(key)
    ]
    problems += _login_problems(texts)
    return Mail(
        host=texts.get("host") or "",
        port=port,
        from_email=texts.get("from_email") or "",
        to=recipients,
        username=texts.get("username"),
        password=texts.get("password"),
        secret_id=texts.get("secret_id"),
        **subject,
    )


def _login_problems(texts: Mapping[str, str | None]) -> list[str]:
    given = [key for key in ("username", "password") if texts.get(key)]
    if texts.get("secret_id") and given:
        return ["smtpCredentials must give secret_id or username and password, not both"]
    if len(given) == 1:
        missing = "password" if given == ["username"] else "username"
        return [f"smtpCredentials.{missing} is missing: username and password belong together"]
    return []


def _timezone_problems(name: str | None) -> list[str]:
    """Return a problem for an unknown time zone.

    A machine without time zone data accepts every name, as another machine may know it.
    """
    if name is None or zone_of(name) is not None or zone_of("Etc/UTC") is None:
        return []
    cities = [each for each in available_timezones() if "/" in each]
    close = get_close_matches(name, cities, n=1, cutoff=0.75)
    hint = f", such as {close[0]}" if close else ", such as Europe/Berlin"
    return [f"emailNotification.timezone is not the IANA name of a time zone{hint}"]


def _recipients(value: object, problems: list[str]) -> tuple[str, ...]:
    addresses = [value] if isinstance(value, str) else value
    if addresses is None:
        return ()
    if not isinstance(addresses, list) or not all(isinstance(each, str) for each in addresses):
        problems.append("emailNotification.to is not a list of addresses")
        return ()
    return tuple(each.strip() for each in addresses if each.strip())


def _port(value: object, problems: list[str]) -> int:
    if value in (None, ""):
        return DEFAULT_SMTP_PORT
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):
        value = int(value)
    if type(value) is not int or not 1 <= value <= _HIGHEST_PORT:
        # The error does not show the value: it may be a password in the wrong line.
        problems.append("smtpCredentials.port is not a whole number from 1 to 65535")
        return DEFAULT_SMTP_PORT
    return value
