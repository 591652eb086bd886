"""The only module that calls AWS for the engine: pages, batches, failures[] and errors.

Every call names its IAM action in the error it may raise (AwsCallError). Reads may be stale for
seconds after a write; what a write answers is fresh.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import (
    Deployment,
    LoadBalancer,
    PortBinding,
    ScalableTarget,
    Service,
    ServiceEvent,
    Task,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import boto3

    from ecs_task_recycle.clock import Clock

CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 8},
)
DESCRIBE_TASKS_LIMIT: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""
GET_PROTECTION_LIMIT: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html"""
CONCURRENT_UPDATE_DELAYS_SECONDS: Final = (1, 2, 4, 8, 15)

_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
# Application Auto Scaling tries its caller's rights on the service first and answers with this.
# https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_permission_validation.html
_LACKING: Final = re.compile(r"missing the following permissions: \[?([^\]]*)")
_TRANSIENT: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "ServerException",
        "InternalServiceException",
        "InternalFailure",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ConcurrentUpdateException",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
_SERVER_ERROR: Final = 500

NO_TASK_ID: Final = "0" * 32
"""The id of a task that cannot exist, for calls that are to change nothing."""

logger = logging.getLogger(__name__)

type Targets = Mapping[tuple[str, str, int], str]
"""Target health state by (target group ARN, target id, port)."""


