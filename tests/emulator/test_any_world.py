"""In any world, whatever its knobs and whoever interferes, the books balance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from ecs_emulator import FailingStart, Knobs, World

if TYPE_CHECKING:
    from ecs_emulator.state.model import Service

seconds = st.one_of(
    st.just(0.0),
    st.floats(0, 60),
    st.tuples(st.floats(0, 10), st.floats(10, 60)),
)
failing = st.builds(
    FailingStart,
    kind=st.sampled_from(["never_running", "exits", "unhealthy"]),
    launches=st.frozensets(st.integers(1, 6), max_size=4),
    after_seconds=seconds,
)
knobs = st.builds(
    Knobs,
    scheduler_interval=seconds,
    provisioning=seconds,
    pending=seconds,
    activating=seconds,
    container_health_delay=st.none() | seconds,
    target_health_delay=seconds,
    stop_reaction=seconds,
    drain=seconds,
    drains_on_stop=st.booleans(),
    stop_time=seconds,
    deprovision=seconds,
    launch_throttle=st.booleans(),
    failing_starts=st.lists(failing, max_size=2).map(tuple),
    scale_in_choice=st.sampled_from(["az_heaviest", "random", "newest"]),
    aas_lag=seconds,
    replaces_after_stopped=st.booleans(),
    deregisters_after_exit=st.booleans(),
    counts_stopping_tasks=st.booleans(),
    aas_conflict=st.none() | seconds,
)


def with_percents(options: dict[str, Any]) -> dict[str, Any]:
    """Spread the pair: with others than these, Amazon's scheduler, too, gets stuck."""
    low, high = options.pop("percents")
    return {**options, "minimum_healthy_percent": low, "maximum_percent": high}


services = st.fixed_dictionaries(
    {
        "desired_count": st.integers(0, 5),
        "target_group": st.integers(0, 2),
        "network_mode": st.sampled_from(["awsvpc", "bridge", "bridge-static", "host"]),
        "settled": st.booleans(),
        "percents": st.sampled_from([(0, 100), (50, 200), (100, 200)]),
    }
).map(with_percents)
DOINGS = ("desired", "stop", "crash", "unhealthy", "rebalance", "deploy", "protect", "limits")
doings = st.lists(
    st.tuples(st.sampled_from(DOINGS), st.integers(0, 400), st.integers(0, 5)), max_size=6
)


def do(world: World, doing: str, number: int) -> None:
    """Interfere as somebody would; `number` is the desired count or picks the task."""
    service = world.services[0]
    active = service.active_tasks
    if doing == "desired":
        world.set_desired_count("demo", "web", number)
    elif doing == "limits":
        world.set_limits("demo", "web", min_capacity=number, max_capacity=number + 2)
    elif doing == "deploy" and len(service.state.deployments) < 3:
        world.start_deployment("demo", "web")
    elif active:
        interfere(world, doing, active[number % len(active)].arn)


def interfere(world: World, doing: str, arn: str) -> None:
    if doing == "stop":
        world.stop_task(arn)
    elif doing == "crash":
        world.crash_task(arn)
    elif doing == "unhealthy":
        world.make_unhealthy(arn)
    elif doing == "rebalance":
        world.rebalance("demo", "web", arn)
    elif doing == "protect":
        world.protect_task(arn, minutes=5)


def count_in_service(service: Service, at: float) -> int:
    return sum(
        service.serves(task.timeline.at(at)) for task in service.tasks if task.created_at <= at
    )


@given(knobs=knobs, options=services, plan=doings, seed=st.integers(0, 9))
def test_the_service_ends_up_whole_and_the_records_agree(
    knobs: Knobs, options: dict[str, Any], plan: list[tuple[str, int, int]], seed: int
) -> None:
    world = World(knobs=knobs, seed=seed)
    service = world.create_service(cluster="demo", name="web", instances=9, **options)
    for doing, at, number in plan:
        world.at(at, partial(do, doing=doing, number=number))
    world.advance(6000)

    wanted = service.desired_count
    assert [task.in_service for task in service.active_tasks] == [True] * wanted
    assert service.in_service_count == wanted
    assert len(service.state.deployments) == 1
    assert service.scheduler_state.steady, "it has announced its steady state"
    assert all(task.last_status in {"RUNNING", "STOPPED"} for task in service.tasks)
    for changed_at, count in world.in_service_history():
        assert count == count_in_service(service, changed_at)
    for task in service.tasks:
        instants = [at for at, *_ in task.history]
        assert instants == sorted(instants)


@given(knobs=knobs, plan=doings, capacity=st.integers(3, 5))
def test_no_more_tasks_hold_resources_than_there_is_capacity(
    knobs: Knobs, plan: list[tuple[str, int, int]], capacity: int
) -> None:
    world = World(knobs=Knobs(**{**vars_of(knobs), "capacity": capacity}))
    service = world.create_service(cluster="demo", name="web", target_group=True)
    for doing, at, number in plan:
        world.at(at, partial(do, doing=doing, number=number))
    for _ in range(100):
        world.advance(10)
        assert service.cluster.held_count <= capacity


def vars_of(knobs: Knobs) -> dict[str, Any]:
    return {name: getattr(knobs, name) for name in Knobs.__dataclass_fields__}
