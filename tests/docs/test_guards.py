"""The guards that read sentences and figures find what they are there for."""

from __future__ import annotations

import pytest

from tests.docs import guards


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
    def wrong(*measured: float, seconds_late: float = 4.0) -> list[str]:
        figures = {("at once", "20"): measured}
        return guards.wrong_figures(FIGURES_PAGE, figures, seconds_late=seconds_late)

    assert wrong(18.5, 0.2, 42.0, 11) == []
    assert len(wrong(36.0, 0.5, 84.0, 9, seconds_late=8.0)) == 5


SOURCE = '''
def any_name(a):
    """Say nothing of this."""
    still = f"it is {a.b()}/{a.c()}, not " "ACTIVE (really)"
    log("took %s", "five steps")
    if a:
        raise Ended(Status.PLANNED, "a fine plan")
    raise errors.PreconditionError(still, remedy="do this")
'''
REFUSAL = "it is {}, not ACTIVE (really)"


def test_messages_are_whole_sentences_with_gaps_and_never_docstrings() -> None:
    messages = guards.messages_of(SOURCE)
    assert messages == {REFUSAL, "took %s", "five steps", "a fine plan", "do this"}
    text = 'See `it is {status}, not ACTIVE`, `it was never so`, `word`, and `"a": "b c"`.'
    assert guards.unknown_sentences(text, messages) == ["it was never so"]


def test_reasons_are_what_is_given_to_outcomes_and_errors_also_by_a_name() -> None:
    assert guards.given_to(SOURCE, {"Ended", "PreconditionError"}) == {REFUSAL}


def test_a_reason_that_is_not_explained_is_found_whether_told_or_written() -> None:
    reasons = {REFUSAL, "so it is DRAINING, not ACTIVE.", "its day is {}", "{}", "one"}
    text = "See `it is {status}, not ACTIVE`."
    assert guards.unexplained(text, reasons) == ["its day is {}"]


@pytest.mark.parametrize(
    "block, is_wrong",
    [
        ('{"a": }', True),
        ('{"cluster_name": "c", "service_name": "s", "wait_tim": 3}', True),
        ('{"smtpCredentials": {"hots": "x"}}', True),
        ('{"cluster_name": "c", "service_name": "s"}', False),
    ],
)
def test_a_json_block_that_cannot_be_used_is_found(block: str, is_wrong: bool) -> None:  # noqa: FBT001
    assert bool(guards.wrong_json(f"```json\n{block}\n```\n")) is is_wrong
