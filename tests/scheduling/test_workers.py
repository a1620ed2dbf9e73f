"""What the scheduler and its workers share."""

from __future__ import annotations

import mmap
import os
import signal
import time

from scheduling.zygote import STOP_FLAGS, sign_of_life_in


def test_the_sign_of_life_is_never_read_half_written() -> None:
    shared = mmap.mmap(-1, STOP_FLAGS + 1)
    sign_of_life = sign_of_life_in(shared)
    sign_of_life[0] = began = time.monotonic()
    writer = os.fork()
    if not writer:
        while True:
            sign_of_life[0] = time.monotonic()
    try:
        while time.monotonic() < began + 1:
            assert all(sign_of_life[0] >= began for _ in range(1000))
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
