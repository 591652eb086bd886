"""The Parameter Store: names with numbered versions and their labels.

https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-parameter-store.html
"""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ecs_emulator.errors import ApiError
from ecs_emulator.timeline import Timeline

if TYPE_CHECKING:
    from ecs_emulator.core import Core

STANDARD_LIMIT_BYTES = 4096
HISTORY_LIMIT = 100
LABELS_LIMIT = 10
LEVELS_LIMIT = 15
_NAME = re.compile(r"/?[a-zA-Z0-9_.\-]+(/[a-zA-Z0-9_.\-]+)*")
_RESERVED = re.compile(r"/?(aws|ssm)", re.IGNORECASE)
_LABEL = re.compile(r"(?!aws|ssm|[0-9])[a-zA-Z0-9_.\-]{1,100}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a parameter; `written_at` in epoch seconds."""

    number: int
    value: str
    kind: str
    written_at: float
    written_by: str
    description: str | None = None
    labels: tuple[str, ...] = ()


type Versions = tuple[Version, ...]


class ParameterStore:
    """Parameters by name. Creation is atomic; each later write has the next version number."""

    def __init__(self, world: "Core") -> None:
        self._world = world
        self._parameters: dict[str, Timeline[Versions]] = {}

    def put(self, name: str, version: Version, *, overwrite: bool) -> Version:
        """Write a new version; its number is given here, whatever it came with.

        Raises ApiError: ParameterAlreadyExists for one that is there, without `overwrite`;
        ValidationException for a name or value that cannot be.
        """
        _check(name, version.value)
        timeline = self._parameters.setdefault(name, Timeline(self._world.started_at, ()))
        versions = timeline.latest
        if (versions and not overwrite) or self._resting(timeline):
            raise ApiError(
                "ParameterAlreadyExists",
                "The parameter already exists. To overwrite this value, set the overwrite option "
                "in the request to true.",
            )
        if not versions and not version.kind:
            raise ApiError(
                "ValidationException",
                "A parameter type is required when you create a parameter.",
            )
        number = versions[-1].number + 1 if versions else 1
        kind = version.kind or versions[-1].kind
        written = replace(version, number=number, kind=kind, written_at=self._world.now)
        timeline.set(self._world.now, (*versions, written)[-HISTORY_LIMIT:])
        return written

    def versions(self, name: str, at: float | None = None) -> Versions:
        """Return all versions kept, the oldest first. Raises ApiError (ParameterNotFound)."""
        timeline = self._parameters.get(name)
        versions = timeline.at(self._world.now if at is None else at) if timeline else ()
        if not versions:
            raise ApiError("ParameterNotFound", "")
        return versions

    def find(self, reference: str, at: float | None = None) -> tuple[Version, str]:
        """Return the version that `name`, `name:number` or `name:label` means, and the selector."""
        name, _, selector = reference.partition(":")
        versions = self.versions(name, at)
        if not selector:
            return versions[-1], ""
        for version in versions:
            if selector == str(version.number) or selector in version.labels:
                return version, f":{selector}"
        raise ApiError("ParameterVersionNotFound", f"No version of {name} is {selector}.")

    def delete(self, name: str) -> None:
        """Delete a parameter with all its versions. Raises ApiError (ParameterNotFound)."""
        self.versions(name)
        self._parameters[name].set(self._world.now, ())

    def label(self, name: str, number: int | None, labels: list[str]) -> tuple[list[str], int]:
        """Move labels to a version (None: the latest); return those refused, and the version.

        Raises ApiError: ParameterNotFound, ParameterVersionNotFound,
        ParameterVersionLabelLimitExceeded.
        """
        reference = name if number is None else f"{name}:{number}"
        chosen, _ = self.find(reference)
        valid = [label for label in labels if _LABEL.fullmatch(label)]
        given = dict.fromkeys((*chosen.labels, *valid))
        if len(given) > LABELS_LIMIT:
            raise ApiError(
                "ParameterVersionLabelLimitExceeded",
                f"A parameter version can have a maximum of {LABELS_LIMIT} labels.",
            )
        versions = tuple(
            replace(
                each,
                labels=tuple(given)
                if each.number == chosen.number
                else tuple(label for label in each.labels if label not in valid),
            )
            for each in self.versions(name)
        )
        self._parameters[name].set(self._world.now, versions)
        return [label for label in labels if label not in valid], chosen.number

    @property
    def names(self) -> list[str]:
        """The names of the parameters there are."""
        return [name for name, timeline in self._parameters.items() if timeline.latest]

    def _resting(self, timeline: Timeline[Versions]) -> bool:
        """Tell whether the parameter was deleted too short a time ago to be created again."""
        if timeline.latest or len(timeline) == 1:
            return False
        deleted_at = [at for at, versions in timeline if not versions][-1]
        return self._world.now < deleted_at + self._world.knobs.parameter_rest


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or name.count("/") > LEVELS_LIMIT:
        raise ApiError(
            "ValidationException",
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a '
            "path, it can consist of sub-paths divided by slash symbol; each sub-path can be "
            "formed as a mix of letters, numbers and the following 3 symbols .-_",
        )
    if _RESERVED.match(name):
        raise ApiError("ValidationException", f"No access to reserved parameter name: {name}.")
    if len(value.encode()) > STANDARD_LIMIT_BYTES:
        raise ApiError(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters.",
        )
