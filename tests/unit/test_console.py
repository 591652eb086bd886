"""Links into the console: the right host, all escaped, and none where something is unknown."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_task_recycle.channels.mail.console import (
    MARGIN_SECONDS,
    execution_url,
    log_url,
    region_of,
    service_url,
    task_url,
)
from ecs_task_recycle.settings.function import FunctionContext

AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "region, host",
    [
        ("eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("ap-southeast-7", "ap-southeast-7.console.aws.amazon.com"),
        ("cn-northwest-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_own_console(region: str, host: str) -> None:
    url = urlsplit(service_url(region, "shop", "web"))
    assert (url.scheme, url.netloc, url.query) == ("https", host, f"region={region}")
    assert url.path == "/ecs/v2/clusters/shop/services/web/health"


@pytest.mark.parametrize(
    "region", [None, "", "us-iso-east-1", "evil.example/x?", "EU-WEST-1", "eu-west-1.evil.com"]
)
def test_without_a_region_that_has_a_console_there_is_no_link(region: str | None) -> None:
    assert service_url(region, "shop", "web") == ""
    assert task_url(region, "shop", "0123") == ""
    function = FunctionContext(region=region, log_group="/aws/lambda/f")
    assert log_url(function, "run", since_at=AT) == ""


@pytest.mark.parametrize("cluster, service", [("", "web"), ("shop", "")])
def test_without_a_name_there_is_no_link(cluster: str, service: str) -> None:
    assert service_url("eu-west-1", cluster, service) == ""


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_leaves_its_place_in_a_link(cluster: str, name: str) -> None:
    for url in (service_url("eu-west-1", cluster, name), task_url("eu-west-1", cluster, name)):
        parts = urlsplit(url)
        assert parts.netloc == "eu-west-1.console.aws.amazon.com"
        assert parts.path.count("/") == 7
        assert unquote(parts.path.split("/")[4]) == cluster.encode(errors="replace").decode()
        assert (parts.query, parts.fragment) == ("region=eu-west-1", "")


def test_the_log_is_filtered_by_the_run_from_its_start_on() -> None:
    function = FunctionContext(region="eu-west-1", log_group="/aws/lambda/recycler [x]")
    start = round((AT.timestamp() - MARGIN_SECONDS) * 1000)
    assert log_url(function, "run-1", since_at=AT) == (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
        "#logsV2:log-groups/log-group/$252Faws$252Flambda$252Frecycler$2520$255Bx$255D/log-events"
        f"$3FfilterPattern$3D$2522run-1$2522$26start$3D{start}"
    )
    assert "start" not in log_url(function, "run-1", since_at=None)


@pytest.mark.parametrize(
    "function", [FunctionContext(region="eu-west-1"), FunctionContext(log_group="/x")]
)
def test_without_a_log_group_or_a_region_there_is_no_link_to_the_log(
    function: FunctionContext,
) -> None:
    assert log_url(function, "run-1", since_at=AT) == ""


@pytest.mark.parametrize(
    "partition, region, host",
    [
        ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
    ],
)
def test_an_execution_has_its_page(partition: str, region: str, host: str) -> None:
    arn = f"arn:{partition}:states:{region}:123456789012:execution:guardian:run-1"
    url = execution_url(arn)
    assert urlsplit(url).netloc == host
    assert unquote(urlsplit(url).fragment) == f"/v2/executions/details/{arn}"


@given(st.none() | st.text() | st.from_regex(r"arn:aws:states:.*:execution:.*"))
def test_what_is_no_execution_makes_no_link_to_elsewhere(arn: str | None) -> None:
    url = execution_url(arn)
    assert re.match(r"https://[a-z0-9-]+\.console\.aws\.amazon\.com/states/", url) or url == ""


@pytest.mark.parametrize(
    "arn, region",
    [
        ("arn:aws:ecs:eu-west-1:123456789012:task/shop/0123", "eu-west-1"),
        ("arn:aws:ecs::123456789012:task/shop/0123", None),
        ("0123", None),
        ("", None),
    ],
)
def test_the_region_of_an_arn(arn: str, region: str | None) -> None:
    assert region_of(arn) == region
