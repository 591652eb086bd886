"""Secrets, as far as reading them goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret's current value; `created_at` in epoch seconds."""

    name: str
    arn: str
    text: str
    created_at: float