class Gateway:
    """AWS as one run sees it: one service of one cluster."""

    def __init__(
        self, session: boto3.Session, clock: Clock, *, cluster_name: str, service_name: str
    ) -> None:
        """Build the clients of a session; nothing is called yet."""
        self.cluster_name = cluster_name
        self.service_name = service_name
        self.region = session.region_name
        self._clock = clock
        self._ecs = session.client("ecs", config=CONFIG)
        self._autoscaling = session.client("application-autoscaling", config=CONFIG)
        self._elbv2 = session.client("elbv2", config=CONFIG)
        self._ssm = session.client("ssm", config=CONFIG)
        self._cloudwatch = session.client("cloudwatch", config=CONFIG)
        self._instance_ids: dict[str, str] = {}

    @property
    def resource_id(self) -> str:
        """Return the name under which Application Auto Scaling knows the service."""
        return f"service/{self.cluster_name}/{self.service_name}"

    def service(self) -> Service | None:
        """Return the service, or None where there is no such cluster or service."""
        try:
            with _translated("ecs:DescribeServices"):
                answer = self._ecs.describe_services(
                    cluster=self.cluster_name, services=[self.service_name]
                )
        except AwsCallError as error:
            if error.code != "ClusterNotFoundException":
                raise
            return None
        _expect_only_missing("ecs:DescribeServices", answer["failures"])
        return _service(answer["services"][0]) if answer["services"] else None

    def task_arns(self) -> tuple[str, ...]:
        """Return the ARNs of the tasks that are meant to run."""
        arns: list[str] = []
        pages = self._ecs.get_paginator("list_tasks").paginate(
            cluster=self.cluster_name, serviceName=self.service_name, desiredStatus="RUNNING"
        )
        with _translated("ecs:ListTasks"):
            for page in pages:
                arns += page["taskArns"]
        return tuple(arns)

    def tasks(self, arns: Sequence[str]) -> dict[str, Task]:
        """Return the tasks that ECS still knows, by ARN; it forgets an hour after the stop."""
        described: list[Any] = []
        for start in range(0, len(arns), DESCRIBE_TASKS_LIMIT):
            batch = list(arns[start : start + DESCRIBE_TASKS_LIMIT])
            with _translated("ecs:DescribeTasks"):
                answer = self._ecs.describe_tasks(cluster=self.cluster_name, tasks=batch)
            _expect_only_missing("ecs:DescribeTasks", answer["failures"])
            described += answer["tasks"]
        self._learn_instances(described)
        return {each["taskArn"]: _task(each, self._instance_ids) for each in described}

    def _learn_instances(self, described: Iterable[Any]) -> None:
        """Look up the EC2 instances behind tasks that share their instance's address."""
        unknown = {
            each["containerInstanceArn"]
            for each in described
            if "containerInstanceArn" in each and _shares_ports(each)
        } - set(self._instance_ids)
        for start in range(0, len(unknown), DESCRIBE_TASKS_LIMIT):
            batch = sorted(unknown)[start : start + DESCRIBE_TASKS_LIMIT]
            with _translated("ecs:DescribeContainerInstances"):
                answer = self._ecs.describe_container_instances(
                    cluster=self.cluster_name, containerInstances=batch
                )
            for each in answer["containerInstances"]:
                self._instance_ids[each["containerInstanceArn"]] = each["ec2InstanceId"]

    def targets(self, load_balancers: Iterable[LoadBalancer]) -> Targets:
        """Return the health of every target in the groups of the service."""
        states: dict[tuple[str, str, int], str] = {}
        groups = {arn for each in load_balancers for arn in each.target_group_arns}
        for arn in sorted(groups):
            with _translated("elasticloadbalancing:DescribeTargetHealth"):
                answer = self._elbv2.describe_target_health(TargetGroupArn=arn)
            for each in answer["TargetHealthDescriptions"]:
                key = (arn, each["Target"]["Id"], each["Target"].get("Port", 0))
                states[key] = each["TargetHealth"]["State"]
        return states

    def scalable_target(self) -> ScalableTarget | None:
        """Return the autoscaling limits, or None for a service without autoscaling."""
        with _translated("application-autoscaling:DescribeScalableTargets"):
            answer = self._autoscaling.describe_scalable_targets(
                ServiceNamespace="ecs",
                ScalableDimension="ecs:service:DesiredCount",
                ResourceIds=[self.resource_id],
            )
        for each in answer["ScalableTargets"]:
            return ScalableTarget(
                min_capacity=each["MinCapacity"], max_capacity=each["MaxCapacity"]
            )
        return None

    def set_limits(self, *, min_capacity: int | None, max_capacity: int | None) -> None:
        """Write the autoscaling limits that are given; the others stay.

        Autoscaling moves the live desired count into the limits on every such call.
        https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
        """
        limits = {"MinCapacity": min_capacity, "MaxCapacity": max_capacity}
        given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}

        def register() -> None:
            with _translated("application-autoscaling:RegisterScalableTarget"):
                self._autoscaling.register_scalable_target(
                    ServiceNamespace="ecs",
                    ScalableDimension="ecs:service:DesiredCount",
                    ResourceId=self.resource_id,
                    **given,
                )

        # botocore does not retry this one by itself.
        patiently(
            register,
            self._clock,
            delays_seconds=CONCURRENT_UPDATE_DELAYS_SECONDS,
            worth_it=lambda error: error.code == "ConcurrentUpdateException",
        )

    def set_desired_count(self, desired_count: int) -> None:
        """Write the desired count; this starts no deployment."""
        with _translated("ecs:UpdateService"):
            self._ecs.update_service(
                cluster=self.cluster_name, service=self.service_name, desiredCount=desired_count
            )

    def stop_task(self, arn: str, *, reason: str) -> None:
        """Ask ECS to stop a task; one that is gone already is no error.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
        """
        try:
            with _translated("ecs:StopTask"):
                self._ecs.stop_task(cluster=self.cluster_name, task=arn, reason=reason)
        except AwsCallError as error:
            if error.code != "InvalidParameterException" or "not found" not in error.sentence:
                raise

    def protections(self, arns: Sequence[str]) -> dict[str, datetime | None]:
        """Return when the scale-in protection of each task ends, None where there is none.

        A task that is gone, or stopping, is not in the answer.
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html
        """
        ends: dict[str, datetime | None] = {}
        for start in range(0, len(arns), GET_PROTECTION_LIMIT):
            batch = list(arns[start : start + GET_PROTECTION_LIMIT])
            with _translated("ecs:GetTaskProtection"):
                answer = self._ecs.get_task_protection(cluster=self.cluster_name, tasks=batch)
            _expect_only_gone("ecs:GetTaskProtection", answer["failures"])
            ends |= {each["taskArn"]: _protected_until(each) for each in answer["protectedTasks"]}
        return ends

    def clear_protection(self, arn: str) -> None:
        """Clear the scale-in protection of a task; one that is gone is no error.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskProtection.html
        """
        with _translated("ecs:UpdateTaskProtection"):
            answer = self._ecs.update_task_protection(
                cluster=self.cluster_name, tasks=[arn], protectionEnabled=False
            )
        _expect_only_gone("ecs:UpdateTaskProtection", answer["failures"])

    def alarms_in_alarm(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return which of the named alarms are in ALARM.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
        """
        if not names:
            return ()
        with _translated("cloudwatch:DescribeAlarms"):
            answer = self._cloudwatch.describe_alarms(
                AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
        alarms = [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
        return tuple(sorted(each["AlarmName"] for each in alarms if each["StateValue"] == "ALARM"))

    def create_parameter(self, name: str, value: str) -> bool:
        """Create an SSM parameter; False where one of that name exists, which stays as it is."""
        try:
            with _translated("ssm:PutParameter"):
                self._ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=False)
        except AwsCallError as error:
            if error.code != "ParameterAlreadyExists":
                raise
            return False
        return True

    def overwrite_parameter(self, name: str, value: str) -> None:
        """Write the value of an SSM parameter of one's own."""
        with _translated("ssm:PutParameter"):
            self._ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    def read_parameter(self, name: str) -> str | None:
        """Return the value of an SSM parameter, or None where there is none."""
        try:
            with _translated("ssm:GetParameter"):
                return self._ssm.get_parameter(Name=name)["Parameter"]["Value"]
        except AwsCallError as error:
            if error.code != "ParameterNotFound":
                raise
            return None

    def delete_parameter(self, name: str) -> None:
        """Delete an SSM parameter; one that is gone already is no error."""
        try:
            with _translated("ssm:DeleteParameter"):
                self._ssm.delete_parameter(Name=name)
        except AwsCallError as error:
            if error.code != "ParameterNotFound":
                raise

    def probe_stop_task(self, service_arn: str) -> None:
        """Call StopTask on a task that cannot exist: denied, or refused, and harmless."""
        head = service_arn.split(":service/", maxsplit=1)[0]
        self.stop_task(f"{head}:task/{self.cluster_name}/{NO_TASK_ID}", reason="permission check")

    def probe_put_parameter(self, name: str) -> None:
        """Call PutParameter with a pattern that its value breaks: denied, or refused."""

        def put() -> None:
            with _translated("ssm:PutParameter"):
                self._ssm.put_parameter(
                    Name=name, Value="x", Type="String", AllowedPattern="^never$", Overwrite=False
                )

        _refused(put)

    def probe_update_service(self) -> None:
        """Call UpdateService with a count that ECS always refuses: denied, or harmless."""
        _refused(lambda: self.set_desired_count(-1))

    def probe_register_scalable_target(self) -> None:
        """Call RegisterScalableTarget with limits that it always refuses: minimum above maximum."""
        _refused(lambda: self.set_limits(min_capacity=1, max_capacity=0))


def patiently(
    call: Callable[[], None],
    clock: Clock,
    *,
    delays_seconds: Iterable[float],
    worth_it: Callable[[AwsCallError], bool],
) -> None:
    """Make a call again after each delay while its error is worth it; raise the last error."""
    for delay_seconds in delays_seconds:
        error = _failure(call)
        if error is None:
            return
        if not worth_it(error):
            raise error
        logger.warning("Trying again in %g s: %s", delay_seconds, error, extra=dict(error.facts))
        clock.sleep(delay_seconds)
    call()


def _failure(call: Callable[[], None]) -> AwsCallError | None:
    try:
        call()
    except AwsCallError as error:
        return error
    return None


def _refused(call: Callable[[], None]) -> None:
    """Make a call whose only possible answers are a refusal or a denial; raise the denial."""
    try:
        call()
    except AwsCallError as error:
        if error.denied or error.transient:
            raise


@contextmanager
def _translated(action: str) -> Iterator[None]:
    """Turn what botocore raises into an AwsCallError that names the IAM action."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(action, error) from error
    except (HTTPClientError, BotoConnectionError) as error:
        raise AwsCallError.of(action, type(error).__name__, str(error), transient=True) from error
    except BotoCoreError as error:
        raise AwsCallError.of(action, type(error).__name__, str(error)) from error


def _from_answer(action: str, error: ClientError) -> AwsCallError:
    code = error.response.get("Error", {}).get("Code", "Unknown")
    message = error.response.get("Error", {}).get("Message", "")
    if error.operation_name == "AssumeRole":
        # The session assumes its role at the first call, whatever that is.
        action = "sts:AssumeRole"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    lacking = _LACKING.search(message)
    if lacking:
        actions = re.findall(r"[a-z0-9-]+:[A-Za-z]+", lacking.group(1)) or [action]
        return AwsCallError.of(action, code, message, lacking_actions=actions)
    if code in _DENIED:
        return AwsCallError.of(action, code, message, lacking_actions=[action])
    transient = code in _TRANSIENT or status >= _SERVER_ERROR
    return AwsCallError.of(action, code, message, transient=transient)


def _expect_only_gone(action: str, failures: Sequence[Any]) -> None:
    """Likewise for calls on service tasks, where a task that is stopping is not valid any more."""
    _expect_only_missing(action, [each for each in failures if each["reason"] != "TASK_NOT_VALID"])


def _protected_until(row: Any) -> datetime | None:  # noqa: ANN401 - an answer of botocore's
    return row.get("expirationDate") if row["protectionEnabled"] else None


def _expect_only_missing(action: str, failures: Sequence[Any]) -> None:
    """Check the failures[] of a 200 answer: a thing that is not there is told by its absence.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
    """
    for failure in failures:
        if failure.get("reason") != "MISSING":
            detail = failure.get("detail", "")
            raise AwsCallError.of(
                action, failure.get("reason", "Unknown"), f"{failure.get('arn')} {detail}".strip()
            )


def _service(described: Any) -> Service:  # noqa: ANN401 - an answer of botocore's
    return Service(
        arn=described["serviceArn"],
        status=described["status"],
        scheduling_strategy=described.get("schedulingStrategy", "REPLICA"),
        controller=described.get("deploymentController", {}).get("type", "ECS"),
        desired_count=described["desiredCount"],
        deployments=tuple(_deployment(each) for each in described.get("deployments", ())),
        load_balancers=tuple(
            _load_balancer(each)
            for each in described.get("loadBalancers", ())
            if "targetGroupArn" in each
        ),
        classic_load_balancers=tuple(
            each["loadBalancerName"]
            for each in described.get("loadBalancers", ())
            if each.get("loadBalancerName")
        ),
        alarm_names=_alarm_names(described.get("deploymentConfiguration", {}).get("alarms", {})),
        events=tuple(
            ServiceEvent(id=each["id"], created_at=each["createdAt"], message=each["message"])
            for each in described.get("events", ())
        ),
    )


def _alarm_names(alarms: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    return tuple(alarms.get("alarmNames", ())) if alarms.get("enable") else ()


def _deployment(described: Any) -> Deployment:  # noqa: ANN401 - an answer of botocore's
    return Deployment(
        id=described["id"],
        status=described["status"],
        rollout_state=described.get("rolloutState"),
        rollout_reason=described.get("rolloutStateReason"),
        uses_vpc_lattice=bool(described.get("vpcLatticeConfigurations")),
    )


def _load_balancer(described: Any) -> LoadBalancer:  # noqa: ANN401 - an answer of botocore's
    alternate = described.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
    return LoadBalancer(
        target_group_arns=(described["targetGroupArn"], *([alternate] if alternate else [])),
        container_name=described.get("containerName"),
        container_port=described["containerPort"],
    )


def _task(described: Any, instance_ids: Mapping[str, str]) -> Task:  # noqa: ANN401 - botocore's
    containers = described.get("containers", ())
    return Task(
        arn=described["taskArn"],
        last_status=described["lastStatus"],
        desired_status=described["desiredStatus"],
        health_status=described.get("healthStatus", "UNKNOWN"),
        created_at=described.get("createdAt"),
        started_at=described.get("startedAt"),
        stop_code=described.get("stopCode"),
        stopped_reason=described.get("stoppedReason"),
        container_reason=next((each["reason"] for each in containers if each.get("reason")), None),
        exit_code=_exit_code(containers),
        ip_address=_ip_address(described),
        instance_id=instance_ids.get(described.get("containerInstanceArn", "")),
        port_bindings=tuple(
            PortBinding(
                container_name=container.get("name"),
                container_port=binding["containerPort"],
                host_port=binding["hostPort"],
            )
            for container in containers
            for binding in container.get("networkBindings", ())
            if "hostPort" in binding and "containerPort" in binding
        ),
    )


def _exit_code(containers: Sequence[Any]) -> int | None:
    """Return the exit code that tells most: the first that is not 0, else the first."""
    codes = [each["exitCode"] for each in containers if each.get("exitCode") is not None]
    return next((code for code in codes if code), codes[0] if codes else None)


def _shares_ports(described: Any) -> bool:  # noqa: ANN401 - an answer of botocore's
    """Whether a task is reached by ports of its instance (bridge and host networking)."""
    containers = described.get("containers", ())
    return any(each.get("networkBindings") for each in containers)


def _ip_address(described: Any) -> str | None:  # noqa: ANN401 - an answer of botocore's
    """Return the address of a task with a network interface of its own (awsvpc)."""
    details = (
        detail
        for attachment in described.get("attachments", ())
        for detail in attachment.get("details", ())
    )
    return next((each["value"] for each in details if each["name"] == "privateIPv4Address"), None)
