"""IAM, as far as a caller can tell: the action's name, and the text of a denial.

Actions: https://docs.aws.amazon.com/service-authorization/latest/reference/
The text: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from collections.abc import Mapping
from typing import Any

from ecs_emulator.access.identities import Identity
from ecs_emulator.ground.account import Account
from ecs_emulator.ground.errors import ApiError

type Parameters = Mapping[str, Any]

_PREFIXES = {"elbv2": "elasticloadbalancing", "stepfunctions": "states"}
_QUERY_SERVICES = frozenset({"elbv2", "sts", "cloudwatch", "sns"})
"""They say AccessDenied with HTTP 403, the others AccessDeniedException with 400."""


def action_of(service: str, operation: str) -> str:
    """Return the IAM action that an operation needs."""
    return f"{_PREFIXES.get(service, service)}:{operation}"


def expiry(service: str) -> ApiError:
    """Return the error that a caller with keys past their end gets."""
    message = "The security token included in the request is expired"
    if service in _QUERY_SERVICES:
        return ApiError("ExpiredToken", message, status=403)
    return ApiError("ExpiredTokenException", message)


def denial(
    account: Account, service: str, operation: str, parameters: Parameters, *, caller: Identity
) -> ApiError:
    """Return the error that a caller without the permission gets."""
    action = action_of(service, operation)
    resource = resource_of(account, service, operation, parameters)
    where = f" on resource: {resource}" if resource else ""
    message = (
        f"User: {caller.arn} is not authorized to perform: {action}{where} "
        f"because no identity-based policy allows the {action} action"
    )
    if service in _QUERY_SERVICES:
        return ApiError("AccessDenied", message, status=403)
    return ApiError("AccessDeniedException", message)


def resource_of(
    account: Account, service: str, operation: str, parameters: Parameters
) -> str | None:
    """Return the ARN that IAM judges the call by, None where it is the same for all of them."""
    by_service = {
        "dynamodb": _table,
        "secretsmanager": _secret,
        "sts": _role,
        "ecs": _ecs,
        "stepfunctions": _machine_or_execution,
        "sns": _topic,
        "events": _bus,
    }
    if operation == "RegisterScalableTarget":
        return account.arn("application-autoscaling", "scalable-target/*")
    find = by_service.get(service)
    return find(account, operation, parameters) if find else None


def _table(account: Account, _operation: str, parameters: Parameters) -> str:
    return account.arn("dynamodb", f"table/{_last(parameters.get('TableName', '*'))}")


def _secret(_account: Account, _operation: str, parameters: Parameters) -> str:
    return str(parameters.get("SecretId", "*"))


def _role(_account: Account, _operation: str, parameters: Parameters) -> str:
    return str(parameters.get("RoleArn", "*"))


def _topic(_account: Account, _operation: str, parameters: Parameters) -> str:
    return str(parameters.get("TopicArn", "*"))


def _bus(account: Account, _operation: str, parameters: Parameters) -> str:
    return account.arn("events", f"event-bus/{parameters['Entries'][0].get('EventBusName')}")


def _machine_or_execution(_account: Account, _operation: str, parameters: Parameters) -> str:
    return str(parameters.get("executionArn") or parameters.get("stateMachineArn") or "*")


def _ecs(account: Account, operation: str, parameters: Parameters) -> str:
    cluster = _last(parameters.get("cluster") or "default")
    services, tasks = parameters.get("services"), parameters.get("tasks")
    service = parameters.get("service") or (services[0] if services else None)
    task = parameters.get("task") or (tasks[0] if tasks else None)
    if revisions := parameters.get("serviceRevisionArns"):
        return str(revisions[0])
    if operation == "ListTasks":
        return account.arn("ecs", f"container-instance/{cluster}/*")
    if task:
        return account.arn("ecs", f"task/{cluster}/{_last(task)}")
    if service:
        return account.arn("ecs", f"service/{cluster}/{_last(service)}")
    if operation == "DescribeContainerInstances":
        return account.arn("ecs", f"container-instance/{cluster}/*")
    return account.arn("ecs", f"cluster/{cluster}") if operation == "DescribeClusters" else "*"


def _last(reference: str) -> str:
    return str(reference).rsplit("/", 1)[-1]
