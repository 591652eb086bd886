"""Makes every AWS call on the service, and handles pages, batches, failures[] and errors.

A call that fails raises AwsCallError with its IAM action. Reads may be stale for seconds after a
write; a write's own answer is current.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from ecs_task_recycle.aws.errors import expect_only_gone, expect_only_missing, translated
from ecs_task_recycle.aws.responses import (
    ingress_of,
    protected_until,
    service_of,
    shares_address,
    target_health_of,
    task_of,
)
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import (
    ANY_PORT,
    Ingress,
    LoadBalancer,
    ScalableTarget,
    Service,
    TargetHealth,
)
from ecs_task_recycle.task import Task

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.literals import ServiceFieldType
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client


CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 8},
)
LIST_PAGES_LIMIT: Final = 200
"""A page lists up to 100 of the 5,000 tasks that a service may have.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html"""
DESCRIBE_TASKS_LIMIT: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""
DESCRIBE_ALARMS_LIMIT: Final = 100
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html"""
GET_PROTECTION_LIMIT: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html"""

TASK_NOT_FOUND: Final = "ResourceNotFoundException"
"""What GetTaskProtection and UpdateTaskProtection may answer for a task that is gone."""
TASK_GONE: Final = (TASK_NOT_FOUND, "InvalidParameterException", "ClientException")
"""What GetTaskProtection may answer where one of many tasks is gone, or not a service's any more.

