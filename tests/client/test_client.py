"""What the client does and prints, on the wire: Lambda's Invoke, the real handler, emulated ECS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import FailingStart, Knobs
from tests.client.cloud import FUNCTION, HttpAnswer
from tests.emulated.bench import a_service, capacity, is_free, record

if TYPE_CHECKING:
    from ecs_emulator import World
    from tests.client.cloud import Cloud
    from tests.client.conftest import Person

pytestmark = pytest.mark.local_socket

RUN: Final = "run demo web --wait-time 0"
MACHINE_ARN: Final = "arn:aws:states:us-east-1:123456789012:stateMachine:guardian"


def runs_of(cloud: Cloud) -> list[dict[str, Any]]:
    """Return the events of runs that the function was invoked with."""
    return [each.event for each in cloud.invocations if each.runs]


def interrupt() -> None:
    raise KeyboardInterrupt


# -- a run, followed ------------------------------------------------------------------------------


def test_a_run_is_followed_with_a_line_a_task(world: World, person: Person) -> None:
    tasks = a_service(world, tasks=2).active_tasks

    printed = person.types(RUN)

    *lines, end = printed.output.splitlines()
    assert printed.code == 0
    assert [line for line in lines if "Recycling" in line] == [
        f"Recycling task 1/2: {tasks[0].id}",
        f"Recycling task 2/2: {tasks[1].id}",
    ]
    assert end.startswith("demo/web: completed. 2 tasks recycled in ")
    assert end.endswith(", never fewer than 2 of 2 in service.")


def test_a_run_is_sent_once_and_its_answer_awaited(
    world: World, person: Person, cloud: Cloud
) -> None:
    a_service(world, tasks=1)

    person.types(RUN)

    assert runs_of(cloud) == [{"cluster_name": "demo", "service_name": "web", "wait_time": 0}]
    actions = {each.event.get("action") for each in cloud.invocations}
    assert actions == {None, "status"}


def test_a_run_that_fails_says_why_and_what_to_do(world: World, person: Person) -> None:
    world.knobs = Knobs(failing_starts=(FailingStart(after=1),))
    a_service(world, tasks=2)

    printed = person.types(RUN)

    head, sentence = printed.output.splitlines()[-2:]
    assert printed.code == 1
    assert head == "demo/web: failed (ReplacementError)."
    assert "CannotPullContainerError" in sentence
    assert capacity(world)[0] == 2


def test_a_run_that_leaves_tasks_says_why_and_how_to_go_on(world: World, person: Person) -> None:
    a_service(world, tasks=4)

    printed = person.types(f"{RUN} --finish-within-minutes 3")

    assert printed.code == 3
    assert "demo/web: partial. " in printed.output
    assert "\nNot recycled:\n  " in printed.output
    before = record(world)["started_before_at"]
    assert printed.output.endswith(
        f"\nGo on by: ecs-task-recycle run demo web --started-before {before}\n"
    )


def test_nothing_to_do_is_no_failure(world: World, person: Person) -> None:
    a_service(world)

    printed = person.types(f"{RUN} --started-before 2020-01-01T00:00:00Z")

    assert printed.code == 0
    assert printed.output.startswith("demo/web: nothing to do. ")


def test_a_second_run_is_refused_and_the_first_goes_on(world: World, person: Person) -> None:
    a_service(world, tasks=1)
    second = person.will_type(40, RUN)

    first = person.types(RUN)

    assert first.code == 0
    assert second[0].code == 1
    assert "demo/web: failed (AlreadyRunningError)." in second[0].output


def test_a_refused_service_is_told_before_anything_is_sent_twice(
    person: Person, cloud: Cloud
) -> None:
    printed = person.types("run demo nowhere")

    assert printed.code == 1
    assert printed.output.startswith("demo/nowhere: failed (PreconditionError).\n")
    assert len(runs_of(cloud)) == 1


def test_a_queued_request_is_followed_in_the_run_that_takes_it(
    world: World, person: Person
) -> None:
    a_service(world, tasks=1)
    second = person.will_type(40, f"{RUN} --if-running queue")

    first = person.types(RUN)

    assert [first.code, second[0].code] == [0, 0]
    assert "Queued: run " in second[0].output
    assert "demo/web: completed." in second[0].output.splitlines()[-1]


# -- longer than an invocation, and interrupted ---------------------------------------------------


def test_a_run_is_followed_through_its_further_invocations(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARDIAN_ARN", MACHINE_ARN)
    a_service(world, tasks=2)

    printed = person.types("run demo web --wait-time 900")

    assert printed.code == 0
    assert "\nContinued: the rest goes on, watched over by arn:aws:states:" in printed.output
    assert printed.output.splitlines()[-1] == "demo/web: completed. 2 tasks recycled."


def test_a_lost_answer_is_made_up_for_by_the_status(
    world: World, person: Person, cloud: Cloud
) -> None:
    a_service(world, tasks=1)
    cloud.loses_runs = True

    printed = person.types(RUN)

    assert printed.code == 0
    assert "\nThe answer was lost, the run goes on. Connection was closed" in printed.output
    assert printed.output.splitlines()[-1] == "demo/web: completed. 1 task recycled."
    assert len(runs_of(cloud)) == 1


def test_a_killed_run_that_nobody_goes_on_with_is_a_failure(world: World, person: Person) -> None:
    a_service(world)
    world.kill_at(60)

    printed = person.types(RUN)

    assert printed.code == 1
    assert "\nThe invocation was ended (Sandbox.Timedout). " in printed.output
    assert "\nInterrupted after 0 of 3 tasks\n" in printed.output
    assert printed.output.endswith("Put back what it has raised by the command restore.\n")
    restored = person.types("restore demo web")
    assert restored.code == 0
    assert restored.output.startswith("demo/web: restored.")
    assert capacity(world)[0] == 3


def test_an_interruption_leaves_the_run_and_says_how_to_stop_it(
    world: World, person: Person, cloud: Cloud
) -> None:
    a_service(world)
    person.clock.at(50, interrupt)

    printed = person.types(RUN)
    cloud.let_runs_end()

    assert printed.code == 130
    assert printed.output.splitlines()[-3:] == [
        "Interrupted. The run goes on without this command.",
        "  Follow it again: ecs-task-recycle status demo web --follow",
        "  Stop it after the task in hand: ecs-task-recycle stop demo web",
    ]
    assert is_free(world)
    assert record(world)["status"] == "completed"


def test_what_is_to_be_typed_names_the_function_that_was_named(
    world: World, person: Person
) -> None:
    a_service(world, tasks=1)
    person.clock.at(5, interrupt)

    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}"
    printed = person.types(f"{RUN} --function {arn} --region us-east-1")

    typed = f"ecs-task-recycle stop demo web --function {arn} --region us-east-1"
    assert printed.output.splitlines()[-1].endswith(typed)


def test_a_run_is_stopped_from_another_window(world: World, person: Person) -> None:
    a_service(world)
    stopping = person.will_type(60, "stop demo web")

    printed = person.types(RUN)

    assert stopping[0].code == 0
    assert stopping[0].output.startswith("demo/web: stopping. Run ")
    assert printed.code == 3


def test_a_run_is_followed_from_another_window(world: World, person: Person) -> None:
    a_service(world, tasks=1)
    other = person.will_type(40, "status demo web --follow")

    person.types(RUN)

    assert other[0].code == 0
    assert other[0].output.splitlines()[-1] == "demo/web: completed. 1 task recycled."


def test_a_run_may_be_begun_without_being_followed(
    world: World, person: Person, cloud: Cloud
) -> None:
    a_service(world, tasks=1)

    printed = person.types(f"{RUN} --no-follow --json")
    cloud.let_runs_end()

    document = json.loads(printed.output)
    assert printed.code == 0
    assert [each.kind for each in cloud.invocations] == ["Event"]
    assert document["run_id"] == record(world)["run_id"]
    assert record(world)["status"] == "completed"


# -- what Lambda says -----------------------------------------------------------------------------


def test_a_throttled_invocation_is_tried_again(world: World, person: Person, cloud: Cloud) -> None:
    a_service(world, tasks=1)
    cloud.throttled_count = 3

    assert person.types(RUN).code == 0
    assert len(runs_of(cloud)) == 1


def test_an_invocation_that_stays_throttled_is_given_up(person: Person, cloud: Cloud) -> None:
    cloud.throttled_count = 1000

    printed = person.types("status demo web")

    assert printed.code == 1
    assert "Lambda throttles the invocation: Rate Exceeded. Nothing was begun." in printed.output
    assert len(cloud.invocations) == 5


def test_a_denied_invocation_names_the_permission(person: Person, cloud: Cloud) -> None:
    cloud.is_denied = True

    printed = person.types(RUN)

    assert printed.code == 1
    assert "lambda:InvokeFunction was denied: User: arn:aws:iam::" in printed.output
    assert printed.output.endswith(f" Allow it on the function {FUNCTION}.\n")


def test_a_missing_function_says_how_to_name_it(person: Person) -> None:
    printed = person.types("status demo web --function other")

    assert printed.code == 1
    assert "There is no function other in us-east-1: Function not found: " in printed.output
    assert "--function (the stack's output FunctionName), its region by --region" in printed.output


@pytest.mark.parametrize("body", [b"null", b'{"statusCode": 200}', b'"text"', b"<html>", b""])
def test_another_function_is_found_out(person: Person, cloud: Cloud, body: bytes) -> None:
    cloud.answers = [HttpAnswer(status=200, body=body)]

    printed = person.types("status demo web")

    assert printed.code == 1
    assert "does not answer as ecs-task-recycle does" in printed.output


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9", "Could not connect to the endpoint"),
        ("AWS_ENDPOINT_URL_LAMBDA", "nonsense", "Invalid endpoint"),
        ("AWS_ACCESS_KEY_ID", "", "Unable to locate credentials"),
        ("AWS_DEFAULT_REGION", "", "You must specify a region"),
        ("AWS_PROFILE", "nope", "profile (nope) could not be found"),
    ],
)
def test_what_keeps_an_invocation_from_being_made_is_a_sentence(
    person: Person, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)

    printed = person.types("status demo web")

    assert printed.code == 1
    assert words in printed.output
    assert "Traceback" not in printed.output + printed.errors


# -- the other commands ---------------------------------------------------------------------------


def test_a_plan_lists_the_tasks_and_changes_nothing(world: World, person: Person) -> None:
    tasks = a_service(world).active_tasks
    world.protect_task(tasks[0], minutes=60)

    printed = person.types("plan demo web --protected-tasks skip")

    assert printed.code == 0
    assert "demo/web: planned. 2 tasks would be recycled, in at least " in printed.output
    assert f"\n    1  {tasks[1].id}  started 2026-01-" in printed.output
    assert f"\nLeft alone:\n  {tasks[0].id}: " in printed.output
    assert printed.output.endswith("Every permission is there. Nothing was changed.\n")
    assert is_free(world)


def test_the_status_tells_the_last_run(world: World, person: Person) -> None:
    a_service(world, tasks=1)
    assert "not been recycled" in person.types("status demo web").output
    person.types(RUN)

    printed = person.types("status demo web")

    head, *facts = printed.output.splitlines()
    assert printed.code == 0
    assert head.startswith("demo/web: run ")
    assert head.endswith(", ended, 1 of 1 tasks recycled.")
    assert "  outcome: completed" in facts


def test_a_task_whose_stop_failed_is_not_told_as_recycled(world: World, person: Person) -> None:
    a_service(world, tasks=3)
    world.after_call("StopTask", 1, lambda w: w.faults.deny("ecs:StopTask"))
    assert person.types("run demo web --wait-time 0").code == 1

    head, *_ = person.types("status demo web").output.splitlines()

    assert head.endswith(", ended, 1 of 3 tasks recycled.")


def test_there_may_be_no_run_to_stop(person: Person) -> None:
    printed = person.types("stop demo web")

    assert printed.code == 0
    assert printed.output == "demo/web: nothing to do. No run is in progress.\n"


# -- for machines ---------------------------------------------------------------------------------


def test_json_is_one_document_and_the_progress_goes_elsewhere(world: World, person: Person) -> None:
    a_service(world, tasks=1)

    printed = person.types(f"{RUN} --json")

    document = json.loads(printed.output)
    assert (document["status"], document["exit_code"]) == ("completed", 0)
    assert document["tasks"][0]["replacement"]
    assert "Recycling task 1/1: " in printed.errors


def test_a_failure_is_a_document_as_well(person: Person, cloud: Cloud) -> None:
    cloud.is_denied = True

    printed = person.types(f"{RUN} --json")

    document = json.loads(printed.output)
    assert (document["status"], document["exit_code"]) == ("failed", 1)
    assert "lambda:InvokeFunction" in document["reason"]


def test_an_interruption_is_a_document_as_well(world: World, person: Person) -> None:
    a_service(world, tasks=1)
    person.clock.at(20, interrupt)

    printed = person.types(f"{RUN} --json")

    assert json.loads(printed.output) == {"status": "interrupted", "exit_code": 130}
    assert "ecs-task-recycle stop demo web" in printed.errors
