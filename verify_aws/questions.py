"""What only an account can tell: each question a small experiment, its answer a sentence."""

import json
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from verify_aws.account import Account, limits_of
from verify_aws.watching import Watched

SLOW_START_SECONDS: Final = 30
COUNT_SECONDS: Final = 10
FADE_SECONDS: Final = 60
VIA: Final = {"via a service": "true", "directly": "false", "never": None}
"""When a session may use ECS, and the value of aws:ViaAWSService for that.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""


def slow_start(account: Account, cluster: str, watched: Watched) -> str:
    """Compare the requests that new tasks get at first with those after the slow start.

    By nginx's own log, without health checks.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
    """
    late = SLOW_START_SECONDS + COUNT_SECONDS
    began_at = watched.in_service[0][0] if watched.in_service else 0.0
    counts = [
        [
            _requests_count(account, cluster, id_, task.at["inService"] + after)
            for after in (0, late)
        ]
        for id_, task in watched.tasks.items()
        if task.at["createdAt"] > began_at and "inService" in task.at
        if task.at.get("stoppingAt", inf) > task.at["inService"] + late + COUNT_SECONDS
    ]
    if not any(map(sum, counts)):
        return "not seen: no request to a new task is in the containers' logs"
    first, then = (sum(each) / len(counts) / COUNT_SECONDS for each in zip(*counts, strict=True))
    return (
        f"{first:.1f} requests a second to a task in its first {COUNT_SECONDS} s as healthy, "
        f"{then:.1f} after {late} s ({len(counts)} tasks, slow start {SLOW_START_SECONDS} s)"
    )


def _requests_count(account: Account, cluster: str, task: str, since: float) -> int:
    pages = account.aws.logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/ecs/{cluster}",
        logStreamNames=[f"task/web/{task}"],
        startTime=int(since * 1000),
        endTime=int((since + COUNT_SECONDS) * 1000),
        filterPattern='"GET /" -"ELB-HealthChecker"',
    )
    return sum(len(page["events"]) for page in pages)


def gateway(account: Account, service: str | None) -> str:
    """Tell how DescribeServices and its revision show a service behind an ECS gateway; reads only.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/gateway-connect-service.html
    """
    ecs = account.aws.ecs
    if "gatewayConnectors" not in ecs.meta.service_model.shape_for("ServiceRevision").members:
        return "not tried: this botocore does not know gateways"
    if service is None:
        return "not tried: no --gateway-service"
    cluster, _, name = service.rpartition("/")
    (found,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
    arns = [each["arn"] for each in found.get("currentServiceRevisions", ())]
    revisions = ecs.describe_service_revisions(serviceRevisionArns=arns)["serviceRevisions"]
    members = "gatewayConnectors", "ecsManagedResources", "loadBalancers"
    shown = [sorted(each.keys() & {*members}) for each in revisions]
    return f"loadBalancers has {len(found['loadBalancers'])} entries; revisions show {shown}"


def inactive(account: Account, cluster: str, service: str) -> str:
    """Tell how a service that was just deleted answers: at first, and in the end."""
    ecs, where = account.aws.ecs, {"cluster": cluster}
    until, states = account.clock.now() + FADE_SECONDS, dict[str, None]()
    while account.clock.now() < until:
        answer = ecs.describe_services(services=[service], **where)
        shown = [each["status"] for each in answer["services"]]
        states |= dict.fromkeys(shown + [each["reason"] for each in answer["failures"]])
        account.clock.sleep(1)
    calls: dict[str, Callable[[], object]] = {
        "ListTasks": lambda: ecs.list_tasks(serviceName=service, **where)["taskArns"],
        "UpdateService": lambda: ecs.update_service(service=service, desiredCount=0, **where),
    }
    told = [f"{name}: {_tried(call)}" for name, call in calls.items()]
    return "; ".join([f"DescribeServices: {', then '.join(states)}", *told])


def via_aws_service(account: Account, cluster: str, role_arn: str) -> str:
    """Tell with which rights to ECS, if any, autoscaling lets a caller set limits again."""
    told = [
        f"rights to ECS {name}: {_tried(partial(_register, account, cluster, role_arn, via))}"
        for name, via in VIA.items()
    ]
    return "; ".join(told)


def _register(account: Account, cluster: str, role_arn: str, via: str | None) -> None:
    """Set the limits of the service `plain` as they are, in a session with these rights alone."""
    actions = ["application-autoscaling:*", "cloudwatch:*"]
    rights: list[dict[str, Any]] = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
    if via is not None:
        condition = {"Bool": {"aws:ViaAWSService": via}}
        rights += [{"Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Condition": condition}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": rights})
    keys = account.aws.sts.assume_role(
        RoleArn=role_arn, RoleSessionName=f"via-{via}", Policy=policy
    )["Credentials"]
    session = boto3.Session(
        region_name=account.region,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    limits: Any = {"MinCapacity": 3, "MaxCapacity": 6, **limits_of(cluster, "plain")}
    session.client("application-autoscaling").register_scalable_target(**limits)


def _tried(call: Callable[[], object]) -> str:
    """Return whether a call is accepted, or how it is refused."""
    try:
        call()
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return "accepted"
