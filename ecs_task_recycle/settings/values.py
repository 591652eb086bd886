"""Readers for the values of an event's parameters: each returns a typed value or raises.

ValueError, TypeError, KeyError or OverflowError means that the value is not what is expected.
Readers accept strings where EventBridge input templates put values into quotes, nothing vaguer.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

# Names: up to 255 letters, digits, underscores and hyphens, for clusters and services alike.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
_NAME = r"[A-Za-z0-9_-]{1,255}"
_ARN_HEAD = r"arn:(?P<partition>[a-z-]+):ecs:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
CLUSTER_ARN = re.compile(rf"{_ARN_HEAD}:cluster/(?P<cluster>{_NAME})")
# Service ARNs made before the long format carry no cluster name.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
SERVICE_ARN = re.compile(rf"{_ARN_HEAD}:service/(?:(?P<cluster>{_NAME})/)?(?P<service>{_NAME})")
# The same holds for tasks; their ids were UUIDs then.
# A service together with its cluster, as people write it and as AWS Health does.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
_IN_CLUSTER = re.compile(rf"(?P<cluster>{_NAME})[/|](?P<service>{_NAME})")
# Both kinds in a task definition: a secret's ARN ends in a random part, a parameter's has none.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html
_SECRET = re.compile(
    r"(arn:[a-z-]+:(secretsmanager|ssm):[a-z0-9-]+:[0-9]{12}:(secret:|parameter/))?"
    r"[A-Za-z0-9/_+=.@-]{1,1024}"
)
_TAG_LENGTHS: Final = (128, 256)
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html"""
_TAG_VALUES: Final = 50
_TASK_ID = "[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TASK = re.compile(rf"(?:{_ARN_HEAD}:task/(?:(?P<cluster>{_NAME})/)?)?(?P<task>{_TASK_ID})")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
_ALARM_NAME_LENGTH = 255
# Long enough for any ARN, short enough for a log line.
_REPR: Final = reprlib.Repr(maxstring=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where something lies, as far as its ARN tells; a bare name tells nothing.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """

    partition: str | None = None
    region: str | None = None
    account: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Located):
    """A cluster or service as the event names it."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTask(Located):
    """A task as the event names it."""

    id: str

    @property
    def arn_head(self) -> list[str | None]:
        """The first five parts of its ARN."""
        return ["arn", self.partition, "ecs", self.region, self.account]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursTag:
    """The key of a tag whose value is a service's own number of hours."""

    tag: str


class UnusableEntryError(ValueError):
    """One entry of a list is not what is expected."""

    def __init__(self, entry: object) -> None:
        """Take the entry."""
        super().__init__(entry)
        self.entry = entry


class UnusableHereError(ValueError):
    """A value is as expected, but this machine cannot use it; says why."""


def shown(value: object) -> str:
    """Return a value for an error's sentence: one printable line, cut where it is long."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python refuses to write out integers of more than 4300 digits.
        return f"{type(value).__name__} too large to show"


def text(value: object) -> str:
    """Read a string."""
    if not isinstance(value, str):
        raise TypeError
    return value


def boolean(value: object) -> bool:
    """Read true or false, also in quotes."""
    return value if isinstance(value, bool) else {"true": True, "false": False}[text(value)]


def one_of[Choice: StrEnum](choices: type[Choice]) -> Callable[[object], Choice]:
    """Return a reader for the words of an enumeration."""

    def parse(value: object) -> Choice:
        return choices(text(value))

    return parse


def whole(lowest: int, highest: int) -> Callable[[object], int]:
    """Return a reader for whole numbers in a range, also in quotes."""

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError
        return value

    return parse


def positive(highest: float) -> Callable[[object], float]:
    """Return a reader for numbers above 0, also in quotes."""

    def parse(value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError
        if not 0 < value <= highest:
            raise ValueError
        return float(value)

    return parse


def hours(highest: float) -> Callable[[object], float | HoursTag]:
    """Return a reader for hours: a number above 0, or the tag that says it."""
    number = positive(highest)

    def parse(value: object) -> float | HoursTag:
        if not isinstance(value, dict):
            return number(value)
        if value.keys() != {"tag"}:
            raise ValueError
        return HoursTag(tag=_tag(value["tag"], 0))

    return parse


def instant(value: object) -> datetime:
    """Read an ISO 8601 instant with a zone; return it in UTC."""
    read = datetime.fromisoformat(text(value))
    if read.tzinfo is None:
        raise ValueError
    return read.astimezone(UTC)


def list_of[Entry](
    parse: Callable[[object], Entry], longest: int
) -> Callable[[object], tuple[Entry, ...]]:
    """Return a reader for lists; it drops repetitions and raises UnusableEntryError."""

    def parse_list(value: object) -> tuple[Entry, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= longest:
            raise ValueError
        entries: dict[Entry, None] = {}
        for each in value:
            try:
                entries[parse(each)] = None
            except (ValueError, TypeError):
                raise UnusableEntryError(each) from None
        return tuple(entries)

    return parse_list


def named_task(value: object) -> NamedTask:
    """Read the id or ARN of a task."""
    match = _TASK.fullmatch(text(value))
    if match is None:
        raise ValueError
    return NamedTask(id=match["task"], **_place(match))


def alarm_name(value: object) -> str:
    """Read the name of a CloudWatch alarm."""
    name = text(value)
    if not name.isprintable() or not 1 <= len(name) <= _ALARM_NAME_LENGTH:
        raise ValueError
    return name


def resource(arn: re.Pattern[str], kind: str) -> Callable[[object], Resource]:
    """Return a reader for the name or ARN of a cluster or service."""

    def parse(value: object) -> Resource:
        name_or_arn = text(value)
        if re.fullmatch(_NAME, name_or_arn):
            return Resource(name=name_or_arn)
        match = arn.fullmatch(name_or_arn)
        if match is None:
            raise ValueError
        return Resource(name=match[kind], **_place(match))

    return parse


def _place(arn: re.Match[str]) -> dict[str, str | None]:
    return {name: arn[name] for name in ("partition", "region", "account", "cluster")}


def service_anywhere(value: object) -> Resource:
    """Read a service: its name, cluster/service, cluster|service, or its ARN."""
    match = _IN_CLUSTER.fullmatch(text(value))
    if match is not None:
        return Resource(name=match["service"], cluster=match["cluster"])
    return resource(SERVICE_ARN, "service")(value)


def tags(value: object) -> dict[str, tuple[str, ...]]:
    """Read tags: to each key the value, or the values, of which a service must have one."""
    if not isinstance(value, dict) or not 1 <= len(value) <= _TAG_VALUES:
        raise ValueError
    read = {}
    for key, wanted in value.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        try:
            read[_tag(key, 0)] = tuple(dict.fromkeys(_tag(each, 1) for each in values))
        except (ValueError, TypeError):
            raise UnusableEntryError({key: wanted}) from None
        if not 1 <= len(values) <= _TAG_VALUES:
            raise UnusableEntryError({key: wanted})
    return read


def _tag(value: object, part: int) -> str:
    word = text(value)
    if not word.isprintable() or not len(word) <= _TAG_LENGTHS[part] or not (word or part):
        raise ValueError
    return word


def secret(value: object) -> str:
    """Read the ARN or name of a secret or of a parameter."""
    if _SECRET.fullmatch(text(value)) is None:
        raise ValueError
    return text(value)


def run_name(value: object) -> str:
    """Read the id of a sweep."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", text(value)) is None:
        raise ValueError
    return text(value)


def zone_of(name: str | None) -> ZoneInfo | None:
    """Return the time zone with an IANA name; None if this machine does not know it.

    The data come from the operating system, in Lambda from Amazon Linux 2023. An image without them
    knows no zone. https://docs.python.org/3.13/library/zoneinfo.html#data-sources
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None
