"""What holds for every test: Hypothesis tries the same cases each time, without a clock, and prints how to repeat one; real
services are shared by all tests of a process.

`TEST_EXPLORE=5000` searches afresh with that many examples a property: for a person at a desk, not for a submission."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis import settings

from hub.people import PeopleDesk
from tests.support.kafka import kafka_cluster, kafka_secure, kafka_three, mortal_kafka, sleepy_kafka
from tests.support.postgres import mortal_postgres, postgres_server
from tests.support.stores import migrated_database, migrated_file

__all__ = [
    "kafka_cluster",
    "kafka_secure",
    "kafka_three",
    "migrated_database",
    "migrated_file",
    "mortal_kafka",
    "mortal_postgres",
    "postgres_server",
    "sleepy_kafka",
]

# Tests start some hundred processes of the hub: each would compile all of it anew where nothing compiled may be kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

EARNEST = vars(PeopleDesk)["_hasher"]

settings.register_profile("datong", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("datong")
if explore := os.environ.get("TEST_EXPLORE"):
    settings.register_profile("explore", deadline=None, print_blob=True, max_examples=int(explore))
    settings.load_profile("explore")


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """A log-in costs a fifth of a second and 64 MiB on purpose, and tests log in a thousand times. Processes of the hub, and
    tests with `slow_passwords`, pay in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PeopleDesk, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


@pytest.fixture
def slow_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are in earnest."""
    monkeypatch.setattr(PeopleDesk, "_hasher", EARNEST)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A hub opened by a test sets the level of all logs; the next test finds them as they were."""
    yield
    structlog.reset_defaults()
