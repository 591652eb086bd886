"""An event that AWS sends by itself gets one sentence: where it comes from, and what to do."""

from __future__ import annotations

from typing import Any, Final

import pytest

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.event import settings_from_event

ENVELOPE: Final = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "account": "123456789012",
    "time": "2026-01-05T09:00:00Z",
    "region": "us-east-1",
    "resources": [],
}
TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:deploys"
HEALTH: Final = {
    "source": "aws.health",
    "detail-type": "AWS Health Event",
    "detail": {"service": "ECS", "eventTypeCode": "AWS_ECS_TASK_PATCHING_RETIREMENT"},
}
EVENTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "health": (ENVELOPE | HEALTH, "aws.health (AWS Health Event)"),
    "rule": (
        ENVELOPE | {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
        "aws.events (Scheduled Event)",
    ),
    "scheduler": (
        ENVELOPE | {"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"},
        "aws.scheduler (Scheduled Event)",
    ),
    "sns": (
        {"Records": [{"EventSource": "aws:sns", "Sns": {"TopicArn": TOPIC, "Message": "{}"}}]},
        "aws:sns",
    ),
    "sqs": ({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}, "aws:sqs"),
    "alarm": (
        {
            "source": "aws.cloudwatch",
            "alarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:memory",
            "accountId": "123456789012",
            "time": "2026-01-05T09:00:00.490+0000",
            "region": "us-east-1",
            "alarmData": {"alarmName": "memory", "state": {"value": "ALARM"}},
        },
        "a CloudWatch alarm",
    ),
    "destination": (
        {"requestContext": {"condition": "Success"}, "requestPayload": {}, "responsePayload": {}},
        "an HTTP request or a Lambda destination",
    ),
    "http": (
        {"requestContext": {}, "body": "{}"},
        "an HTTP request or a Lambda destination",
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_one_sentence_names_the_sender_and_what_to_do(name: str) -> None:
    event, sender = EVENTS[name]

    with pytest.raises(SettingsError) as caught:
        settings_from_event(event)

    sentence = caught.value.sentence
    assert sentence.startswith(
        f"1 problem in the event: it comes from {sender} without cluster_name and service_name; "
    )
    assert "constant input" in sentence


@pytest.mark.parametrize(
    "event",
    [
        ENVELOPE | HEALTH | {"detail-type": "half a pair: \ud800, and a line\nbreak"},
        {"Records": [{"eventSource": "\ud800\n"}]},
    ],
    ids=["rule", "records"],
)
def test_no_source_gets_more_than_printable_text_into_the_sentence(event: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_event(event)

    assert str(caught.value).isprintable()


def test_the_same_envelope_with_parameters_is_understood() -> None:
    named = {"cluster_name": "shop", "service_name": "web"}

    settings = settings_from_event(ENVELOPE | HEALTH | {"detail": named})

    assert (settings.cluster_name, settings.service_name) == ("shop", "web")


def test_parameters_that_lack_one_name_are_told_which() -> None:
    with pytest.raises(SettingsError, match="service_name is missing"):
        settings_from_event(ENVELOPE | HEALTH | {"detail": {"cluster_name": "shop"}})
