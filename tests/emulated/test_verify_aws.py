"""What the verification measures, held against the knobs of an emulated ECS, in virtual time."""

from __future__ import annotations

import json
import threading
import zipfile
from dataclasses import replace
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.stub import Stubber

from ecs_emulator import Knobs, World
from ecs_emulator.wire.in_process import attach
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import SystemClock
from ecs_task_recycle.errors import AwsCallError
from tests.docs.markdown import table
from tests.docs.pages import PROJECT, guide
from tests.infrastructure.template import read_template
from verify_aws import questions
from verify_aws.__main__ import main
from verify_aws.account import NAME, Account, connect
from verify_aws.deployment import build_zip
from verify_aws.page import Findings, Step, page
from verify_aws.probes import Probes
from verify_aws.watching import Client, Figure, Observer, Watched, figures, meanwhile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ecs_emulator.wire.in_process import Switchboard

EXACT: Final = Knobs(
    scheduler_interval=3.0, replaces_after_stopped=False, provisioning=5.0, pending=10.0,
    activating=2.0, target_health_delay=12.0, stop_reaction=1.0, drain=20.0, stop_time=4.0,
    deprovision=6.0, staleness=0.0, latency=0.0,
)  # fmt: skip
BALANCED: Final = {
    "StopTask to the target seen draining": (1, 1, 2),
    # A target is registered while its task is ACTIVATING.
    "The replacement's start to in service": (12 - 2, 1, 2),
    "StopTask to the replacement in service": (3 + 15 + 12, 1, 2),
    "StopTask to the end of the container": (1 + 20 + 4, 0, 2),
    "StopTask to STOPPED": (1 + 20 + 4 + 6, 0, 2),
    "StopTask to the replacement's creation": (3, 0, 2),
    "STOPPED to the replacement's creation (negative: before)": (3 - 31, 0, 2),
    "The replacement's creation to its start": (5 + 10 + 2, 0, 2),
    "StopTask to the stop signal, by the container's log": (0, 0, 0),
}
"""Seconds, how much later they may be seen, and how many times."""
PLAIN: Final = {
    "STOPPED to the replacement's creation (negative: before)": (3, 0, 2),
    "StopTask to the target seen draining": (0, 0, 0),
    "The replacement's start to in service": (0, 1, 2),
}


@pytest.fixture(scope="module")
def board() -> Iterator[Switchboard]:
    with attach(World()) as one:
        yield one


def a_world(board: Switchboard, name: str, **knobs: Any) -> tuple[World, Account]:  # noqa: ANN401
    world = board.world = World(knobs=replace(EXACT, **knobs))
    world.create_service(cluster=NAME, name=name, target_group=name == "balanced")
    return world, replace(connect(), clock=world.clock)


@pytest.mark.parametrize("name, expected", [("balanced", BALANCED), ("plain", PLAIN)])
def test_every_figure_is_what_the_knobs_say(
    board: Switchboard, name: str, expected: dict[str, tuple[int, int, int]]
) -> None:
    world, account = a_world(board, name, replaces_after_stopped=name == "plain")
    watched = Watched()
    observer = Observer(account, {name: watched})
    for at in (5.0, 65.0):
        world.at(at, lambda world: world.stop_task(world.services[0].active_tasks[0]))
    for _ in range(150):
        observer.look()
        world.clock.sleep(1)
    found = {each.name: each.seconds for each in figures(watched)}
    for figure, (seconds, late, times) in expected.items():
        assert len(found[figure]) == times, figure
        assert all(-0.01 <= each - seconds <= late + 0.01 for each in found[figure]), figure
    assert watched.lowest_in_service(world.started_at, world.now) == 2
    assert watched.lowest_in_service(world.started_at, world.started_at + 4) == 3
    assert not observer.errors


