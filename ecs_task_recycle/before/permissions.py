"""The permissions of a run: each is tried by a call, all that are missing are named together."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from ecs_task_recycle.errors import AwsCallError, PreconditionError


@dataclass(slots=True)
class Permissions:
    """The IAM actions that were tried: which are allowed, which are missing."""

    allowed: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    def trying[T](self, actions: tuple[str, ...], call: Callable[[], T]) -> T | None:
        """Make a call; note what it lacks, or that its actions are allowed."""
        try:
            answer = call()
        except AwsCallError as error:
            if not error.denied:
                raise
            self.lacking += [each for each in error.lacking_actions if each not in self.lacking]
            return None
        self.allowed += [each for each in actions if each not in self.allowed]
        return answer

    def require(self) -> None:
        """Raise PreconditionError if anything is missing, with the statement to add."""
        if not self.lacking:
            return
        statement = {"Effect": "Allow", "Action": self.lacking, "Resource": "*"}
        raise PreconditionError(
            f"The role lacks permissions: {', '.join(self.lacking)}.",
            remedy=f"Nothing was touched. Add to its policy: {json.dumps(statement)}",
            lacking_actions=self.lacking,
        )
