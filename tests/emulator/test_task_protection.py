"""Task scale-in protection, by the ECS API and by the container agent's endpoint."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Knobs, StopKind, WallClock, World
from ecs_emulator.wire.agent import handle_agent, task_role_arn
from ecs_emulator.wire.protocols import HttpRequest
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from ecs_emulator.state.model import Service, Task
    from tests.emulator.conftest import Bench

MINUTE = 60


def protect(bench: Bench, *tasks: Task, **more: Any) -> dict[str, Any]:  # noqa: ANN401  the API's
    answer = bench.ecs.update_task_protection(
        cluster="demo", tasks=[task.arn for task in tasks], protectionEnabled=True, **more
    )
    return dict(answer)


def protections(bench: Bench, *tasks: Task) -> list[bool | None]:
    answer = bench.ecs.get_task_protection(cluster="demo", tasks=[task.arn for task in tasks])
    return [row.get("protectionEnabled") for row in answer["protectedTasks"]]


def ask(world: World, task: Task, method: str = "GET", body: object = None) -> tuple[int, Any]:
    path = f"{task.agent_path}/task-protection/v1/state"
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    request = HttpRequest(method=method, path=path, headers={}, body=content)
    answer = handle_agent(world, request)
    return answer.status, json.loads(answer.body)


def scaled_in(service: Service) -> list[int]:
    return [
        task.number
        for task in service.tasks
        if task.stop_cause and task.stop_cause.kind is StopKind.SCALE_IN
    ]


def test_protection_lasts_two_hours_unless_told_otherwise(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    (row,) = protect(bench, task)["protectedTasks"]
    assert row["expirationDate"].timestamp() == bench.world.now + 120 * MINUTE
    bench.sleep(120 * MINUTE - 1)
    assert protections(bench, task) == [True]
    bench.sleep(1)
    assert protections(bench, task) == [False]


def test_setting_it_again_starts_its_time_anew(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    protect(bench, task, expiresInMinutes=10)
    bench.sleep(9 * MINUTE)
    protect(bench, task, expiresInMinutes=10)
    bench.sleep(9 * MINUTE)
    assert protections(bench, task) == [True]
    bench.sleep(1 * MINUTE)
    assert protections(bench, task) == [False]


def test_clearing_it_frees_the_task_at_once(bench: Bench) -> None:
    first, second, _ = bench.world.services[0].tasks
    protect(bench, first, second)
    bench.ecs.update_task_protection(cluster="demo", tasks=[first.id], protectionEnabled=False)
    assert protections(bench, first, second) == [False, True]


def test_unprotected_tasks_have_a_row_without_an_end(bench: Bench) -> None:
    (row,) = bench.ecs.get_task_protection(
        cluster="demo", tasks=[bench.world.services[0].tasks[0].arn]
    )["protectedTasks"]
    assert row["protectionEnabled"] is False
    assert "expirationDate" not in row


@pytest.mark.parametrize("minutes", [0, 2881])
def test_less_than_a_minute_and_more_than_48_hours_are_refused(bench: Bench, minutes: int) -> None:
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="expiresInMinutes"):
        protect(bench, bench.world.services[0].tasks[0], expiresInMinutes=minutes)


def test_ten_tasks_can_be_written_and_a_hundred_read_at_once(bench: Bench) -> None:
    service = bench.furnish(desired_count=101)
    arns = [task.arn for task in service.tasks]
    invalid = bench.ecs.exceptions.InvalidParameterException
    assert len(protect(bench, *service.tasks[:10])["protectedTasks"]) == 10
    with pytest.raises(invalid, match="at most 10 items"):
        protect(bench, *service.tasks[:11])
    answer = bench.ecs.get_task_protection(cluster="demo", tasks=arns[:100])
    assert len(answer["protectedTasks"]) == 100
    with pytest.raises(invalid, match="at most 100 items"):
        bench.ecs.get_task_protection(cluster="demo", tasks=arns)


def test_a_task_that_is_gone_or_going_is_a_failure(bench: Bench) -> None:
    first, second, _ = bench.world.services[0].tasks
    bench.stop(first.arn)
    bench.sleep(60)
    bench.stop(second.arn)
    unknown = "0" * 32
    for answer in (
        bench.ecs.get_task_protection(cluster="demo", tasks=[first.arn, second.arn, unknown]),
        bench.ecs.update_task_protection(
            cluster="demo", tasks=[first.arn, second.arn, unknown], protectionEnabled=True
        ),
    ):
        reasons = [failure["reason"] for failure in answer["failures"]]
        assert reasons == ["MISSING", "TASK_NOT_VALID", "MISSING"]
        assert answer["protectedTasks"] == []


def test_a_vanished_task_may_be_an_error_instead(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, protection_of_vanished_raises=True))
    gone, present, _ = service.tasks
    bench.stop(gone.arn)
    bench.sleep(60)
    not_found = bench.ecs.exceptions.ResourceNotFoundException
    for tasks in ([gone.arn], [present.arn, gone.arn], ["0" * 32]):
        with pytest.raises(not_found):
            bench.ecs.get_task_protection(cluster="demo", tasks=tasks)
        with pytest.raises(not_found):
            bench.ecs.update_task_protection(cluster="demo", tasks=tasks, protectionEnabled=True)
    assert protections(bench, present) == [False]


def test_more_protected_tasks_than_desired_are_blocked(bench: Bench) -> None:
    service = bench.furnish()
    protect(bench, *service.tasks)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=1)
    answer = protect(bench, service.tasks[0])
    assert [failure["reason"] for failure in answer["failures"]] == ["DEPLOYMENT_BLOCKED"]
    assert protections(bench, *service.tasks) == [True, True, True]
    bench.sleep(60)
    assert scaled_in(service) == []
    assert "3 tasks under protection" in bench.messages()[0]
    bench.ecs.update_task_protection(
        cluster="demo", tasks=[t.arn for t in service.tasks[1:]], protectionEnabled=False
    )
    bench.sleep(60)
    assert scaled_in(service) == [2, 3]


def test_stop_task_does_not_respect_protection(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    protect(bench, task)
    bench.stop(task.arn)
    assert not task.active


def test_protection_can_be_read_stale(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, staleness=30))
    bench.sleep(60)
    protect(bench, service.tasks[0])
    bench.sleep(15)
    seen = {protections(bench, service.tasks[0])[0] for _ in range(30)}
    assert seen == {True, False}


def test_the_agent_sets_and_reads_protection_for_its_own_task(bench: Bench) -> None:
    world, task = bench.world, bench.world.services[0].tasks[0]
    wish = {"ProtectionEnabled": True, "ExpiresInMinutes": 60}
    expected = {
        "protection": {
            "ExpirationDate": "2026-01-05T10:00:00Z",
            "ProtectionEnabled": True,
            "TaskArn": task.arn,
        }
    }
    assert ask(world, task, "PUT", wish) == (200, expected)
    assert ask(world, task) == (200, expected)
    assert protections(bench, task) == [True]
    status, answer = ask(world, task, "PUT", {"protectionenabled": False})
    assert (status, answer["protection"]["ExpirationDate"]) == (200, None)
    assert protections(bench, task) == [False]


@pytest.mark.parametrize(
    "body",
    [
        {"ProtectionEnabled": True, "Forever": True},
        {"ExpiresInMinutes": 5},
        {"ProtectionEnabled": "yes"},
        {"ProtectionEnabled": True, "ExpiresInMinutes": "5"},
        {"ProtectionEnabled": True, "ExpiresInMinutes": 2881},
        [],
        "no JSON",
    ],
)
def test_the_agent_refuses_what_it_does_not_know(bench: Bench, body: object) -> None:
    task = bench.world.services[0].tasks[0]
    status, answer = ask(bench.world, task, "PUT", body)
    assert status == 400
    assert answer["error"]["Code"] == "InvalidParameterException"
    assert answer["error"]["Arn"] == task.arn
    assert protections(bench, task) == [False]


def test_the_agent_reports_a_failure_of_ecs_with_http_200(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    bench.stop(task.arn)
    status, answer = ask(bench.world, task, "PUT", {"ProtectionEnabled": True})
    assert status == 200
    assert answer["failure"]["Reason"] == "TASK_NOT_VALID"
    assert answer["failure"]["Arn"] == task.arn


def test_the_agent_needs_the_task_roles_permission(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    role = task_role_arn(bench.world, task)
    bench.world.faults.deny("ecs:UpdateTaskProtection", principal=role)
    status, answer = ask(bench.world, task, "PUT", {"ProtectionEnabled": True})
    assert (status, answer["error"]["Code"]) == (400, "AccessDeniedException")
    assert role in answer["error"]["Message"]
    assert ask(bench.world, task)[0] == 200
    assert protect(bench, task)["protectedTasks"], "others still may"


def test_the_agent_knows_only_its_containers_and_methods(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    state = f"{task.agent_path}/task-protection/v1/state"
    cases = {("GET", "/api/nobody/task-protection/v1/state"): 404, ("POST", state): 405}
    for (method, path), status in cases.items():
        request = HttpRequest(method=method, path=path, headers={}, body=b"{}")
        assert handle_agent(bench.world, request).status == status


@pytest.mark.local_socket
def test_a_task_protects_itself_over_http() -> None:
    world = World(knobs=Knobs(), clock=WallClock(speed=10))
    task = world.create_service(cluster="demo", name="web").tasks[0]
    with serve(world) as url:
        uri = f"{url}{task.agent_path}/task-protection/v1/state"
        wish = json.dumps({"ProtectionEnabled": True, "ExpiresInMinutes": 5}).encode()
        put = urllib.request.Request(uri, data=wish, method="PUT")  # noqa: S310  127.0.0.1
        with urllib.request.urlopen(put) as answer:  # noqa: S310
            assert json.load(answer)["protection"]["ProtectionEnabled"] is True
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(uri.replace("/api/", "/api/not-"))  # noqa: S310
        refused.value.close()
    assert refused.value.code == 404
    assert task.state.protected(world.now)
