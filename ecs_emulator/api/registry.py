"""The operations that the emulator performs, found by service and name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ecs_emulator.access.identities import Identity
from ecs_emulator.world import World

type Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, decoded and checked against the service's model.

    `view_at` (epoch seconds) is the instant whose picture a read answers with.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    caller: Identity
    view_at: float


type Perform = Callable[[World, Request], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """How one operation is performed; `writes`: whether it can change anything."""

    service: str
    name: str
    writes: bool
    perform: Perform


OPERATIONS: dict[tuple[str, str], Operation] = {}


def operation(service: str, *, writes: bool = False) -> Callable[[Perform], Perform]:
    """Register a function as the operation of its name: list_tasks performs ListTasks."""

    def register(perform: Perform) -> Perform:
        name = "".join(word.capitalize() for word in perform.__name__.split("_"))
        OPERATIONS[service, name] = Operation(
            service=service, name=name, writes=writes, perform=perform
        )
        return perform

    return register
