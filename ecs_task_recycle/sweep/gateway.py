"""Makes the AWS calls that find services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import batched, islice
from typing import TYPE_CHECKING, Any, Final

from ecs_task_recycle.aws.errors import expect_only_missing, retry_until, translated
from ecs_task_recycle.aws.gateway import CONFIG
from ecs_task_recycle.aws.responses import secret_sources_of, tags_of
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_ecs import ECSClient

PACE_SECONDS: Final = 0.1
"""Between two reads. DescribeServices and DescribeTaskDefinition have a sustained rate of 20 a
second, of which runs that go on meanwhile need their part.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html"""
PATIENCE_SECONDS: Final = 60.0
DESCRIBE_SERVICES_LIMIT: Final = 10
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html"""
PAGE_SIZE: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServices.html"""
PAGES_LIMIT: Final = 200
NO_CLUSTER: Final = "ClusterNotFoundException"
NO_DEFINITION: Final = "ClientException"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceName:
    """One service of a sweep."""

    cluster: str
    service: str

    def __str__(self) -> str:
        """Return it as people name it."""
        return f"{self.cluster}/{self.service}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundService:
    """A service, as far as choosing goes."""

    name: ServiceName
    account: str
    task_definition_arn: str | None
    tags: Mapping[str, str]


class SweepGateway:
    """AWS as the selection of services sees it: all clusters of a region."""

    def __init__(self, session: boto3.Session, clock: Clock) -> None:
        """Take the session; a client is built when it is first used."""
        self._session = session
        self._clock = clock

    @cached_property
    def _ecs(self) -> ECSClient:
        return self._session.client("ecs", config=CONFIG)

    def cluster_names(self) -> tuple[str, ...]:
        """Return the names of all clusters."""
        return self._listed("ecs:ListClusters", "list_clusters", "clusterArns")

    def service_names(self, cluster: str) -> tuple[str, ...] | None:
        """Return the names of a cluster's services, None where there is no such cluster."""
        action, operation, member = "ecs:ListServices", "list_services", "serviceArns"
        read = partial(self._listed, action, operation, member, cluster=cluster)
        return _unless_missing(NO_CLUSTER, read)

    def _listed(self, action: str, operation: str, member: str, **given: str) -> tuple[str, ...]:
        def read() -> tuple[str, ...]:
            with translated(action):
                paginator: Any = self._ecs.get_paginator(operation)  # type: ignore[call-overload]
                pages = paginator.paginate(**given, PaginationConfig={"PageSize": PAGE_SIZE})
                arns = [arn for page in islice(pages, PAGES_LIMIT) for arn in page[member]]
                return tuple(sorted(arn.rpartition("/")[2] for arn in arns))

        return self._patiently(read)

    def services(self, cluster: str, names: Iterable[str]) -> tuple[FoundService, ...]:
        """Return those of the named services that are there, with their tags."""
        found: list[FoundService] = []
        for some in batched(names, DESCRIBE_SERVICES_LIMIT, strict=False):
            read = partial(self._patiently, partial(self._described, cluster, some))
            found += _unless_missing(NO_CLUSTER, read) or ()
        return tuple(found)

    def _described(self, cluster: str, names: Sequence[str]) -> list[FoundService]:
        action = "ecs:DescribeServices"
        with translated(action):
            answer = self._ecs.describe_services(
                cluster=cluster, services=list(names), include=["TAGS"]
            )
            expect_only_missing(action, answer["failures"])
            return [
                FoundService(
                    name=ServiceName(cluster=cluster, service=each["serviceName"]),
                    account=each["serviceArn"].split(":")[4],
                    task_definition_arn=each.get("taskDefinition"),
                    tags=tags_of(each),
                )
                for each in answer["services"]
                if each["status"] != "INACTIVE"
            ]

    def secret_sources(self, task_definition_arn: str) -> tuple[str, ...] | None:
        """Return what a task definition reads; None where it cannot be read."""

        def read() -> tuple[str, ...]:
            with translated("ecs:DescribeTaskDefinition"):
                answer = self._ecs.describe_task_definition(taskDefinition=task_definition_arn)
                return tuple(secret_sources_of(answer["taskDefinition"]["containerDefinitions"]))

        return _unless_missing(NO_DEFINITION, lambda: self._patiently(read))

    def _patiently[T](self, read: Callable[[], T]) -> T:
        self._clock.sleep(PACE_SECONDS)
        return retry_until(read, self._clock, until=self._clock.now() + PATIENCE_SECONDS)


def _unless_missing[T](code: str, read: Callable[[], T]) -> T | None:
    """Return what is read, None where AWS answers with the code of what is not there."""
    try:
        return read()
    except AwsCallError as error:
        if error.code != code:
            raise
        return None
