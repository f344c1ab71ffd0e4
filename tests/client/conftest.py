"""A hub with ten schools, and a client for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from hub.client import Subscription, subscribe
from hub.client.http import Retrying
from tests.client.world import TOKEN, AppTransport, Server
from tests.delivery.conftest import hub, make_hub, store_url
from tests.delivery.world import TOPIC, Hub, school

__all__ = ["hub", "make_hub", "store_url"]


@pytest.fixture
def server(hub: Hub) -> Server:
    schema = hub.schema()
    hub.publish(schema, [school(n) for n in range(10)], block=4)
    plan = hub.plan(schema, "school_id", key=("school_id",))
    return Server(hub, lambda: plan)


@pytest.fixture
def open_subscription(server: Server) -> Iterator[Callable[..., Subscription]]:
    with (
        start_blocking_portal() as portal,
        httpx.Client(transport=AppTransport(server.app(), portal), base_url="http://hub", timeout=60) as client,
    ):

        def make(group: str = "default", token: str = TOKEN, topic: str = TOPIC, **options: Any) -> Subscription:
            retrying = Retrying(first_wait_s=0.0)
            return subscribe("http://hub", topic, token, group, client=client, retrying=retrying, **options)

        yield make
