"""Waits that are not all of one length, so that those who wait for the same thing do not come back as a herd."""

from __future__ import annotations

import random

_CHANCE = random.SystemRandom()  # shares no state with anybody's seeded generator


def jittered(seconds: float, least: float = 0.5, most: float = 1.0) -> float:
    """A share of so many seconds, between these bounds."""
    return seconds * _CHANCE.uniform(least, most)
