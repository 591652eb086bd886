"""What comes back from the function, as values. All of it is input: any field may be missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

FAILED: Final = "failed"
PARTIAL: Final = "partial"

ENDED_STATES: Final = ("ended", "unrestored")
GOES_ON: Final = ("continued", "queued")
KILLED: Final = ("Sandbox.", "Runtime.")
"""How the error types begin that Lambda itself gives: of an invocation that it has ended."""


class ExitCode(IntEnum):
    """What the command leaves with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    INTERRUPTED = 130


class NotInvokedError(Exception):
    """The function could not be invoked, or its answer was lost: a sentence with its remedy.

    ``may_run``: whether the function may be at work all the same.
    """

    def __init__(self, sentence: str, *, may_run: bool = False) -> None:
        """Take the sentence."""
        super().__init__(sentence)
        self.may_run = may_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the function has answered, or by which error it has ended."""

    body: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    message: str = ""

    @classmethod
    def of(cls, payload: bytes, *, is_error: bool) -> Reply:
        """Read the payload of an invocation. Raises NotInvokedError for what is not ours."""
        document = _object(payload)
        if is_error:
            kind, message = document.get("errorType"), document.get("errorMessage")
            return cls(error=str(kind or "Unhandled"), message=str(message or "It gave no reason."))
        body = _object(document.get("body"))
        if "status" not in body:
            raise NotInvokedError(
                "The function does not answer as ecs-task-recycle does: is it another one? Name "
                "the function by --function."
            )
        return cls(body=body)

    @property
    def status(self) -> str:
        """The outcome."""
        return FAILED if self.error is not None else str(self.body.get("status"))

    @property
    def goes_on(self) -> bool:
        """Whether a run goes on after this answer."""
        return self.status in GOES_ON

    @property
    def was_killed(self) -> bool:
        """Whether Lambda has ended the invocation: the run's guardian may go on with it."""
        return self.error is not None and (
            self.error.startswith(KILLED) or "Task timed out after" in self.message
        )

    @property
    def exit_code(self) -> ExitCode:
        """What the command leaves with after this answer."""
        if self.status == FAILED or self.standing.state == "unrestored":
            return ExitCode.FAILED
        return ExitCode.PARTIAL if self.status == PARTIAL else ExitCode.DONE

    @property
    def standing(self) -> Standing:
        """Where the service's run stands, of an answer to ``action: status``."""
        run = self.body.get("run")
        return Standing.of(run if isinstance(run, Mapping) else {})

    def document(self) -> dict[str, Any]:
        """Return the answer for a machine: the body's fields, or those of a failure."""
        if self.error is None:
            return dict(self.body)
        return {"status": FAILED, "error": self.error, "reason": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a service's run stands: ``number`` of ``total`` tasks are replaced, ``task`` is next.

    ``facts`` is all that the function told of it.
    """

    run_id: str | None = None
    state: str | None = None
    number: int = 0
    total: int = 0
    task: str | None = None
    awaited: str | None = None
    minutes_left: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Standing:
        """Read ``run`` of an answer."""
        return cls(
            run_id=_text(run.get("run_id")),
            state=_text(run.get("state")),
            number=_count(run.get("number")),
            total=_count(run.get("total")),
            task=_text(run.get("task")),
            awaited=_text(run.get("awaited")),
            minutes_left=_count(run.get("minutes_left")) or None,
            facts=run,
        )

    @property
    def has_ended(self) -> bool:
        """Whether the run is over."""
        return self.state in ENDED_STATES

    def as_reply(self, **names: str) -> Reply:
        """Return what the run would have answered, as far as its record tells it."""
        outcome, reason = self.facts.get("outcome"), self.facts.get("reason")
        body = {**names, "status": outcome or FAILED, "reason": reason, "run_id": self.run_id}
        return Reply(body={**body, "run": dict(self.facts)})


def short(arn: object) -> str:
    """Return the id at the end of a task's ARN."""
    return str(arn).rpartition("/")[2]


def _object(text: object) -> Mapping[str, Any]:
    try:
        read = json.loads(text) if isinstance(text, str | bytes) else text
    except ValueError:
        read = None
    return read if isinstance(read, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
