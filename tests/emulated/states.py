"""The states of the template's machine, walked in virtual time as Amazon States Language says.

Only what our machines use: JSONPath, Choice, Wait, Pass, Task with Retry and Catch, a
distributed Map, Succeed, Fail.
https://states-language.net/spec.html
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from ecs_emulator.neighbours.executions import Execution

EVENTS: Final = {"Wait": 2, "Task": 5, "Choice": 2, "Pass": 2, "Map": 5, "Succeed": 2, "Fail": 1}
"""How many history events a state makes; a task with its scheduling, start and success."""
EVENTS_OF_A_RETRY: Final = 3
LOOKS_EVERY_SECONDS: Final = 15.0
"""How soon a walk that sleeps among others sees that its execution was stopped."""
INTRINSIC: Final = re.compile(r"States\.(\w+)\((.*)\)")

type Data = dict[str, Any]


class TaskFailedError(Exception):
    """A task ended with an error, which has a name that Retry and Catch go by."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(name, cause)
        self.name = name
        self.cause = cause


def one_after_the_other(lanes: list[Callable[[], None]]) -> None:
    for each in lanes:
        each()


@dataclass
class Walk:
    """One execution's way through the states of a machine.

    `invoke` does what a task asks of the function: it returns the function's answer, or raises
    TaskFailedError. `together` runs the executions of a Map's items.
    """

    world: World
    execution: Execution
    document: Data
    invoke: Callable[[Data], Data]
    sleep: Callable[[float], None] | None = None
    together: Callable[[list[Callable[[], None]]], None] = one_after_the_other
    states_limit: int = 20_000
    events: int = 2
    children: list[Walk] = field(default_factory=list)
    largest_bytes: int = 0
    visited: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Go from state to state, until the execution ends or somebody ends it."""
        name: str | None = self.document["StartAt"]
        data = json.loads(self.execution.input)
        for _ in range(self.states_limit):
            if name is None or self.execution.status != "RUNNING":
                return
            self.visited.append(name)
            self.largest_bytes = max(self.largest_bytes, len(json.dumps(data)))
            state = self.document["States"][name]
            self.events += EVENTS[state["Type"]]
            name, data = self._step(state, data)

    def _step(self, state: Data, data: Data) -> tuple[str | None, Data]:
        match state["Type"]:
            case "Wait":
                self._wait(state, data)
                return state["Next"], read(state.get("OutputPath", "$"), data)
            case "Task":
                return self._task(state, data)
            case "Choice":
                return _chosen(state, data), data
            case "Pass":
                return state["Next"], _passed(state, data)
            case "Map":
                return self._map(state, data)
            case kind:
                self.execution.end("FAILED" if kind == "Fail" else "SUCCEEDED", self.world.now)
                self.execution.error = _error_of(state, data)
                return None, data

    def _wait(self, state: Data, data: Data) -> None:
        if "TimestampPath" in state:
            until = datetime.fromisoformat(read(state["TimestampPath"], data)).timestamp()
        elif "SecondsPath" in state:
            until = self.world.now + read(state["SecondsPath"], data)
        else:
            until = self.world.now + state["Seconds"]
        self._sleep(until - self.world.now)

    def _map(self, state: Data, data: Data) -> tuple[str | None, Data]:
        """Walk the items' executions, each with a history of its own; failed ones are tolerated."""
        assert state["ToleratedFailurePercentage"] == 100
        assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        items = read(state["ItemsPath"], data)
        assert len(items) <= state["MaxConcurrency"]
        walks = [self._child(state, data, item) for item in items]
        self.children += walks
        self.together([walk.run for walk in walks])
        return state["Next"], written(state["ResultPath"], data, len(walks))

    def _child(self, state: Data, data: Data, item: Any) -> Walk:  # noqa: ANN401 - an item's
        context = {**data, "$": {"Map": {"Item": {"Value": item}}}}
        number = len(self.children)
        own = replace(
            self.execution,
            arn=f"{self.execution.arn}/{number}-{item}",
            input=json.dumps(filled(state["ItemSelector"], context)),
        )
        return replace(
            self, execution=own, document=state["ItemProcessor"], events=2, visited=[], children=[]
        )

    def _sleep(self, seconds: float) -> None:
        until = self.world.now + seconds
        if self.sleep is not None:
            while self.execution.status == "RUNNING" and self.world.now < until:
                self.sleep(min(LOOKS_EVERY_SECONDS, until - self.world.now))
            return
        self.world.run_until(
            lambda: self.execution.status != "RUNNING" or self.world.now >= until,
            timeout=max(0.0, seconds),
        )

    def _task(self, state: Data, data: Data) -> tuple[str | None, Data]:
        payload = filled(state["Parameters"], data)["Payload"]
        attempts: dict[int, int] = {}
        while self.execution.status == "RUNNING":
            try:
                answer = self.invoke(payload)
            except TaskFailedError as failed:
                seconds = _retry_seconds(state, failed.name, attempts)
                if seconds is None:
                    return self._caught(state, data, failed)
                self.events += EVENTS_OF_A_RETRY
                self._sleep(seconds)
            else:
                return state["Next"], _result(state, data, {"Payload": answer})
        return None, data

    def _caught(self, state: Data, data: Data, failed: TaskFailedError) -> tuple[str | None, Data]:
        for catcher in state.get("Catch", ()):
            if {failed.name, "States.ALL"} & set(catcher["ErrorEquals"]):
                error = {"Error": failed.name, "Cause": failed.cause}
                return catcher["Next"], written(catcher["ResultPath"], data, error)
        self.execution.end("FAILED", self.world.now)
        return None, data


