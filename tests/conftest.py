"""What holds for every test: Hypothesis tries the same cases each time, without a clock, and prints how to repeat one.

`TEST_EXPLORE=5000` searches afresh with that many examples a property: for a person at a desk, not for a submission."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("datong", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("datong")
if explore := os.environ.get("TEST_EXPLORE"):
    settings.register_profile("explore", deadline=None, print_blob=True, max_examples=int(explore))
    settings.load_profile("explore")
