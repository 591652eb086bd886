"""What only an account can tell: each question a small experiment, its answer a sentence."""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.before.permissions import Permissions, probe_writes
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import ScalableTarget
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.settings.event import settings_from_event
from verify_aws.account import NAME, Account
from verify_aws.watching import Watched

SIGNAL: Final = re.compile(r"signal \d+ \(\w+\) received")
SLOW_START_SECONDS: Final = 30
COUNT_SECONDS: Final = 10
FADE_SECONDS: Final = 120
VIA: Final = {"via a service": "true", "directly": "false", "never": ""}
"""When a session may use ECS, and the value of aws:ViaAWSService for that.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""
PLAIN: Final = {"cluster_name": NAME, "service_name": "plain"}
LIMITS: Final = ScalableTarget(min_capacity=3, max_capacity=6)


def stop_signals(account: Account, watched: Iterable[Watched]) -> str:
    """Note when the containers said in their log that they were told to stop; tell how many did."""
    tasks = {id_: at for each in watched for id_, at in each.tasks.items()}
    count = 0
    for event in _events(account, filterPattern="signal"):
        task = tasks.get(event["logStreamName"].rpartition("/")[2])
        if task is not None and SIGNAL.search(event["message"]):
            task.setdefault("signal", event["timestamp"] / 1000)
            count += 1
    return f"{count} found"


def slow_start(account: Account, watched: Watched) -> str:
    """Compare the requests that new tasks get at first with those after the slow start.

    By nginx's own log, without health checks.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
    """
    late = SLOW_START_SECONDS + COUNT_SECONDS
    began_at = watched.in_service[0][0] if watched.in_service else 0.0
    counts = [
        [len(_requests(account, id_, at["inService"] + after)) for after in (0, late)]
        for id_, at in watched.tasks.items()
        if at["createdAt"] > began_at and "inService" in at
        if at.get("stoppingAt", inf) > at["inService"] + late + COUNT_SECONDS
    ]
    if not any(map(sum, counts)):
        return "not seen: no request to a new task is in the containers' logs"
    first, then = (sum(each) / len(counts) / COUNT_SECONDS for each in zip(*counts, strict=True))
    return (
        f"{first:.1f} requests a second to a task in its first {COUNT_SECONDS} s as healthy, "
        f"{then:.1f} after {late} s ({len(counts)} tasks, slow start {SLOW_START_SECONDS} s)"
    )


def _requests(account: Account, task: str, since: float) -> list[Any]:
    return _events(account, logStreamNames=[f"task/web/{task}"], startTime=int(since * 1000),
                   endTime=int((since + COUNT_SECONDS) * 1000),
                   filterPattern='"GET /" -"ELB-HealthChecker"')  # fmt: skip


def _events(account: Account, **which: Any) -> list[Any]:  # noqa: ANN401 - boto3's
    logs = account.aws.logs.get_paginator("filter_log_events")
    return [*logs.paginate(logGroupName=f"/ecs/{NAME}", **which).search("events[]")]


def gateway(account: Account, service: str | None) -> str:
    """Tell how DescribeServices and its revision show the load balancers that ECS manages.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/gateway-connect-service.html
    """
    if service is None:
        return "not tried: no --gateway-service"
    ecs = account.aws.ecs
    cluster, _, name = service.rpartition("/")
    (found,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
    arns = [each["arn"] for each in found.get("currentServiceRevisions", ())]
    revisions = ecs.describe_service_revisions(serviceRevisionArns=arns)["serviceRevisions"]
    members = "gatewayConnectors", "ecsManagedResources", "loadBalancers"
    shown = [sorted(each.keys() & {*members}) for each in revisions]
    return f"loadBalancers has {len(found['loadBalancers'])} entries; revisions show {shown}"


def inactive(account: Account) -> str:
    """Delete the service `plain`; tell how it answers then: at first, and in the end."""
    ecs, where, service = account.aws.ecs, {"cluster": NAME}, PLAIN["service_name"]
    ecs.delete_service(service=service, force=True, **where)
    until, states = account.clock.now() + FADE_SECONDS, dict[str, None]()
    while account.clock.now() < until:
        answer = ecs.describe_services(services=[service], **where)
        shown = [each["status"] for each in answer["services"]]
        states |= dict.fromkeys(shown + [each["reason"] for each in answer["failures"]])
        account.clock.sleep(1)
    lists = _tried(partial(ecs.list_tasks, serviceName=service, **where))
    writes = _tried(partial(ecs.update_service, service=service, desiredCount=0, **where))
    told = f"DescribeServices: {', then '.join(states)}"
    return f"{told}; ListTasks: {lists}; UpdateService: {writes}"


def via_aws_service(account: Account, role_arn: str) -> str:
    """Tell with which rights to ECS, if any, autoscaling lets a caller set limits again."""
    told = []
    for name, via in VIA.items():
        rights: dict[str, Any] = {"application-autoscaling:*": {}, "cloudwatch:*": {}}
        if via:
            rights["ecs:*"] = {"Condition": {"Bool": {"aws:ViaAWSService": via}}}
        session = _session(account, role_arn, rights, name=via)
        own = Gateway(session, account.clock, **PLAIN)
        outcome = _tried(partial(own.set_limits, min_capacity=3, max_capacity=6))
        told.append(f"rights to ECS {name}: {outcome}")
    return "; ".join(told)


def authorisation_first(account: Account, role_arn: str, machine_arn: str) -> str:
    """Tell which permission probes of the function are denied without rights, not refused.

    The function takes it that AWS authorises a call before it validates it: decision 4.
    """
    # A right that no probe needs: a session policy must not be empty.
    session = _session(account, role_arn, {"sts:GetCallerIdentity": {}}, name="probes")
    settings = settings_from_event({**PLAIN, "protected_tasks": "stop"})
    service = Gateway(account.session, account.clock, **PLAIN).service()
    own, permissions = Gateway(session, account.clock, **PLAIN), Permissions()
    probe_writes(own, permissions, settings, service=service, target=LIMITS)  # type: ignore[arg-type]
    run_table = RunTable(session, name=NAME, service=own.name)
    permissions.trying(("dynamodb:UpdateItem",), run_table.probe_write)
    guardian = Guardian(session, machine_arn=machine_arn, run_id="probe", names=PLAIN)
    permissions.trying(("states:StartExecution",), guardian.probe_start)
    permissions.trying(("states:DescribeExecution",), guardian.probe_describe)
    denied, refused = permissions.lacking or "none", permissions.allowed or "none"
    return f"denied: {denied}; refused for their arguments: {refused}"


def _session(account: Account, role_arn: str, rights: dict[str, Any], *, name: str) -> Any:  # noqa: ANN401
    """Return a session of the role with these rights alone: actions, and what else is said."""
    statements = [{"Effect": "Allow", "Action": action, "Resource": "*", **more}
                  for action, more in rights.items()]  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    keys = account.aws.sts.assume_role(
        RoleArn=role_arn, RoleSessionName=f"verify-{name}", Policy=policy
    )["Credentials"]
    return boto3.Session(
        region_name=account.region,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def _tried(call: Callable[[], object]) -> str:
    """Return whether a call is accepted, or how it is refused."""
    try:
        call()
    except (AwsCallError, ClientError) as error:
        return str(error)
    return "accepted"
