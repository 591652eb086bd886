"""The picture of the tasks over time, drawn from records made by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from demo.palette import Colour, Palette, palette_for
from demo.picture import columns_of, draw, seconds_below
from demo.record import Level, Phase, Record, Role, TaskRecord, lowest, read_record

FULL_PHASES = ((0.0, Phase.IN_SERVICE),)


def levels(*pairs: tuple[float, int]) -> tuple[Level, ...]:
    return tuple(Level(at=at, count=count) for at, count in pairs)


def task(
    number: int, role: Role, *phases: tuple[float, Phase], stopped_by: str | None = None
) -> TaskRecord:
    return TaskRecord(
        arn=f"arn:aws:ecs:us-east-1:123456789012:task/demo/{number:08d}ffff",
        role=role,
        phases=phases,
        stopped_by=stopped_by,
    )


def record(
    *tasks: TaskRecord,
    in_service: tuple[Level, ...],
    desired: tuple[Level, ...] | None = None,
    until: float = 10.0,
) -> Record:
    return Record(
        since=0.0,
        until=until,
        tasks=tasks,
        desired=desired or levels((0, in_service[0].count)),
        in_service=in_service,
        written_operations=(),
    )


def row(lines: list[str], label: str) -> str:
    (found,) = [line for line in lines if label in line]
    return found[23:]


def test_each_phase_of_a_task_has_its_symbol_in_its_time() -> None:
    new = task(
        7,
        Role.REPLACEMENT,
        (1.0, Phase.STARTING),
        (2.0, Phase.RUNNING),
        (3.0, Phase.IN_SERVICE),
        (4.5, Phase.LEAVING),
        (5.0, Phase.GONE),
    )
    lines = draw(record(new, in_service=levels((0, 1))))
    assert row(lines, "00000007 replacement") == "  ··▒▒███░"


def test_time_in_service_under_protection_has_a_symbol_of_its_own() -> None:
    worker = replace(
        task(1, Role.ORIGINAL, (0.0, Phase.IN_SERVICE), (7.0, Phase.LEAVING)),
        protections=((2.0, 3.0), (3.0, 5.0), (6.5, 9.0)),
    )
    lines = draw(record(worker, in_service=levels((0, 1))))
    assert row(lines, "00000001 original") == "████◆◆◆◆◆◆███◆░░░░░░"


def test_originals_surge_and_replacements_are_named_by_their_short_ids() -> None:
    tasks = [task(number, role, *FULL_PHASES) for number, role in enumerate(Role)]
    lines = draw(record(*tasks, in_service=levels((0, 3))))
    assert [line[:23].split() for line in lines[1:4]] == [
        ["00000000", "original"],
        ["00000001", "surge"],
        ["00000002", "replacement"],
    ]


def test_a_dip_is_shown_where_it_was_and_said_in_words() -> None:
    lines = draw(record(in_service=levels((0, 3), (4, 2), (6, 3))))
    assert row(lines, "in service    ") == "33333333222233333333"
    assert row(lines, "the line at 3") == "━━━━━━━━▼▼▼▼━━━━━━━━"
    assert "lowest in service: 2. The line was CROSSED (▼), for 2.0 s." in lines[-1]


def test_a_dip_much_shorter_than_a_column_is_shown_too() -> None:
    lines = draw(record(in_service=levels((0, 3), (4.1, 1), (4.15, 3))))
    assert row(lines, "in service    ") == "33333333133333333333"
    assert row(lines, "the line at 3").count("▼") == 1


def test_without_a_dip_the_line_is_whole_and_words_say_so() -> None:
    lines = draw(record(in_service=levels((0, 3), (2, 4), (8, 3))))
    assert row(lines, "the line at 3") == "━" * 20
    assert lines[-1].endswith("lowest in service: 3. The line was never crossed.")


def test_the_line_is_the_original_desired_count_even_when_more_were_desired() -> None:
    lines = draw(record(in_service=levels((0, 3)), desired=levels((0, 3), (5, 4))))
    assert row(lines, "desired count 3") == "3" * 10 + "4" * 10
    assert "▼" not in row(lines, "the line at 3")


@pytest.mark.parametrize("until", [0.1, 9.9, 38.5, 39, 120, 900, 100_000])
def test_no_line_is_wider_than_asked_for(until: float) -> None:
    drawn = draw(
        record(task(1, Role.SURGE, *FULL_PHASES), in_service=levels((0, 3)), until=until), width=100
    )
    assert max(map(len, drawn)) <= 100


def test_the_axis_counts_the_seconds_from_where_the_picture_begins() -> None:
    lines = draw(record(in_service=levels((0, 3)), until=60.0), since=10.0)
    assert lines[0][23:].split() == ["0", "10", "20", "30", "40"]
    assert "One column is 1 s." in lines[-2]


def test_columns_are_as_fine_as_the_width_allows() -> None:
    assert columns_of(0.0, 38.5, 100).seconds == 0.5
    assert columns_of(0.0, 39.0, 100).seconds == 1.0
    assert columns_of(0.0, 77.5, 100).seconds == 2.0


def test_counts_above_nine_take_one_column_each() -> None:
    lines = draw(record(in_service=levels((0, 9), (5, 12))))
    assert row(lines, "in service    ") == "9" * 10 + "+" * 10


def test_the_legend_names_every_symbol() -> None:
    legend = " ".join(draw(record(in_service=levels((0, 3))))[-4:-2])
    for symbol in "·▒█░◆":
        assert f"{symbol} " in legend


def test_colours_are_painted_only_when_asked_for_and_change_nothing_else() -> None:
    whole = record(task(1, Role.ORIGINAL, *FULL_PHASES), in_service=levels((0, 1)))
    plain, coloured = draw(whole), draw(whole, palette=Palette(is_on=True))
    assert "\033" not in "".join(plain)
    assert f"\033[{Colour.GREEN}m{'█' * 20}\033[0m" in coloured[1]
    stripped = "\n".join(coloured)
    for code in [f"\033[{colour}m" for colour in Colour] + ["\033[0m"]:
        stripped = stripped.replace(code, "")
    assert stripped.splitlines() == plain


@pytest.mark.parametrize(
    "is_terminal,environment,is_on",
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_only_a_terminal_without_no_color_gets_colours(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, environment: dict[str, str], is_on: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    assert palette_for(stream, environment).is_on is is_on


def test_seconds_below_the_line_are_added_up() -> None:
    counts = levels((0, 3), (1, 2), (1.5, 3), (4, 0), (5, 4))
    assert seconds_below(counts, 3, until=9) == 1.5


def test_the_lowest_count_knows_what_held_before_and_ends_before_what_comes_next() -> None:
    counts = levels((0, 3), (2, 1), (4, 5))
    assert lowest(counts, 2.5, 4) == 1
    assert lowest(counts, 4, 9) == 5
    assert lowest(counts, 0, 2) == 3


def state(
    at: float,
    last_status: str,
    desired_status: str,
    *,
    in_service: bool,
    protected_until: float | None = None,
) -> dict[str, object]:
    return {
        "at": at,
        "last_status": last_status,
        "desired_status": desired_status,
        "in_service": in_service,
        "protected_until": protected_until,
    }


def told_task(number: int, stopped_by: str | None, *states: dict[str, object]) -> dict[str, object]:
    return {
        "arn": f"a/{number}",
        "launch": number,
        "states": list(states),
        "stopped_by": stopped_by,
        "ecs_agent_path": f"/api/{number}",
    }


def history(**changes: object) -> dict[str, object]:
    states = [
        state(0, "PENDING", "RUNNING", in_service=False),
        state(1, "RUNNING", "RUNNING", in_service=False),
        state(2, "RUNNING", "RUNNING", in_service=True),
        state(3, "RUNNING", "STOPPED", in_service=False),
        state(4, "STOPPED", "STOPPED", in_service=False),
    ]
    tasks = [
        told_task(0, "StopTask by AKIA", *states),
        told_task(1, None, states[0]),
        told_task(2, None, states[2]),
    ]
    service = {
        "tasks": tasks,
        "desired": [{"at": 0, "count": 1, "by": "start"}],
        "in_service": [{"at": 0, "count": 1}, {"at": 2, "count": 2}],
    }
    calls = [
        {"operation": "StopTask", "at": -1, "wrote": False},
        {"operation": "StopTask", "at": 1.5, "wrote": True},
    ]
    return {"started_at": 0, "now": 5, "services": [service], "calls": calls, **changes}


def test_a_record_is_read_from_the_emulators_history() -> None:
    read = read_record(history())
    assert [phase for _, phase in read.tasks[0].phases] == list(Phase)
    assert [each.was_recycled for each in read.tasks] == [True, False, False]
    assert read.in_service == levels((0, 1), (2, 2))
    assert read.written_operations == ("StopTask",)
    assert [each.agent_path for each in read.tasks] == ["/api/0", "/api/1", "/api/2"]


def read_one(*states: dict[str, object]) -> TaskRecord:
    service = {
        "tasks": [told_task(0, "StopTask by AKIA", *states)],
        "desired": [],
        "in_service": [],
    }
    return read_record(history(services=[service], now=20)).tasks[0]


def running(at: float, protected_until: float | None = None) -> dict[str, object]:
    return state(at, "RUNNING", "RUNNING", in_service=True, protected_until=protected_until)


@pytest.mark.parametrize(
    "states,protections",
    [
        ([running(0)], ()),
        ([running(0), running(2, 9), running(5)], ((2, 5),)),
        ([running(0), running(2, 9), running(12, 30), running(15)], ((2, 9), (12, 15))),
        ([running(0), running(2, 9), running(5, 30)], ((2, 5), (5, 20))),
    ],
    ids=["never", "cleared", "it ended, set anew", "renewed, holds"],
)
def test_a_mark_holds_until_it_is_cleared_or_its_end_comes(
    states: list[dict[str, object]], protections: tuple[tuple[float, float], ...]
) -> None:
    assert read_one(*states).protections == protections


@pytest.mark.parametrize(
    "states,was_under_protection",
    [
        ([running(0), running(2, 9), running(5)], False),
        ([running(0), running(2, 9)], True),
        ([running(0), running(2, 7)], False),
        ([running(0)], False),
    ],
    ids=["cleared before", "held", "ended before", "never"],
)
def test_a_stop_under_protection_is_told_from_one_after_it(
    states: list[dict[str, object]], *, was_under_protection: bool
) -> None:
    stopping = state(8, "RUNNING", "STOPPED", in_service=False)
    one = read_one(*states, stopping)
    assert one.stopped_at == 8
    assert one.was_stopped_under_protection is was_under_protection


def test_the_oldest_task_is_the_original_that_came_first() -> None:
    tasks = [
        task(1, Role.ORIGINAL, (-5.0, Phase.IN_SERVICE)),
        task(2, Role.ORIGINAL, (-9.0, Phase.IN_SERVICE)),
        task(3, Role.SURGE, (-10.0, Phase.IN_SERVICE)),
    ]
    assert record(*tasks, in_service=levels((0, 3))).oldest is tasks[1]


def test_the_surge_is_the_newcomer_before_the_first_task_was_really_stopped() -> None:
    roles = [each.role for each in read_record(history()).tasks]
    assert roles == [Role.ORIGINAL, Role.SURGE, Role.REPLACEMENT]


def test_a_task_is_gone_before_it_came() -> None:
    assert task(1, Role.SURGE, (5.0, Phase.STARTING)).phase_at(4.9) is Phase.GONE


@pytest.mark.parametrize(
    "phase,desired_count,is_settled",
    [
        (Phase.IN_SERVICE, 1, True),
        (Phase.GONE, 0, True),
        (Phase.LEAVING, 0, False),
        (Phase.STARTING, 1, False),
        (Phase.IN_SERVICE, 2, False),
    ],
)
def test_a_record_is_settled_once_nothing_comes_or_goes(
    phase: Phase, desired_count: int, *, is_settled: bool
) -> None:
    one = record(
        task(1, Role.SURGE, (0.0, phase)),
        in_service=levels((0, 1)),
        desired=levels((0, desired_count)),
    )
    assert one.is_settled is is_settled
