"""IAM policies, as far as the role's goes: which actions are there, and is a call allowed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

type Statement = Mapping[str, Any]


def listed(value: str | Sequence[str]) -> list[str]:
    """Return what may stand alone or in a list as a list."""
    return [value] if isinstance(value, str) else list(value)


def actions_of(statements: Iterable[Statement]) -> set[str]:
    """Return every action that is allowed on anything."""
    return {action for each in statements for action in listed(each["Action"])}


def allows(
    statements: Iterable[Statement], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    """Return whether one of the statements allows the action on the resource."""
    return any(
        action in listed(each["Action"])
        and any(_arn_like(resource, pattern) for pattern in listed(each["Resource"]))
        and _holds(each.get("Condition", {}), context)
        for each in statements
    )


def may(statements: Iterable[Statement], action: str) -> bool:
    """Return whether one of the statements allows the action on anything."""
    return any(fnmatchcase(action, each) for each in actions_of(statements))


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        key in context and any(_matches(operator, context[key], one) for one in listed(wanted))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _matches(operator: str, value: str, wanted: str) -> bool:
    if operator in {"StringEquals", "Bool"}:
        return value == wanted
    if operator in {"ArnLike", "ArnEquals"}:
        return _arn_like(value, wanted)
    raise AssertionError(f"The operator {operator} is not known here.")


def _arn_like(arn: str, pattern: str) -> bool:
    """Compare part by part: an asterisk reaches over colons in the last part alone."""
    if pattern == "*":
        return True
    parts, patterns = arn.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def actions_in(source: str) -> set[str]:
    """Return the actions that a module names, each as a text of its own."""
    return set(re.findall(r'"([a-z][a-z0-9-]*:[A-Z][A-Za-z]+)"', source))
