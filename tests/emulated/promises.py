"""What a run promises (README, "What a run promises"), as checks of a world that was lived through.

Each check raises AssertionError. What happens so shortly before a stop that no read could show it
excuses the run: see `blind_seconds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ecs_task_recycle.errors import AlreadyRunningError, PreconditionError, RecycleError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import capacity, is_free, stopped_by_us
from tests.emulated.lived import changes, protected_stops
from tests.emulated.oracle import judge
from tests.emulated.random_accidents import ALARM

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.lived import Lived
    from tests.emulated.oracle import Judgement


def blind_seconds(lived: Lived, *, poll_seconds: float = 10.0) -> float:
    """Return how old what a run goes by may be: its last read, its way, and what it showed."""
    knobs = lived.world.knobs
    latency = knobs.latency if isinstance(knobs.latency, float | int) else max(knobs.latency)
    # A call that fails is repeated by botocore, with growing pauses.
    return poll_seconds + knobs.staleness + 20 * latency + (150 if lived.story.faults else 0)


def never_fewer_in_service(lived: Lived) -> None:
    """1 and 2: at each stop enough are in service, so that one at a time is replaced."""
    story, service = lived.story, lived.service
    counts = [count for _, count, _ in service.desired_history]
    needed = min(*counts, lived.in_service_count) - (0 if story.maintains else 1)
    lost, blind = lived.lost(), blind_seconds(lived)
    for at, task in lived.stops():
        if any(at - blind <= each <= at for each in lost):
            continue
        count = lived.in_service_at(at)
        was_serving = service.serves(task.timeline.at(at - 0.001))
        assert count >= needed or not was_serving, f"{count} in service after {task} at {at}"
    if story.is_calm:
        lowest = lived.world.lowest_in_service(since=lived.began_at)
        assert lowest >= needed, f"{lowest} in service, {needed} needed"


def only_the_work_list(lived: Lived) -> None:
    """3: only tasks that were there before the run, the oldest first, and each of them counts."""
    stopped = [task for _, task in lived.stops()]
    assert {task.arn for task in stopped} <= lived.originals | lived.queued
    report = lived.report
    if report.status is Status.COMPLETED:
        wanted = lived.running | lived.queued
        left = wanted & {task.arn for task in lived.service.active_tasks}
        assert not left, f"{left} were to be recycled"
    answer = report.answer().as_json()
    told = {each["task"] for each in answer["tasks"]} | set(answer["remaining"])
    if report.status in {Status.COMPLETED, Status.PARTIAL} and not lived.deaths:
        assert {task.arn for task in stopped} <= told
    if lived.story.is_calm:
        ages = [task.number for task in stopped]
        assert ages == sorted(ages)


def protection_is_respected(lived: Lived) -> None:
    """4: no task is stopped whose protection a read right before could show."""
    if lived.story.event["protected_tasks"] != "stop":
        assert protected_stops(lived, blind_seconds(lived, poll_seconds=0.5)) == []


def capacity_comes_back(lived: Lived) -> None:
    """5: whatever ended the run, desired count and limits are as before, and the record is free."""
    if lived.restored_by_hand is not None:
        by_itself = lived.story.is_guarded and not lived.story.faults
        # What is out may keep the guardian from its start; then nothing has been raised.
        was_raised = lived.restored_by_hand.status is Status.RESTORED
        is_excused = lived.story.outage is not None and not was_raised
        assert is_excused or not by_itself, "the guardian left it raised"
        assert lived.restored_by_hand.error is None
    assert lived.story.record is not None or is_free(lived.world)
    if not lived.story.is_disturbed:
        assert capacity(lived.world) == lived.found


def judged(lived: Lived) -> Judgement:
    """Return which capacity must be there, by what everybody did who moved it."""
    return judge(lived, blind_seconds=blind_seconds(lived, poll_seconds=0.0))


def what_somebody_sets_stays(lived: Lived) -> None:
    """5: each number is in the end what somebody else wrote last, or what was found.

    What they set while no read could show it yet may be written over: neither ECS nor autoscaling
    compares and sets. A number that is just what the run wrote cannot be told from it.
    """
    if lived.story.is_disturbed:
        verdict, now = judged(lived), capacity(lived.world)
        assert verdict.allows(now), f"{now} is there, and not {verdict}"


def one_run_per_service(lived: Lived) -> None:
    """6: another event changes nothing while a run works, and gets an answer that says so."""
    for asked in lived.asked:
        assert not asked.wrote, f"{asked.what} has written"
        if asked.what in {"recycle", "restore"}:
            assert isinstance(asked.report.error, AlreadyRunningError), asked.report.answer()
        else:
            assert asked.report.error is None, asked.report.answer()


def ends_in_time(lived: Lived) -> None:
    """7: no invocation is killed by Lambda's limit, and each run has an answer."""
    hangs = lived.story.outage is not None and not lived.story.outage.answers
    assert hangs or lived.deaths <= len(lived.story.kills)
    assert lived.reports