def _retry_seconds(state: Data, name: str, attempts: dict[int, int]) -> float | None:
    """Return how long to wait for the next attempt, None if there is to be none."""
    for number, retrier in enumerate(state.get("Retry", ())):
        if {name, "States.ALL"} & set(retrier["ErrorEquals"]):
            attempts[number] = attempts.get(number, 0) + 1
            if attempts[number] > retrier["MaxAttempts"]:
                return None
            grown = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** (attempts[number] - 1)
            return float(min(grown, retrier.get("MaxDelaySeconds", grown)))
    return None


def _result(state: Data, data: Data, answer: Data) -> Data:
    if "ResultSelector" in state:
        answer = filled(state["ResultSelector"], answer)
    output = written(state.get("ResultPath", "$"), data, answer)
    result: Data = read(state.get("OutputPath", "$"), output)
    return result


def _passed(state: Data, data: Data) -> Data:
    given = read(state.get("InputPath", "$"), data)
    result = state.get("Result", filled(state.get("Parameters"), given))
    return written(state.get("ResultPath", "$"), data, given if result is None else result)


def _chosen(state: Data, data: Data) -> str:
    for choice in state["Choices"]:
        if _holds(choice, data):
            return str(choice["Next"])
    return str(state["Default"])


def _holds(choice: Data, data: Data) -> bool:
    if "And" in choice:
        return all(_holds(each, data) for each in choice["And"])
    try:
        value = read(choice["Variable"], data)
    except (LookupError, TypeError):  # TypeError: a list or a number has no fields.
        value = None
    (test,) = choice.keys() - {"Variable", "Next"}
    expected = choice[test]
    match test:
        case "IsPresent":
            return bool((value is not None) == expected)
        case "IsString":
            return bool(isinstance(value, str) == expected)
        case "NumericLessThan":
            return bool(value < expected)
        case _:  # BooleanEquals, NumericEquals, StringEquals
            return bool(value == expected)


def _error_of(state: Data, data: Data) -> str | None:
    if "ErrorPath" in state:
        return str(read(state["ErrorPath"], data))
    return state.get("Error")


def read(path: str, data: Any) -> Any:  # noqa: ANN401 - whatever stands there
    """Return what a path or an intrinsic function names."""
    call = INTRINSIC.fullmatch(path)
    if call is not None:
        return _called(call[1], [part.strip() for part in call[2].split(",")], data)
    value = data["$"] if path.startswith("$$") else data
    for name in path.lstrip("$").split("."):
        value = value[name] if name else value
    return value


def _called(name: str, arguments: list[str], data: Data) -> Any:  # noqa: ANN401 - likewise
    first = read(arguments[0], data)
    if name == "StringToJson":
        return json.loads(first)
    assert name == "MathAdd", name
    return first + int(arguments[1])


def filled(template: Any, data: Data) -> Any:  # noqa: ANN401 - likewise
    """Return a template of Parameters with its paths filled in."""
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): read(value, data) if name.endswith(".$") else filled(value, data)
        for name, value in template.items()
    }


def written(path: str, data: Data, value: Any) -> Data:  # noqa: ANN401 - likewise
    """Return data with a value at a path of one name; `$` is the whole."""
    if path == "$":
        return copy.deepcopy(value)
    return {**copy.deepcopy(data), path.removeprefix("$."): copy.deepcopy(value)}
