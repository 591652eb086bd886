"""What ECS's operations share: finding what is asked for, pages, failures."""

from collections.abc import Callable, Sequence

from ecs_emulator.api.paging import page
from ecs_emulator.api.registry import Answer, Request
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.state.ledger import KEPT_SECONDS
from ecs_emulator.state.model import Cluster, Service, Task
from ecs_emulator.state.task_state import TaskState
from ecs_emulator.world import World

PAGE_LIMIT = 100


def find_task(world: World, cluster: Cluster, reference: str, at: float) -> Task | None:
    """Return the cluster's task of this ARN or id, if it can be seen at this instant."""
    task = world.ledger.tasks.get(task_arn(world, cluster, reference))
    if task is None or task.service.cluster is not cluster or task.created_at > at:
        return None
    return None if expired(task.timeline.at(at), at) else task


def task_arn(world: World, cluster: Cluster, reference: str) -> str:
    """Return a task's full ARN, whether it was given as that or as an id."""
    if reference.startswith("arn:"):
        return reference
    return world.account.arn("ecs", f"task/{cluster.name}/{last(reference)}")


def expired(state: TaskState, at: float) -> bool:
    """Tell whether a task has been STOPPED for too long to be described."""
    return state.stopped_at is not None and at > state.stopped_at + KEPT_SECONDS


def find_service(cluster: Cluster, reference: str) -> Service | None:
    """Return the service of this name or ARN; an ARN of another cluster finds nothing."""
    service = cluster.services.get(last(reference))
    if service is None or (reference.startswith("arn:") and not _same_arn(service, reference)):
        return None
    return service


def _same_arn(service: Service, arn: str) -> bool:
    short = service.arn.replace(f"/{service.cluster.name}/", "/")
    return arn in {service.arn, short}


def service_of(cluster: Cluster, reference: str) -> Service:
    """Return the service of this name or ARN. Raises ApiError."""
    service = find_service(cluster, reference)
    if service is None:
        raise ApiError("ServiceNotFoundException", "Service not found.")
    return service


def listing(world: World, request: Request, member: str, arns: Sequence[str]) -> Answer:
    """Answer a listing, in pages. Raises ApiError."""
    return page_of(world, request, member, arns, key=str)


def page_of[T](
    world: World, request: Request, member: str, items: Sequence[T], *, key: Callable[[T], str]
) -> Answer:
    """Answer with a page of items, in the order of their keys. Raises ApiError."""
    asked = request.parameters.get("maxResults") or PAGE_LIMIT
    if not 1 <= asked <= PAGE_LIMIT:
        raise ApiError("InvalidParameterException", f"maxResults must be 1 to {PAGE_LIMIT}.")
    limit = min(asked, world.knobs.page_size or PAGE_LIMIT)
    token = request.parameters.get("nextToken")
    shown, following = page(items, key=key, limit=limit, token=token)
    return {member: shown, **({"nextToken": following} if following else {})}


def refuse_count(what: str, references: Sequence[str], limit: int) -> None:
    """Raise ApiError for too many references."""
    if len(references) > limit:
        raise ApiError("InvalidParameterException", f"{what} can have at most {limit} items.")


def missing(arn: str) -> Answer:
    """Return the failure of something that is not there."""
    return {"arn": arn, "reason": "MISSING"}


def last(reference: str) -> str:
    """Return the last part of an ARN, or the name itself."""
    return reference.rsplit("/", 1)[-1]
