"""Who a mail comes from and goes to: from what input.json says, to what may stand in a header."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.headerregistry import Address
from email.utils import getaddresses
from typing import Final

from ecs_task_recycle.channels.mail.body import one_line
from ecs_task_recycle.channels.mail.smtp import Envelope, NotSentError
from ecs_task_recycle.settings.input_json import Mail

# Dot-atoms alone: whoever needs a quoted local part is too rare to be worth its ways to go wrong.
# https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def envelope_of(mail: Mail) -> Envelope:
    """Return sender and recipients.

    Raises NotSentError when ``from_email`` or every recipient is no address; else such a recipient
    is left out.
    """
    senders, _ = _addresses([mail.from_email])
    if len(senders) != 1:
        raise NotSentError("smtpCredentials.from_email is not an address")
    found, unusable = _addresses(mail.to)
    recipients = {address.addr_spec: address for address in found}
    if not recipients:
        raise NotSentError("emailNotification.to holds no address")
    return Envelope(sender=senders[0], recipients=tuple(recipients.values()), unusable=unusable)


def _addresses(entries: Iterable[str]) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Return the addresses of the entries, and those entries that hold something else."""
    usable: list[Address] = []
    unusable: list[str] = []
    for entry in entries:
        # A line break would be a way to write headers of one's own.
        pairs = getaddresses([entry]) if entry.isprintable() else []
        found = [_address(*pair) for pair in pairs]
        usable += [address for address in found if address is not None]
        if None in found or not found:
            unusable.append(one_line(entry))
    return tuple(usable), tuple(unusable)


def _address(display_name: str, address: str) -> Address | None:
    user, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    if not _ADDRESS.fullmatch(f"{user}@{ascii_domain}"):
        return None
    return Address(display_name, user, ascii_domain)