def test_one_look_alone_is_not_believed_and_reads_that_fail_are_counted(board: Switchboard) -> None:
    once = Watched(in_service=[(0.0, 3), (1.0, 1), (2.0, 3), (3.0, 3)])
    assert (once.lowest_in_service(0, 3), once.lowest_in_service(4, 5)) == (3, None)
    world, account = a_world(board, "plain")
    observer = Observer(account, {"plain": once})
    world.faults.deny("ecs:DescribeTasks")
    observer.look()
    assert ["AccessDeniedException" in each for each in observer.errors] == [True]


def probe(board: Switchboard, **knobs: Any) -> dict[str, float]:  # noqa: ANN401
    world, account = a_world(board, "plain", **knobs)
    found: list[Figure] = []
    gateway = Gateway(account.session, world.clock, **questions.PLAIN)
    Probes(account=account, gateway=gateway, figures=found).run()
    assert world.service(NAME, "plain").desired_count == 3
    target = world.autoscaling.targets[gateway.resource_id]
    assert (target.min_capacity, target.max_capacity) == (3, 6)
    rows = {row["Behaviour"] for row in table(guide("emulator"), "Behaviour")}
    assert {each.row for each in [*found, *figures(Watched())]} <= rows
    return {each.name: each.seconds[0] for each in found}


def test_the_probes_measure_lag_conflicts_and_reads_that_are_out_of_date(
    board: Switchboard,
) -> None:
    found = probe(board, aas_lag=11.0, aas_conflict=60.0)
    assert found["RegisterScalableTarget to the new desired count"] == pytest.approx(11, abs=0.5)
    refused = found["RegisterScalableTarget to the last ConcurrentUpdateException (0: none)"]
    assert refused == pytest.approx(60, abs=1.5)
    assert {found[name] for name in found if " until " in name} == {0.0}
    found = probe(board, staleness=3.0, counts_stopping_tasks=True, aas_lag=1.0)
    # stop_reaction: until then the task is RUNNING, and counted here.
    assert 1 <= found.pop("StopTask until runningCount leaves the task out") <= 5
    reads = [found[name] for name in found if " until " in name]
    assert len(reads) == 3
    assert all(0 < each <= 3 for each in reads)
    with pytest.raises(AwsCallError, match="ConcurrentUpdateException"):
        probe(board, aas_lag=1.0, aas_conflict=1000.0)


def test_a_deleted_service_tells_its_states_and_how_calls_are_refused(board: Switchboard) -> None:
    world, account = a_world(board, "plain")
    account.aws.ecs.delete_service = lambda **_: world.delete_service(NAME, "plain")
    told = questions.inactive(account)
    assert told.startswith("DescribeServices: DRAINING, then INACTIVE; ListTasks: ")
    assert "UpdateService: An error occurred (ServiceNotActiveException)" in told


def test_what_is_asked_in_sessions_with_less_and_less_rights(board: Switchboard) -> None:
    world, account = a_world(board, "plain")
    role = f"arn:aws:iam::{world.account.id}:role/limits"
    session = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/verify-"
    register, stop = "application-autoscaling:RegisterScalableTarget", "ecs:StopTask"
    world.faults.deny(register, principal=session)
    via, directly, never = questions.via_aws_service(account, role).split("; ")
    assert [via[-8:], directly[-8:]] == ["accepted", "accepted"]
    assert never.startswith("rights to ECS never: ")
    assert "AccessDeniedException" in never
    world.faults.deny(stop, principal=f"{session}probes")
    told = questions.authorisation_first(account, role, "")
    assert told.startswith(f"denied: ['{stop}']; refused for their arguments: ['ecs:UpdateTask")
    assert questions.gateway(account, None) == "not tried: no --gateway-service"
    told = questions.gateway(account, f"{NAME}/plain")
    assert told.startswith("loadBalancers has 0 entries; revisions show [[")


