"""Event and input.json become frozen values here; every default stands here, once.

Nothing in this module calls AWS or reads a clock. Every problem of a source is found before the
first is reported (:class:`~ecs_task_recycle.errors.SettingsError`).
"""

from __future__ import annotations

import difflib
import json
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from ecs_task_recycle.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

REQUIRED: Final = object()
MAX_WAIT_TIME_SECONDS: Final = 86_400
STABILIZE_TIMEOUT_SECONDS: Final = (15, 840)

# Long enough for any ARN, short enough for a log line.
_REPR: Final = reprlib.Repr(maxstring=200)

# Names: up to 255 letters, digits, underscores and hyphens, for clusters and services alike.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
_NAME = r"[A-Za-z0-9_-]{1,255}"
_ARN_HEAD = r"arn:[a-z-]+:ecs:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
_CLUSTER_ARN = re.compile(rf"{_ARN_HEAD}:cluster/(?P<cluster>{_NAME})")
# Service ARNs made before the long format carry no cluster name.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
_SERVICE_ARN = re.compile(rf"{_ARN_HEAD}:service/(?:(?P<cluster>{_NAME})/)?(?P<service>{_NAME})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A cluster or service as the event named it: its name, and what its ARN adds."""

    name: str
    region: str | None = None
    cluster: str | None = None


class Action(StrEnum):
    """What an event asks for."""

    RECYCLE = "recycle"
    RESTORE = "restore"


class ProtectedTasks(StrEnum):
    """What to do with a task under scale-in protection."""

    WAIT = "wait"
    SKIP = "skip"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run is asked to do. Times are whole seconds, ``started_before`` is aware UTC."""

    cluster_name: str
    service_name: str
    maintain_service_state: bool
    wait_time_seconds: int
    protected_tasks: ProtectedTasks
    started_before: datetime | None
    stabilize_timeout_seconds: int
    dry_run: bool
    action: Action
    region: str | None = None

    @property
    def raises_capacity(self) -> bool:
        """Whether desired count and limits may be written."""
        return self.maintain_service_state or self.action is Action.RESTORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One event parameter: how it is read, what is expected of it, what it means."""

    name: str
    parse: Callable[[object], object]
    expected: str
    meaning: str
    default: object = REQUIRED


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    # EventBridge input templates put values into quotes.
    return {"true": True, "false": False}[cast("str", value)]


def _action(value: object) -> Action:
    return Action(cast("str", value))


def _protected_tasks(value: object) -> ProtectedTasks:
    return ProtectedTasks(cast("str", value))


def _seconds(lowest: int, highest: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
            value = int(value)
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return parse


def _instant(value: object) -> datetime:
    instant = datetime.fromisoformat(cast("str", value))
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)


def _resource(arn: re.Pattern[str], kind: str) -> Callable[[object], Resource]:
    def parse(value: object) -> Resource:
        text = cast("str", value)
        if re.fullmatch(_NAME, text):
            return Resource(name=text)
        match = arn.fullmatch(text)
        if match is None:
            raise ValueError
        groups = match.groupdict()
        return Resource(name=groups[kind], region=groups["region"], cluster=groups["cluster"])

    return parse


PARAMETERS: Final = (
    Parameter(
        name="cluster_name",
        parse=_resource(_CLUSTER_ARN, "cluster"),
        expected="the name or ARN of an ECS cluster",
        meaning="The cluster, by name or ARN.",
    ),
    Parameter(
        name="service_name",
        parse=_resource(_SERVICE_ARN, "service"),
        expected="the name or ARN of an ECS service",
        meaning="The service, by name or ARN.",
    ),
    Parameter(
        name="maintain_service_state",
        parse=_boolean,
        expected="true or false",
        default=True,
        meaning="Run one task more while recycling.",
    ),
    Parameter(
        name="wait_time",
        parse=_seconds(0, MAX_WAIT_TIME_SECONDS),
        expected=f"whole seconds from 0 to {MAX_WAIT_TIME_SECONDS}",
        default=30,
        meaning="Seconds to sleep after each replaced task, the last one too.",
    ),
    Parameter(
        name="protected_tasks",
        parse=_protected_tasks,
        expected='"wait", "skip" or "stop"',
        default=ProtectedTasks.WAIT,
        meaning="What to do with a task under scale-in protection: wait for its end after all "
        "others, skip it, or clear the protection and stop it.",
    ),
    Parameter(
        name="started_before",
        parse=_instant,
        expected="an ISO 8601 instant with a zone, such as 2026-01-31T02:00:00Z",
        default=None,
        meaning="Only tasks started before this instant are recycled. "
        "Without it: the start of the run.",
    ),
    Parameter(
        name="stabilize_timeout",
        parse=_seconds(*STABILIZE_TIMEOUT_SECONDS),
        expected="whole seconds from {} to {}".format(*STABILIZE_TIMEOUT_SECONDS),
        default=600,
        meaning="Seconds that the replacement of one task may take.",
    ),
    Parameter(
        name="dry_run",
        parse=_boolean,
        expected="true or false",
        default=False,
        meaning="Say what would be done; write nothing.",
    ),
    Parameter(
        name="action",
        parse=_action,
        expected='"recycle" or "restore"',
        default=Action.RECYCLE,
        meaning='"restore" only puts back what a dead run left raised.',
    ),
)


def settings_from_event(event: object) -> Settings:
    """Read the parameters of an invocation, also from under ``detail`` of an EventBridge event.

    Raises SettingsError naming every problem: parameter, value, what was expected.
    """
    given = _parameters_of(event)
    problems = _unknown(given, [parameter.name for parameter in PARAMETERS], "parameter")
    values: dict[str, object] = {}
    for parameter in PARAMETERS:
        try:
            values[parameter.name] = _value(parameter, given)
        except ValueError as problem:
            problems.append(str(problem))
    problems += _disagreements(values)
    if problems:
        raise SettingsError.of("the event", problems)
    return _settings(values)


def _shown(value: object) -> str:
    try:
        return _REPR.repr(value)
    except ValueError:  # Python refuses to write out integers of more than 4300 digits.
        return f"{type(value).__name__} too large to show"


def _parameters_of(event: object) -> Mapping[str, object]:
    if not isinstance(event, Mapping):
        kind = type(event).__name__
        raise SettingsError.of("the event", [f"it is {kind}, expected an object of parameters"])
    detail = event.get("detail")
    known = {parameter.name for parameter in PARAMETERS}
    if isinstance(detail, Mapping) and not known & set(event):
        return detail
    return event


def _unknown(given: Mapping[str, object], known: list[str], kind: str) -> list[str]:
    problems = []
    for name in given:
        if name in known:
            continue
        nearest = difflib.get_close_matches(str(name)[:100], known, n=1, cutoff=0.0)
        problems.append(f"{_shown(name)} is not a {kind}; the nearest is {nearest[0]}")
    return problems


def _value(parameter: Parameter, given: Mapping[str, object]) -> object:
    if parameter.name not in given:
        if parameter.default is REQUIRED:
            message = f"{parameter.name} is missing, expected {parameter.expected}"
            raise ValueError(message)
        return parameter.default
    value = given[parameter.name]
    try:
        return parameter.parse(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        message = f"{parameter.name} is {_shown(value)}, expected {parameter.expected}"
        raise ValueError(message) from None


def _disagreements(values: Mapping[str, object]) -> list[str]:
    cluster, service = values.get("cluster_name"), values.get("service_name")
    if not isinstance(cluster, Resource) or not isinstance(service, Resource):
        return []
    problems = []
    if service.cluster not in (None, cluster.name):
        problems.append(
            f"service_name lies in cluster {service.cluster!r}, cluster_name is {cluster.name!r}"
        )
    if None not in (cluster.region, service.region) and cluster.region != service.region:
        problems.append(f"cluster_name lies in {cluster.region}, service_name in {service.region}")
    return problems


def _settings(values: Mapping[str, object]) -> Settings:
    cluster = cast("Resource", values["cluster_name"])
    service = cast("Resource", values["service_name"])
    return Settings(
        cluster_name=cluster.name,
        service_name=service.name,
        maintain_service_state=cast("bool", values["maintain_service_state"]),
        wait_time_seconds=cast("int", values["wait_time"]),
        protected_tasks=cast("ProtectedTasks", values["protected_tasks"]),
        started_before=cast("datetime | None", values["started_before"]),
        stabilize_timeout_seconds=cast("int", values["stabilize_timeout"]),
        dry_run=cast("bool", values["dry_run"]),
        action=cast("Action", values["action"]),
        region=cluster.region or service.region,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """Section ``awsCredentials``: all optional; empty means boto3's default chain."""

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
    """Sections ``smtpCredentials`` and ``emailNotification`` of a configuration that mails.

    ``secret_id`` names the secret that holds username and password; these are None then.
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

    def __repr__(self) -> str:
        """Show nothing that could be a secret."""
        return f"Mail(host={self.host!r}, port={self.port}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What input.json says. ``mail`` is None when nobody is to be mailed."""

    aws: AwsCredentials
    mail: Mail | None


DEFAULT_SMTP_PORT: Final = 587
_HIGHEST_PORT: Final = 65_535
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
    "emailNotification": ("email_subject", "subject_prefix", "to"),
}


def read_configuration(path: Path) -> Configuration:
    """Read input.json. Raises SettingsError naming every problem, and never a secret's value."""
    try:
        # Editors on Windows may put a byte order mark in front.
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as problem:
        raise SettingsError.of("input.json", [_unreadable(problem)]) from None
    return configuration_from(document)


def _unreadable(problem: Exception) -> str:
    # None of the exceptions' own messages: a decoder's may quote what it could not read.
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


def configuration_from(document: object) -> Configuration:
    """Read the parsed input.json. Raises SettingsError naming every problem."""
    if not isinstance(document, Mapping):
        raise SettingsError.of("input.json", ["it is not an object of sections"])
    problems = _unknown(document, list(_SECTIONS), "section")
    sections = {name: _section(document, name, problems) for name in _SECTIONS}
    aws = AwsCredentials(**_texts(sections["awsCredentials"], "awsCredentials", problems))
    problems += _halves(aws)
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
    problems += [f"{name}: {text}" for text in _unknown(section, list(_SECTIONS[name]), "key")]
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


def _mail(
    smtp: Mapping[str, object], email: Mapping[str, object], problems: list[str]
) -> Mail | None:
    recipients = _recipients(email.get("to"), problems)
    port = _port(smtp.get("port"), problems)
    texts = _texts({k: v for k, v in smtp.items() if k != "port"}, "smtpCredentials", problems)
    subject = _texts({k: v for k, v in email.items() if k != "to"}, "emailNotification", problems)
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
        return [f"smtpCredentials.secret_id is given, and so is {given[0]}: one of them is enough"]
    if len(given) == 1:
        return ["smtpCredentials.username and password belong together, one is missing"]
    return []


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
        # Not even this value is shown: it may be a password in the wrong line.
        problems.append("smtpCredentials.port is not a whole number from 1 to 65535")
        return DEFAULT_SMTP_PORT
    return value
