"""CloudWatch alarms, as far as their state goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm; `state` is OK, ALARM or INSUFFICIENT_DATA since `since` (epoch seconds)."""

    name: str
    state: str
    since: float
    composite: bool = False
