"""What this process asks of the C library's allocator and of Python's search for cycles."""

from __future__ import annotations

import ctypes
import gc
import sys

KEEP = 256 * 1024 * 1024  # bytes that may stay with the process when they are free
LARGE = 32 * 1024 * 1024  # bytes from which a block is mapped by itself: the most glibc takes
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt(3)
STARTING = (400_000, 20, 100)  # gc.set_threshold: imports make many objects and no garbage
WORKING = (50_000, 20, 100)


def keep_freed_blocks() -> None:
    """Let glibc keep what a batch gives back for the next one. By itself it returns blocks of megabytes to the kernel at once
    and gets them anew, page by page and zeroed: a tenth of the pipeline's time. Elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEEP)
        mallopt(MMAP_THRESHOLD, LARGE)


def begin() -> None:
    """At the start of a command: look for cycles in what is made so seldom that loading it is not held up."""
    gc.set_threshold(*STARTING)


def settle() -> None:
    """Everything is loaded and stays: look for cycles as often as the work needs, and never in what there is by now. Does
    nothing in a process that others began."""
    if gc.get_threshold() == STARTING:
        gc.freeze()
        gc.set_threshold(*WORKING)


def end() -> None:
    """Before the interpreter ends, it would look through all objects for cycles: nobody waits for what it would find."""
    gc.freeze()
