"""What makes a run fail: one class per consequence, each a sentence with values and a remedy.

The class name is what a user sees (Lambda's ``errorType``), so it is part of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

type Fact = str | int | float | bool | list[str] | None


class RecycleError(Exception):
    """A run ended without doing what was asked.

    ``facts`` holds the values of the sentence under their names (JSON), ``remedy`` what to do.
    """

    def __init__(self, sentence: str, *, remedy: str = "", **facts: Fact) -> None:
        """Join sentence and remedy into the message a user reads."""
        super().__init__(f"{sentence} {remedy}".strip())
        self.sentence = sentence
        self.remedy = remedy
        self.facts: Mapping[str, Fact] = facts


class SettingsError(RecycleError):
    """The event or input.json cannot be understood; nothing was called."""

    @classmethod
    def of(cls, source: str, problems: Sequence[str]) -> SettingsError:
        """Name every problem of one source ("the event", "input.json") at once."""
        listed = "; ".join(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        return cls(
            f"{count} in {source}: {listed}.",
            remedy="Nothing was called. Correct it and invoke again.",
            problems=list(problems),
        )


class PreconditionError(RecycleError):
    """The service cannot be recycled safely as it is; no task was stopped.

    Nothing else was touched, or it was put back: what a dead run had raised, or this one, if
    somebody else has changed the capacity at the same time.
    """


class AlreadyRunningError(RecycleError):
    """Another run of the same service may still be alive; nothing was touched."""


class OwnershipLostError(RecycleError):
    """Another run has taken over the record: this one stops nothing more and restores nothing."""


class RunDiedError(RecycleError):
    """Three invocations in a row died without replacing a task; the capacity is put back."""


class ReplacementError(RecycleError):
    """A new task did not come into service, and why is known."""


class StepTimeoutError(RecycleError):
    """What was awaited did not happen in time; names what was awaited and last seen."""


class RestoreError(RecycleError):
    """The capacity could not be put back; names the exact commands that put it right."""


class AwsCallError(RecycleError):
    """An AWS call was denied or failed; names the IAM action.

    ``code`` is AWS's error code; ``transient`` tells whether the same call may succeed later;
    ``lacking_actions`` names the IAM actions that the caller may not use, ``hint`` what to do where
    its policy allows them all the same.
    """

    code: str = "Unknown"
    transient: bool = False
    lacking_actions: tuple[str, ...] = ()
    hint: str = ""

    @classmethod
    def of(
        cls,
        action: str,
        code: str,
        message: str,
        *,
        transient: bool = False,
        lacking_actions: Sequence[str] = (),
        hint: str = "",
        **facts: Fact,
    ) -> AwsCallError:
        """Build the error of one call; ``facts``: what it names besides."""
        if lacking_actions:
            remedy = f"Allow the role {', '.join(lacking_actions)}. {hint}".strip()
        else:
            remedy = "Invoke again once AWS answers." if transient else ""
        error = cls(
            f"{action} was answered with {code}: {message.rstrip('.')}.",
            remedy=remedy,
            action=action,
            code=code,
            lacking_actions=list(lacking_actions),
            **facts,
        )
        error.code = code
        error.transient = transient
        error.lacking_actions, error.hint = tuple(lacking_actions), hint
        return error

    def after(self, sentence: str) -> AwsCallError:
        """Return the same error with a sentence before it that says what it has led to."""
        error = AwsCallError(f"{sentence} {self.sentence}", remedy=self.remedy, **self.facts)
        error.code, error.transient = self.code, self.transient
        error.lacking_actions, error.hint = self.lacking_actions, self.hint
        return error

    @property
    def denied(self) -> bool:
        """Whether the caller lacks a permission."""
        return bool(self.lacking_actions)
