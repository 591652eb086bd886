"""Where others are told: SNS's Publish and EventBridge's PutEvents. What was sent is in the calls.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.world import World


@operation("sns", writes=True)
def publish(world: World, request: Request) -> Answer:  # noqa: ARG001 - every topic is there
    """Publish a message."""
    return {"MessageId": f"message-{len(world.calls) + 1}"}


@operation("events", writes=True)
def put_events(world: World, request: Request) -> Answer:
    """Put events; every bus is there, but one called missing, whose events fail."""
    entries = []
    for number, entry in enumerate(request.parameters["Entries"]):
        if entry.get("EventBusName") == "missing":
            said = {"ErrorCode": "InternalFailure", "ErrorMessage": "Bus missing is not there."}
            entries.append(said)
        else:
            entries.append({"EventId": f"event-{len(world.calls) + 1}-{number}"})
    failed_count = sum("ErrorCode" in entry for entry in entries)
    return {"FailedEntryCount": failed_count, "Entries": entries}
