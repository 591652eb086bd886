"""Each guard finds what it is there for: a page that is wrong, and only that."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from ecs_task_recycle.settings.parameters import Parameter
from tests.docs import guards
from tests.docs.markdown import section, table

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "| Parameter | Required | Default | Expected |\n|---|---|---|---|\n"
KNOWN = [
    Parameter(name="name", parse=str, expected="a name"),
    Parameter(name="wait", parse=str, expected="seconds", default=30),
    Parameter(name="started_before", parse=str, expected="an instant", default=None),
]
TRUE_ROWS = [
    "| `name` | yes | - | a name |",
    "| `wait` | no | `30` | seconds |",
    "| `started_before` | no | the start of the run | an instant |",
]


def rows(*lines: str) -> str:
    return HEAD + "\n".join(lines) + "\n"


def test_a_true_parameter_table_is_taken() -> None:
    assert guards.wrong_parameters(rows(*TRUE_ROWS), KNOWN) == []


def test_a_default_of_none_has_its_own_words() -> None:
    limit = Parameter(name="finish_within_minutes", parse=str, expected="x", default=None)
    assert (
        guards.wrong_parameters(rows("| `finish_within_minutes` | no | no limit | x |"), [limit])
        == []
    )


@pytest.mark.parametrize(
    "index, row, complaint",
    [
        (0, "| `name` | no | - | a name |", "name: Required is 'no', not 'yes'"),
        (1, "| `wait` | no | `60` | seconds |", "wait: Default is '`60`', not '`30`'"),
        (1, "| `wait` | no | `30` | minutes |", "wait: Expected is 'minutes', not 'seconds'"),
        (2, "| `started_before` | no | `null` | an instant |",
         "started_before: Default is '`null`', not 'the start of the run'"),
    ],
)  # fmt: skip
def test_a_wrong_cell_of_the_parameter_table_is_found(index: int, row: str, complaint: str) -> None:
    lines = [*TRUE_ROWS[:index], row, *TRUE_ROWS[index + 1 :]]
    assert guards.wrong_parameters(rows(*lines), KNOWN) == [complaint]


def test_a_parameter_that_is_missing_or_made_up_is_found() -> None:
    text = rows(*TRUE_ROWS[:2], "| `other` | no | `1` | x |")
    assert guards.wrong_parameters(text, KNOWN) == [
        "parameter started_before is not documented",
        "parameter other is documented, but there is none",
    ]


def test_an_action_that_is_missing_or_superfluous_is_found_in_table_and_policy() -> None:
    text = dedent("""
        | Action | When |
        |---|---|
        | `ecs:StopTask` | always |

        ```json
        {"Statement": [{"Action": "sts:AssumeRole", "Principal": {}},
                       {"Action": ["ecs:RunTask"], "Resource": "*"},
                       {"Action": "ecs:StopTask", "Resource": "*"}]}
        ```
    """)
    actions = guards.documented_actions(text)
    assert guards.different(actions, {"ecs:ListTasks"}, of="action") == [
        "action ecs:ListTasks is not documented",
        "action ecs:StopTask is documented, but there is none",
    ]
    assert guards.policy_actions(text) == {"ecs:RunTask", "ecs:StopTask"}


def test_statuses_and_fields_are_read_from_their_tables() -> None:
    text = dedent("""
        | statusCode | `status` in the body | Meaning |
        |---|---|---|
        | 206 | `partial` | some |

        | Field of the body | Meaning |
        |---|---|
        | `cluster`, `service` | what |
    """)
    assert guards.documented_statuses(text) == {"partial": "206"}
    assert guards.documented_fields(text) == {"cluster", "service"}


def test_rows_are_gathered_from_every_table_of_the_kind() -> None:
    text = "| A | B |\n|---|---|\n| 1 | 2 |\n\n| C |\n|---|\n| 3 |\n\n| A |\n|---|\n| 4 |\n"
    assert table(text, "A") == [{"A": "1", "B": "2"}, {"A": "4"}]
    with pytest.raises(AssertionError, match="no table"):
        table(text, "B")


def test_a_log_line_that_no_run_says_and_one_that_is_not_documented_are_found() -> None:
    text = "| Log line |\n|---|\n| `Task N recycled, waiting Xs` |\n| `Done with {service}` |\n"
    spoken = {"Task 1 recycled, waiting 30s", "Something else"}
    assert guards.wrong_log_lines(text, spoken) == [
        "no run says: Done with {service}",
        "not documented: Something else",
    ]


FIGURES_PAGE = """
| The replacement starts | Tasks | AWS calls per task | AWS calls per second | \
Seconds to replace a task | Tasks in the first invocation |
|---|---|---|---|---|---|
| at once | 20 | 18 | 0.25 | 42 | 10 |

