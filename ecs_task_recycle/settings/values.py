"""How the values of an event's parameters are read: each by a function that raises for nonsense.

ValueError, TypeError, KeyError or OverflowError: the value is not what is expected. Strings are
accepted where EventBridge input templates put values into quotes, nothing vaguer.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast
from zoneinfo import ZoneInfo

# Names: up to 255 letters, digits, underscores and hyphens, for clusters and services alike.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
_NAME = r"[A-Za-z0-9_-]{1,255}"
_ARN_HEAD = r"arn:[a-z-]+:ecs:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
CLUSTER_ARN = re.compile(rf"{_ARN_HEAD}:cluster/(?P<cluster>{_NAME})")
# Service ARNs made before the long format carry no cluster name.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
SERVICE_ARN = re.compile(rf"{_ARN_HEAD}:service/(?:(?P<cluster>{_NAME})/)?(?P<service>{_NAME})")
# The same holds for tasks; their ids were UUIDs then.
_TASK_ID = "[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TASK = re.compile(rf"(?:{_ARN_HEAD}:task/(?:(?P<cluster>{_NAME})/)?)?(?P<task>{_TASK_ID})")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
_ALARM_NAME_LENGTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A cluster or service as the event named it: its name, and what its ARN adds."""

    name: str
    region: str | None = None
    account: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTask:
    """A task as the event named it: its id, and what its ARN adds."""

    id: str
    region: str | None = None
    account: str | None = None
    cluster: str | None = None


class UnusableEntryError(ValueError):
    """One entry of a list is not what is expected."""

    def __init__(self, entry: object) -> None:
        """Take the entry."""
        super().__init__(entry)
        self.entry = entry


def boolean(value: object) -> bool:
    """Read true or false, also in quotes."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[cast("str", value)]


def one_of[Choice: StrEnum](choices: type[Choice]) -> Callable[[object], Choice]:
    """Return how to read one of the words of an enumeration."""

    def parse(value: object) -> Choice:
        return choices(cast("str", value))

    return parse


def whole(lowest: int, highest: int) -> Callable[[object], int]:
    """Return how to read a whole number in a range, also in quotes."""

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
            value = int(value)
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return parse


def positive(highest: float) -> Callable[[object], float]:
    """Return how to read a number above 0, also in quotes."""

    def parse(value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
            value = float(value)
        if type(value) not in (int, float) or not 0 < cast("float", value) <= highest:
            raise ValueError
        return float(cast("float", value))

    return parse


def instant(value: object) -> datetime:
    """Read an ISO 8601 instant with a zone; the result is UTC."""
    read = datetime.fromisoformat(cast("str", value))
    if read.tzinfo is None:
        raise ValueError
    return read.astimezone(UTC)


def list_of[Entry](
    parse: Callable[[object], Entry], longest: int
) -> Callable[[object], tuple[Entry, ...]]:
    """Return how to read a list without repetitions; raises UnusableEntryError for an entry."""

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
    match = _TASK.fullmatch(cast("str", value))
    if match is None:
        raise ValueError
    groups = match.groupdict()
    return NamedTask(
        id=groups["task"],
        region=groups["region"],
        account=groups["account"],
        cluster=groups["cluster"],
    )


def alarm_name(value: object) -> str:
    """Read the name of a CloudWatch alarm."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError
    if not 1 <= len(value) <= _ALARM_NAME_LENGTH:
        raise ValueError
    return value


def resource(arn: re.Pattern[str], kind: str) -> Callable[[object], Resource]:
    """Return how to read the name or ARN of a cluster or service."""

    def parse(value: object) -> Resource:
        text = cast("str", value)
        if re.fullmatch(_NAME, text):
            return Resource(name=text)
        match = arn.fullmatch(text)
        if match is None:
            raise ValueError
        groups = match.groupdict()
        return Resource(
            name=groups[kind],
            region=groups["region"],
            account=groups["account"],
            cluster=groups["cluster"],
        )

    return parse


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
