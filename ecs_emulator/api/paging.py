"""Pages of a listing: opaque tokens that go on after the last item of the page before."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence

from ecs_emulator.ground.errors import ApiError


def page[T](
    items: Sequence[T],
    *,
    key: Callable[[T], str],
    limit: int,
    token: str | None,
) -> tuple[list[T], str | None]:
    """Return the items after the token's, at most `limit`, in the order of their keys.

    The token names the last item, not a number: what comes or goes between two pages makes no
    other item appear twice or not at all. Raises ApiError for a token that was never given out.
    """
    after = _open(token) if token else ""
    rest = sorted((item for item in items if key(item) > after), key=key)
    shown = rest[:limit]
    return shown, _seal(key(shown[-1])) if len(rest) > limit else None


def _seal(last_key: str) -> str:
    return urlsafe_b64encode(f"after {last_key}".encode()).decode()


def _open(token: str) -> str:
    try:
        word, _, last_key = urlsafe_b64decode(token.encode()).decode().partition(" ")
    except ValueError:
        word, last_key = "", ""
    if word != "after":
        raise ApiError("InvalidParameterException", "Invalid token.")
    return last_key
