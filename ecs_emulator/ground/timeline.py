"""A value through time: what it is now, and what it was at any instant before."""

from bisect import bisect_right
from collections.abc import Iterator


class Timeline[T]:
    """The versions of one immutable value, each with the instant (epoch seconds) it came."""

    __slots__ = ("_times", "_values")

    def __init__(self, at: float, value: T) -> None:
        self._times = [at]
        self._values = [value]

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[tuple[float, T]]:
        """Iterate over (instant, value), the oldest first."""
        return iter(zip(self._times, self._values, strict=True))

    @property
    def born_at(self) -> float:
        """The instant of the first version."""
        return self._times[0]

    @property
    def latest(self) -> T:
        """The value as it is now."""
        return self._values[-1]

    def set(self, at: float, value: T) -> None:
        """Let the value be `value` from `at` on; `at` never lies before the last version."""
        self._times.append(at)
        self._values.append(value)

    def forget(self, before: float) -> None:
        """Keep no version that only an instant earlier than `before` (epoch seconds) had."""
        kept = max(0, bisect_right(self._times, before) - 1)
        del self._times[:kept], self._values[:kept]

    def at(self, instant: float) -> T:
        """Return the value as it was at `instant`; before its birth, the first one."""
        if instant >= self._times[-1]:
            return self._values[-1]
        return self._values[max(0, bisect_right(self._times, instant) - 1)]