https://github.com/aws/amazon-ecs-agent/issues/3397
"""
WITHOUT_PROTECTION: Final = "UnsupportedFeatureException"
"""What it answers where tasks cannot be protected: so none is.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html
"""

TARGET_GROUP_NOT_FOUND: Final = "TargetGroupNotFound"
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html"""
SLOW_START: Final = "slow_start.duration_seconds"
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html"""

type Targets = Mapping[tuple[str, str, int], TargetHealth]
"""The health of each target by (target group ARN, target id, port)."""


class Gateway:
    """AWS as one run sees it: one service of one cluster."""

    def __init__(
        self, session: boto3.Session, clock: Clock, *, cluster_name: str, service_name: str
    ) -> None:
        """Take the session; a client is built when it is first used."""
        self.cluster_name = cluster_name
        self.service_name = service_name
        self.region = session.region_name
        self._session = session
        self._clock = clock
        self._instance_ids: dict[str, str | None] = {}
        self.ingress: Ingress | None = None

    @cached_property
    def _ecs(self) -> ECSClient:
        return self._session.client("ecs", config=CONFIG)

    @cached_property
    def _autoscaling(self) -> ApplicationAutoScalingClient:
        return self._session.client("application-autoscaling", config=CONFIG)

    @cached_property
    def _elbv2(self) -> ElasticLoadBalancingv2Client:
        return self._session.client("elbv2", config=CONFIG)

    @cached_property
    def _cloudwatch(self) -> CloudWatchClient:
        return self._session.client("cloudwatch", config=CONFIG)

    @property
    def name(self) -> str:
        """The service as people name it: cluster/service."""
        return f"{self.cluster_name}/{self.service_name}"

    @property
    def resource_id(self) -> str:
        """Return the name under which Application Auto Scaling knows the service."""
        return f"service/{self.name}"

    @property
    def task_group(self) -> str:
        """Return the group of the service's tasks.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
        """
        return f"service:{self.service_name}"

    def service(self, *include: ServiceFieldType) -> Service | None:
        """Return the service, with what to ``include``; None where it or its cluster is not."""
        asked: dict[str, Any] = {"include": include} if include else {}
        try:
            with translated("ecs:DescribeServices"):
                answer = self._ecs.describe_services(
                    cluster=self.cluster_name, services=[self.service_name], **asked
                )
                expect_only_missing("ecs:DescribeServices", answer["failures"])
                found = [service_of(each) for each in answer["services"]]
        except AwsCallError as error:
            if error.code != "ClusterNotFoundException":
                raise
            return None
        return self._with_ingress(found[0]) if found else None

    def _with_ingress(self, service: Service) -> Service:
        """Return a service with the target groups that only its service revision tells.

        The revision is read with the first read of the service, and not again: a deployment, which
        ends a run, makes a new one.
        """
        if self.ingress is None and service.revision_arn is not None:
            self.ingress = self._read_ingress(service.revision_arn, is_managed=service.is_managed)
        if self.ingress is None:
            return service
        known = {arn for each in service.load_balancers for arn in each.target_group_arns}
        managed = tuple(
            each for each in self.ingress.load_balancers if known.isdisjoint(each.target_group_arns)
        )
        is_untold = self.ingress.untold is not None and not service.load_balancers
        return replace(
            service,
            load_balancers=(*service.load_balancers, *managed),
            untold_ingress=self.ingress.untold if is_untold else None,
        )

    def _read_ingress(self, revision_arn: str, *, is_managed: bool) -> Ingress:
        """Read a revision; one that may not be read, or is too old for that, tells nothing.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html
        """
        try:
            with translated("ecs:DescribeServiceRevisions"):
                answer = self._ecs.describe_service_revisions(serviceRevisionArns=[revision_arn])
                found = [
                    ingress_of(each, is_managed=is_managed) for each in answer["serviceRevisions"]
                ]
        except AwsCallError as error:
            if error.transient:
                raise
            found = []
        return found[0] if found else Ingress(is_known=False)

    def task_arns(self) -> tuple[str, ...]:
        """Return the ARNs of the tasks whose desired status is RUNNING.

        Raises AwsCallError if the pages do not end: botocore only notices a token that comes twice
        in a row.
        """
        paginator = self._ecs.get_paginator("list_tasks")
        pages = iter(
            paginator.paginate(
                cluster=self.cluster_name, serviceName=self.service_name, desiredStatus="RUNNING"
            )
        )
        with translated("ecs:ListTasks"):
            arns = tuple(
                arn for page in islice(pages, LIST_PAGES_LIMIT) for arn in page["taskArns"]
            )
            one_too_many = next(pages, None)
        if one_too_many is not None:
            message = f"its list goes on after {LIST_PAGES_LIMIT} pages"
            raise AwsCallError.of("ecs:ListTasks", "EndlessPages", message, transient=True)
        return arns

    def tasks(self, arns: Sequence[str], *, with_instances: bool = False) -> dict[str, Task]:
        """Return by ARN the tasks that ECS still shows; it drops a task an hour after its stop.

        ``with_instances`` also looks up the EC2 instance of each task that uses its address.
        """
        described: list[Any] = []
        with translated("ecs:DescribeTasks"):
            for start in range(0, len(arns), DESCRIBE_TASKS_LIMIT):
                batch = list(arns[start : start + DESCRIBE_TASKS_LIMIT])
                answer = self._ecs.describe_tasks(cluster=self.cluster_name, tasks=batch)
                expect_only_missing("ecs:DescribeTasks", answer["failures"])
                described += answer["tasks"]
            if with_instances:
                self._learn_instances(described)
            return {each["taskArn"]: task_of(each, self._instance_ids) for each in described}

    def _learn_instances(self, described: Iterable[Any]) -> None:
        """Look up the ids of EC2 instances; an ECS Anywhere instance may have none."""
        unknown = {
            each["containerInstanceArn"] for each in described if shares_address(each)
        } - set(self._instance_ids)
        for start in range(0, len(unknown), DESCRIBE_TASKS_LIMIT):
            batch = sorted(unknown)[start : start + DESCRIBE_TASKS_LIMIT]
            with translated("ecs:DescribeContainerInstances"):
                answer = self._ecs.describe_container_instances(
                    cluster=self.cluster_name, containerInstances=batch
                )
                self._instance_ids |= {
                    each["containerInstanceArn"]: each.get("ec2InstanceId")
                    for each in answer["containerInstances"]
                }

    def targets(self, load_balancers: Iterable[LoadBalancer]) -> Targets:
        """Return the health of every target in the groups of the service.

        Raises AwsCallError, with the group's name as ``target_group`` where there is none.
        """
        states: dict[tuple[str, str, int], TargetHealth] = {}
        ports = {
            arn: each.container_port for each in load_balancers for arn in each.target_group_arns
        }
        for arn in sorted(ports):
            for target_id, port, health in self._target_health(arn):
                states[arn, target_id, ANY_PORT if ports[arn] == ANY_PORT else port] = health
        return states

    def _target_health(self, group_arn: str) -> list[tuple[str, int, TargetHealth]]:
        action = "elasticloadbalancing:DescribeTargetHealth"
        try:
            with translated(action):
                answer = self._elbv2.describe_target_health(TargetGroupArn=group_arn)
                return [
                    (each["Target"]["Id"], each["Target"].get("Port", 0), target_health_of(each))
                    for each in answer["TargetHealthDescriptions"]
                ]
        except AwsCallError as error:
            if error.code != TARGET_GROUP_NOT_FOUND:
                raise
            name = group_arn.rpartition(":targetgroup/")[2]
            text = f"target group {name} does not exist"
            raise AwsCallError.of(action, error.code, text, target_group=name) from error

    def slow_start_seconds(self, load_balancers: Iterable[LoadBalancer]) -> int:
        """Return for how long a new target gets less than its share, at most; 0: from the start.

        A target in its slow start is healthy, and ECS does not wait for it.
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
        """
        longest = 0
        for arn in sorted({arn for each in load_balancers for arn in each.target_group_arns}):
            with translated("elasticloadbalancing:DescribeTargetGroupAttributes"):
                answer = self._elbv2.describe_target_group_attributes(TargetGroupArn=arn)
                found = {each["Key"]: each.get("Value", "") for each in answer["Attributes"]}
                longest = max(longest, int(found.get(SLOW_START) or 0))
        return longest

    def scalable_target(self) -> ScalableTarget | None:
        """Return the autoscaling limits, or None for a service without autoscaling."""
        with translated("application-autoscaling:DescribeScalableTargets"):
            answer = self._autoscaling.describe_scalable_targets(
                ServiceNamespace="ecs",
                ScalableDimension="ecs:service:DesiredCount",
                ResourceIds=[self.resource_id],
            )
            found = [
                ScalableTarget(min_capacity=each["MinCapacity"], max_capacity=each["MaxCapacity"])
                for each in answer["ScalableTargets"]
            ]
        return found[0] if found else None

    def set_limits(self, *, min_capacity: int | None, max_capacity: int | None) -> None:
        """Write the given autoscaling limits and leave the others.

        Autoscaling moves the live desired count into the limits on every such call, and answers
        the next one with CONFLICT for a minute or two. botocore does not retry that.
        https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
        """
        limits: dict[str, Any] = {"MinCapacity": min_capacity, "MaxCapacity": max_capacity}
        given = {name: value for name, value in limits.items() if value is not None}
        with translated("application-autoscaling:RegisterScalableTarget"):
            self._autoscaling.register_scalable_target(
                ServiceNamespace="ecs",
                ScalableDimension="ecs:service:DesiredCount",
                ResourceId=self.resource_id,
                **given,
            )

    def set_desired_count(self, desired_count: int) -> Service:
        """Write the desired count and return the updated service. Starts no deployment.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
        """
        with translated("ecs:UpdateService"):
            answer = self._ecs.update_service(
                cluster=self.cluster_name, service=self.service_name, desiredCount=desired_count
            )
            updated = service_of(answer["service"])
        return self._with_ingress(updated)

    def stop_task(self, arn: str, *, reason: str) -> None:
        """Ask ECS to stop a task. A task that is already gone is no error.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
        """
        try:
            with translated("ecs:StopTask"):
                self._ecs.stop_task(cluster=self.cluster_name, task=arn, reason=reason)
        except AwsCallError as error:
            if error.code != "InvalidParameterException" or "not found" not in error.sentence:
                raise

    def protections(self, arns: Sequence[str]) -> dict[str, datetime | None]:
        """Return when each task's scale-in protection ends; None for an unprotected task.

        The answer leaves out tasks that are gone or stopping. AWS lists them as failures or rejects
        the whole call; after a rejection, each half of the tasks gets a call of its own.
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html
        """
        ends: dict[str, datetime | None] = {}
        for start in range(0, len(arns), GET_PROTECTION_LIMIT):
            ends |= self._protections(arns[start : start + GET_PROTECTION_LIMIT])
        return ends

    def _protections(self, arns: Sequence[str]) -> dict[str, datetime | None]:
        try:
            with translated("ecs:GetTaskProtection"):
                answer = self._ecs.get_task_protection(cluster=self.cluster_name, tasks=list(arns))
                expect_only_gone("ecs:GetTaskProtection", answer["failures"])
                return {each["taskArn"]: protected_until(each) for each in answer["protectedTasks"]}
        except AwsCallError as error:
            if error.code == WITHOUT_PROTECTION:
                return dict.fromkeys(arns)
            if error.code not in TASK_GONE:
                raise
            half = len(arns) // 2
            return (
                {} if not half else self._protections(arns[:half]) | self._protections(arns[half:])
            )

    def clear_protection(self, arn: str) -> None:
        """Clear the scale-in protection of a task. A task that is gone is no error.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskProtection.html
        """
        try:
            with translated("ecs:UpdateTaskProtection"):
                answer = self._ecs.update_task_protection(
                    cluster=self.cluster_name, tasks=[arn], protectionEnabled=False
                )
                expect_only_gone("ecs:UpdateTaskProtection", answer["failures"])
        except AwsCallError as error:
            if error.code != TASK_NOT_FOUND:
                raise

    def alarm_states(self, names: Sequence[str]) -> dict[str, str]:
        """Return the state of each named alarm that exists, by name.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
        """
        states: dict[str, str] = {}
        for start in range(0, len(names), DESCRIBE_ALARMS_LIMIT):
            batch = list(names[start : start + DESCRIBE_ALARMS_LIMIT])
            with translated("cloudwatch:DescribeAlarms"):
                answer = self._cloudwatch.describe_alarms(
                    AlarmNames=batch,
                    AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                    MaxRecords=DESCRIBE_ALARMS_LIMIT,
                )
                found = (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ()))
                states |= {each["AlarmName"]: each["StateValue"] for each in found}
        return states