It notices within 5 seconds that a replacement is in service. With a `wait_time` of 30 that was
about 42 seconds, and 10 tasks fit.
"""


def test_figures_that_are_worse_than_a_page_says_are_found() -> None:
    def wrong(*measured: float, seconds_late: float = 4.0, page: str = FIGURES_PAGE) -> list[str]:
        figures = {("at once", "20"): measured}
        return guards.wrong_figures(page, figures, seconds_late=seconds_late)

    assert wrong(18.5, 0.2, 42.0, 11) == []
    assert wrong(36.0, 0.5, 84.0, 9, seconds_late=8.0) == [
        "at most 5 s late, measured 8.00",
        "at once 20: AWS calls per task: 18, measured 36.00",
        "at once 20: AWS calls per second: 0.25, measured 0.50",
        "at once 20: Seconds to replace a task: 42, measured 84.00",
        "at once 20: Tasks in the first invocation: 10, measured 9.00",
    ]
    assert len(wrong(18.5, 0.2, 42.0, 11, page=FIGURES_PAGE.replace("10 tasks", "12 tasks"))) == 2


@pytest.mark.parametrize(
    "line, spoken, fits",
    [
        ("Recycling task N/M: {task_arn}", "Recycling task 1/3: arn:aws:x", True),
        ("Recycling task N/M: {task_arn}", "Recycling task 1 of 3: arn:aws:x", False),
        ("Task N recycled, waiting Xs", "Task 1 recycled, waiting 30 s", False),
        ("Trying again in X s: {error}", "Trying again in 0.5 s: two\nlines", True),
        ("Not Yours", "Not 1ours", False),
    ],
)
def test_a_log_line_fits_word_for_word(line: str, spoken: str, fits: bool) -> None:  # noqa: FBT001
    assert bool(guards.line_pattern(line).fullmatch(spoken)) is fits


SOURCE = '''
def _kind_refusals(a):
    """Say nothing of this."""
    return f"it is {a.b()}/{a.c()}, not " "ACTIVE (really)"

def other(a):
    """Nor of this."""
    log("took %s", "five steps")
'''


def test_messages_are_whole_sentences_with_gaps_and_never_docstrings() -> None:
    refusal = "it is {}, not ACTIVE (really)"
    assert guards.messages_of(SOURCE) == {refusal, "took %s", "five steps"}
    assert guards.reasons_of(SOURCE) == {refusal}


@pytest.mark.parametrize(
    "source, found",
    [
        ('raise errors.PreconditionError("a b", remedy="c d")', {"a b"}),
        ('raise SettingsError("a b")', set()),
        ('raise Ended(Status.PARTIAL, f"a {b}")', {"a {}"}),
        ('raise Ended(Status.PARTIAL, "a b" if c else "d e")', {"a b", "d e"}),
        ('raise Ended(Status.PLANNED, "a b")', set()),
        ('raise Interference("a b")', {"a b"}),
        ('result(note="a b", reason="c d")', {"a b"}),
        ('note = "a b"', {"a b"}),
        ('_NOTES: Final = ((Error, "a b"),)', {"a b"}),
        ('def f():\n    still = "a b"\n    other = "c d"\n    raise OutOfTime(still)', {"a b"}),
        ('def f():\n    return "a b"', set()),
        ('def _why_nothing():\n    return "a b"', {"a b"}),
    ],
)
def test_the_reasons_are_those_of_errors_outcomes_notes_and_functions_named_for_it(
    source: str, found: set[str]
) -> None:
    assert guards.reasons_of(source) == found


def test_a_sentence_that_the_product_does_not_say_is_found() -> None:
    text = 'See `it is {status}, not ACTIVE`, `it was never so`, `word`, and `"a": "b c"`.'
    messages = guards.messages_of(SOURCE)
    assert guards.unknown_sentences(text, messages) == ["it was never so"]


def test_a_quote_with_a_line_break_is_found() -> None:
    assert guards.broken_quotes("`one` and `two\n  three`\n```\n`four\nfive`\n```\n") == [
        "two three"
    ]


def test_a_reason_that_is_not_explained_is_found() -> None:
    reasons = {"it is {}, not ACTIVE (really)", "its day is {}", "{}", "one"}
    text = "See `it is {status}, not ACTIVE`."
    assert guards.unexplained(text, reasons) == ["its day is {}"]


TRANSFORMED = (
    '[{"InputTransformer": {"InputPathsMap": {"at": "%s"}, "InputTemplate":'
    r' "{\"cluster_name\":\"c\",\"service_name\":\"s\",\"%s\":<at>}"}}]'
)
"""The targets of a rule, with the path and the parameter that are put in."""


@pytest.mark.parametrize(
    "block",
    [
        '{"a": }',
        '{"cluster_name": "c"}',
        '{"cluster_name": "c", "service_name": "s", "wait_tim": 3}',
        '{"smtpCredentials": {"hots": "x"}}',
        '[{"Id": "f", "Input": "{}"}]',
        TRANSFORMED % ("$.time", "started_befor"),
        TRANSFORMED % ("$.detail.x", "started_before"),
    ],
)
def test_a_json_block_that_cannot_be_used_is_found(block: str) -> None:
    assert len(guards.wrong_json(f"```json\n{block}\n```\n")) == 1


@pytest.mark.parametrize(
    "block",
    [
        '{"cluster_name": "c", "service_name": "s"}',
        '{"awsCredentials": {}}',
        TRANSFORMED % ("$.time", "started_before"),
    ],
)
def test_a_json_block_that_can_be_used_is_taken(block: str) -> None:
    assert guards.wrong_json(f"```json\n{block}\n```\n") == []


def test_a_make_target_that_is_not_there_is_found_in_text_and_blocks() -> None:
    text = "Run `make test` or `make tests`. To make sure:\n```bash\nmake demos   # now\n```\n"
    makefile = "test: check\n\techo\n"
    assert guards.wrong_make_targets(text, makefile) == [
        "make demos is no target",
        "make tests is no target",
    ]


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    page.touch()
    other.touch()
    text = (
        "# It is - this?\n[a](#it-is---this) [b](#that) [c](other.md) [d](none.md) "
        "[e](other.md#there) [f](other.md#here) [g](https://example.com/x)\n```\n[h](i)\n```\n"
    )
    assert guards.broken_links({page: text, other: "## There\n"}) == [
        "page.md: #that",
        "page.md: none.md",
        "page.md: other.md#here",
    ]


def test_a_module_that_is_not_there_is_found() -> None:
    assert guards.missing_files("`here.py`, `./gone.sh` and never.py", {"here.py"}) == [
        "gone.sh",
        "never.py",
    ]


def test_a_section_ends_where_the_next_one_of_its_rank_begins() -> None:
    text = "# A\n## B\none\n```bash\n# no heading\n```\n### C\ntwo\n## D\nthree\n"
    assert section(text, "B").split() == ["one", "###", "C", "two"]
