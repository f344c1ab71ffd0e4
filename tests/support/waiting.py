"""Waiting for what becomes true by itself."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable


def eventually(true: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Does it become true in time?"""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Does a server that was just started listen on this port of the loopback, in time?"""

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return process.poll() is not None
        return True

    return eventually(listens) and process.poll() is None
