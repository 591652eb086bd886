"""The world's records as JSON: what a picture of a run is drawn from."""

from typing import Any

from ecs_emulator.ground.calls import Call
from ecs_emulator.state.model import Service, Task
from ecs_emulator.world import World

type Report = dict[str, Any]


def history(world: World) -> Report:
    """Return everything that happened; all instants in epoch seconds."""
    return {
        "started_at": world.started_at,
        "now": world.now,
        "services": [_service(service) for service in world.services],
        "calls": [_call(call) for call in world.calls],
    }


def _service(service: Service) -> Report:
    return {
        "cluster": service.cluster.name,
        "service": service.name,
        "desired_count": service.desired_count,
        "in_service": [{"at": at, "count": count} for at, count in service.in_service_history],
        "desired": [
            {"at": at, "count": count, "by": who} for at, count, who in service.desired_history
        ],
        "events": [{"at": e.created_at, "message": e.message} for e in service.events],
        "tasks": [_task(task) for task in service.tasks],
    }


def _task(task: Task) -> Report:
    return {
        "arn": task.arn,
        "number": task.number,
        "launch": task.launch,
        "availability_zone": task.placement.availability_zone,
        "ecs_agent_path": task.agent_path,
        "stopped_by": str(task.stop_cause) if task.stop_cause else None,
        "states": [
            {
                "at": at,
                "last_status": state.last_status,
                "desired_status": state.desired_status,
                "health": state.health,
                "targets": list(state.targets),
                "in_service": task.service.serves(state),
                "protected_until": state.protected_until,
            }
            for at, state in task.timeline
        ],
    }


def _call(call: Call) -> Report:
    return {
        "number": call.number,
        "at": call.at,
        "service": call.service,
        "operation": call.operation,
        "parameters": dict(call.parameters),
        "access_key": call.access_key,
        "error_code": call.error_code,
        "wrote": call.wrote,
    }
