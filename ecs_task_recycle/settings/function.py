"""What the environment of the function says of it and of its stack.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TABLE_VARIABLE: Final = "RUN_TABLE"
"""The environment variable by which the stack names its table of run records."""
DEFAULT_TABLE: Final = "ecs-task-recycle-runs"
FUNCTION_VARIABLE: Final = "AWS_LAMBDA_FUNCTION_NAME"
DEFAULT_FUNCTION: Final = "ecs-task-recycle-function"
GUARDIAN_VARIABLE: Final = "GUARDIAN_ARN"
"""The environment variable by which the stack names its state machine; empty: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What the function is called, and what it has beside itself: a table, perhaps a guardian."""

    function_name: str
    table_name: str
    guardian_arn: str | None


def stack_from(environment: Mapping[str, str]) -> Stack:
    """Read the stack's variables from the function's environment."""
    return Stack(
        function_name=environment.get(FUNCTION_VARIABLE) or DEFAULT_FUNCTION,
        table_name=environment.get(TABLE_VARIABLE) or DEFAULT_TABLE,
        guardian_arn=environment.get(GUARDIAN_VARIABLE) or None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionContext:
    """Where the function, its log and its guardian are, for links and commands.

    ``service_region`` is that of the service; the function's own may be another one. None: unknown,
    so there is no link.
    """

    region: str | None = None
    name: str | None = None
    log_group: str | None = None
    service_region: str | None = None
    execution_arn: str | None = None


def function_context_from(environment: Mapping[str, str]) -> FunctionContext:
    """Read where the function is from the variables that Lambda sets."""
    return FunctionContext(
        region=environment.get("AWS_REGION"),
        name=stack_from(environment).function_name,
        log_group=environment.get("AWS_LAMBDA_LOG_GROUP_NAME"),
    )
