"""What the environment of the function says of it and of its stack.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TABLE_VARIABLE: Final = "RUN_TABLE"
"""The environment variable by which the stack names its table of run records."""
DEFAULT_TABLE: Final = "ecs-task-recycle-runs"
FUNCTION_VARIABLE: Final = "AWS_LAMBDA_FUNCTION_NAME"
DEFAULT_FUNCTION: Final = "ecs-task-recycle-function"
GUARDIAN_VARIABLE: Final = "GUARDIAN_ARN"
"""The environment variable by which the stack names its state machine; empty: there is none."""
SWEEP_VARIABLE: Final = "SWEEP_ARN"
"""The same for the state machine of sweeps."""
CLUSTERS_VARIABLE: Final = "CLUSTER_NAMES"
EVERY_CLUSTER: Final = "*"
NOTICE_VARIABLES: Final[Mapping[str, str]] = {
    "wait_time": "SWEEP_WAIT_TIME",
    "window": "SWEEP_WINDOW",
    "at_once": "SWEEP_AT_ONCE",
}
TAG_VARIABLE: Final = "RECYCLE_TAG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What the function is called, and what it has beside itself: a table, perhaps a guardian.

    It may work in the clusters with these names, in all of them where there are none. ``notices``
    are the parameters, as an event has them, of the sweeps that events of AWS itself ask for.
    """

    function_name: str
    table_name: str
    guardian_arn: str | None
    sweep_arn: str | None = None
    cluster_names: tuple[str, ...] = ()
    notices: Mapping[str, object] = field(default_factory=dict)


def stack_from(environment: Mapping[str, str]) -> Stack:
    """Read the stack's variables from the function's environment."""
    return Stack(
        function_name=environment.get(FUNCTION_VARIABLE) or DEFAULT_FUNCTION,
        table_name=environment.get(TABLE_VARIABLE) or DEFAULT_TABLE,
        guardian_arn=environment.get(GUARDIAN_VARIABLE) or None,
        sweep_arn=environment.get(SWEEP_VARIABLE) or None,
        cluster_names=_cluster_names(environment.get(CLUSTERS_VARIABLE) or EVERY_CLUSTER),
        notices=_notice_defaults(environment),
    )


def _cluster_names(listed: str) -> tuple[str, ...]:
    names = tuple(filter(None, listed.split(",")))
    return () if EVERY_CLUSTER in names else names


def _notice_defaults(environment: Mapping[str, str]) -> dict[str, object]:
    parameters: dict[str, object] = {
        name: environment[variable]
        for name, variable in NOTICE_VARIABLES.items()
        if environment.get(variable)
    }
    key, _, value = environment.get(TAG_VARIABLE, "").partition("=")
    return parameters | ({"tagged": {key: value}} if key else {})


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
