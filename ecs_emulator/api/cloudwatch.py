"""CloudWatch's operations.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

from ecs_emulator.api.paging import page
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.neighbours.alarms import Alarm
from ecs_emulator.world import World

NAMES_LIMIT = PAGE_LIMIT = 100


@operation("cloudwatch")
def describe_alarms(world: World, request: Request) -> Answer:
    """Describe alarms; composite ones only where their type is asked for."""
    asked = request.parameters
    names = asked.get("AlarmNames")
    if len(names or ()) > NAMES_LIMIT:
        raise ApiError("InvalidParameterValue", f"AlarmNames can have at most {NAMES_LIMIT} items.")
    kinds = asked.get("AlarmTypes") or ["MetricAlarm"]
    fitting = [
        alarm
        for timeline in world.alarms.values()
        if _fits(alarm := timeline.at(request.view_at), asked.get("StateValue"), kinds)
        and (names is None or alarm.name in names)
        and alarm.name.startswith(asked.get("AlarmNamePrefix", ""))
    ]
    limit = min(asked.get("MaxRecords") or PAGE_LIMIT, world.knobs.page_size or PAGE_LIMIT)
    token = asked.get("NextToken")
    shown, following = page(fitting, key=lambda alarm: alarm.name, limit=limit, token=token)
    return {
        "MetricAlarms": [_describe(world, alarm) for alarm in shown if not alarm.composite],
        "CompositeAlarms": [_describe(world, alarm) for alarm in shown if alarm.composite],
    } | ({"NextToken": following} if following else {})


def _fits(alarm: Alarm, state: str | None, kinds: list[str]) -> bool:
    kind = "CompositeAlarm" if alarm.composite else "MetricAlarm"
    return kind in kinds and state in {None, alarm.state}


def _describe(world: World, alarm: Alarm) -> Answer:
    return {
        "AlarmName": alarm.name,
        "AlarmArn": world.account.arn("cloudwatch", f"alarm:{alarm.name}"),
        "ActionsEnabled": True,
        "StateValue": alarm.state,
        "StateReason": f"Set to {alarm.state}.",
        "StateUpdatedTimestamp": round(alarm.since, 3),
    }
