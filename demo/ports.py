"""Free ports on 127.0.0.1."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port that nobody listens on; somebody else may still take it before its use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
