"""Ports for servers that a test starts."""

from __future__ import annotations

import random
import socket

_AMONG = range(15_000, 30_000)
"""Below those that the kernel gives to whoever asks for any, of which another process may have one a moment later."""


def free_port() -> int:
    """Of loopback."""
    # Not the order of a seed that a test has set, which other runs beside this one have too.
    for port in random.SystemRandom().sample(_AMONG, 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("There is no free port.")
