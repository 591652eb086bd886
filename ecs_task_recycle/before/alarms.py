"""CloudWatch alarms that keep a run from stopping a task: the service's own, and the event's."""

from __future__ import annotations

from collections.abc import Sequence

from ecs_task_recycle.aws.gateway import Gateway


def alarm_refusals(
    gateway: Gateway, *, deployment_alarms: Sequence[str], event_alarms: Sequence[str]
) -> list[str]:
    """Return what is wrong with any of the alarms, each a part of a sentence. Raises AwsCallError.

    An alarm of the event that is not there could never warn. An alarm without enough data is no
    reason. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
    """
    states = gateway.alarm_states([*deployment_alarms, *event_alarms])
    alarming = {name for name, state in states.items() if state == "ALARM"}
    reasons = []
    if own := sorted(alarming & set(deployment_alarms)):
        reasons.append(f"deployment alarms are in ALARM: {', '.join(own)}")
    if others := sorted(alarming & set(event_alarms)):
        reasons.append(f"alarms of the event are in ALARM: {', '.join(others)}")
    if absent := sorted(set(event_alarms) - states.keys()):
        reasons.append(f"alarms of the event do not exist: {', '.join(absent)}")
    return reasons