def refuses_before_it_touches(lived: Lived) -> None:
    """8: what cannot be recycled is refused with nothing written."""
    # Where a service is out, that may be told first.
    comes_first = lived.deaths or lived.story.record is not None or lived.story.outage is not None
    if not lived.story.is_refused or comes_first or lived.story.faults:
        return
    assert isinstance(lived.report.error, PreconditionError), lived.report.answer()
    assert changes(lived.world) == []


def deployments_and_alarms_end_it(lived: Lived) -> None:
    """8 and 9: once a read could show another deployment, or an alarm, no task is stopped."""
    service, blind = lived.service, blind_seconds(lived)
    first = service.timeline.at(lived.began_at).deployments[0].id
    has_alarm = "alarms" in lived.story.options or "alarms" in lived.story.event
    alarms = lived.world.alarms.get(ALARM)
    for at, _ in lived.stops():
        seen = [service.timeline.at(each).deployments[0].id for each in (at - blind, at)]
        assert first in seen, f"a task was stopped at {at} during the deployment {seen}"
        if has_alarm and alarms is not None:
            states = {alarms.at(each).state for each in (at - blind, at)}
            assert states != {"ALARM"}, f"a task was stopped at {at} in ALARM"


def failures_say_why(lived: Lived) -> None:
    """9: an end before the work is done has a reason; an error is one of ours, and a sentence."""
    for report in lived.reports:
        answer = report.answer().as_json()
        if report.error is not None:
            assert isinstance(report.error, RecycleError), repr(report.error)
            assert report.error.sentence.endswith((".", "…")), report.error.sentence
        elif report.status is not Status.COMPLETED:
            assert answer["reason"], answer


def a_record_is_input(lived: Lived) -> None:
    """10: another run's record, or none that anybody can read, stops everything.

    A request that may be queued is: that run, of which there is no more than its record, takes it.
    """
    lets_go = lived.deaths or lived.story.faults
    if lived.story.record not in {"alive", "nonsense"} or lets_go:
        return
    assert changes(lived.world) == []
    if lived.story.record == "alive" and lived.story.queues:
        assert lived.report.status is Status.QUEUED or lived.story.is_refused
        return
    kind = AlreadyRunningError if lived.story.record == "alive" else RecycleError
    assert lived.report.error is not None
    if not lived.story.is_refused:
        assert isinstance(lived.report.error, kind | PreconditionError), lived.report.answer()


def calm_runs_complete(lived: Lived) -> None:
    """Where nothing goes wrong, every task is replaced that the event asks for, and no other."""
    if not lived.story.is_calm or lived.story.is_refused:
        return
    expected = Status.COMPLETED if lived.running else Status.NOTHING_TO_DO
    assert lived.report.status is expected, lived.report.answer()
    assert stopped_by_us(lived.service) == lived.running
    assert len(lived.service.active_tasks) == lived.story.tasks


PROMISES: Final[tuple[Callable[[Lived], None], ...]] = (
    ends_in_time,
    never_fewer_in_service,
    only_the_work_list,
    protection_is_respected,
    capacity_comes_back,
    what_somebody_sets_stays,
    one_run_per_service,
    refuses_before_it_touches,
    deployments_and_alarms_end_it,
    failures_say_why,
    a_record_is_input,
    calm_runs_complete,
)
