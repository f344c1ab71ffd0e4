"""What holds for every test: Hypothesis searches afresh each time, without a clock, and prints how to repeat a failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("datong", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("datong")