def test_the_logs_tell_stop_signals_and_requests_at_first_and_after_the_slow_start(
    board: Switchboard,
) -> None:
    _, account = a_world(board, "plain")
    watched = Watched(tasks={"a": {"createdAt": 1.0, "StopTask": 10.0}})
    said = "2026/01/05 [notice] 1#1: signal 3 (SIGQUIT) received, shutting down"
    streams = ("task/web/a", said), ("task/web/a", "a signal"), ("task/web/other", said)
    events = [{"logStreamName": stream, "timestamp": 12500, "message": message}
              for stream, message in streams]  # fmt: skip
    with Stubber(account.aws.logs) as logs:
        logs.add_response("filter_log_events", {"events": events})
        assert questions.stop_signals(account, [watched]) == "1 found"
    (signal,) = [each for each in figures(watched) if "stop signal, by" in each.name]
    assert signal.seconds == (2.5,)
    new, old = {"createdAt": 105.0, "inService": 120.0}, {"createdAt": 50.0, "inService": 100.0}
    watched = Watched(tasks={"a": new, "b": old}, in_service=[(100.0, 3)])
    with Stubber(account.aws.logs) as logs:
        for since, count in ((120, 5), (160, 80)):
            asked = {"logGroupName": f"/ecs/{NAME}", "logStreamNames": ["task/web/a"],
                     "startTime": since * 1000, "endTime": (since + 10) * 1000,
                     "filterPattern": '"GET /" -"ELB-HealthChecker"'}  # fmt: skip
            logs.add_response("filter_log_events", {"events": [{}] * count}, asked)
        told = questions.slow_start(account, watched)
    assert told.startswith("0.5 requests a second to a task in its first 10 s")
    assert "8.0 after 40 s (1 tasks" in told


@pytest.mark.local_socket
def test_clients_note_each_answer_until_all_is_over() -> None:
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request).start()
        urls = (f"http://127.0.0.1:{server.server_port}/nowhere", "http://127.0.0.1:9/")
        clients = [Client(url, url == urls[0], SystemClock()) for url in urls]
        with meanwhile([(0.01, each.request) for each in clients]):
            threading.Event().wait(0.2)
    assert [each.answers[0][1] for each in clients] == ["404", "NewConnectionError"]
    assert len(clients[1].answers) > 1


def test_the_page_sets_answers_against_stops_and_names_what_did_not_hold() -> None:
    answers = [(9.0, "502"), (12.0, "502"), (70.0, "200")]
    client = Client("", keeps_connection=False, clock=World().clock, answers=answers)
    findings = Findings(began_at=0.0, region="us-east-1", clients=[client], error="denied")
    findings.steps.append(Step("balanced", "heal", outcome="a | b", broken=["only 2 in service"]))
    findings.watched["balanced"] = Watched(tasks={"a": {"createdAt": 1.0, "StopTask": 10.0}})
    text = page(findings)
    assert "- **It ended early: denied**" in text
    assert "- **balanced, heal: only 2 in service**" in text
    assert r"| a \| b |" in text
    (bad,) = [row for row in table(text, "Client") if row["Answer"] == "502"]
    assert bad["Times"] == "2"
    assert bad["Seconds since StopTask (-1: before any)"] == "-1.0 / 0.5 / 2.0"


def test_without_a_network_or_a_region_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SystemExit):
        main([])
    assert main(["--vpc", "vpc-0a", "--subnets", "subnet-0a,subnet-0b"]) == 2


def test_the_zip_has_the_function_its_killer_and_no_configuration(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_zip(tmp_path)) as archive:
        assert {"lambda_function.py", "mortal.py"} <= {*archive.namelist()}
        assert json.loads(archive.read("input.json")) == {}
        assert {each.external_attr >> 16 for each in archive.infolist()} == {0o100644}


def test_nothing_of_the_services_outlives_the_stack_and_nobody_else_reaches_them() -> None:
    resources = read_template((PROJECT / "verify_aws/template.yaml").read_text())["Resources"]
    assert not [each for each in resources.values() if "DeletionPolicy" in each]
    (outside,) = resources["LoadBalancerSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert outside["CidrIp"] == {"Ref": "ClientCidr"}
    rules = resources["TaskSecurityGroup"]["Properties"]["SecurityGroupIngress"]["Fn::If"]
    assert ["SourceSecurityGroupId" in each for each in rules[1]] == [True]
