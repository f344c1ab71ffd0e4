"""Database sources: private addresses need no entry, the hub's own and what nobody connects to stay refused (R17, S2)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connectors.context import SourceContext
from connectors.outbound import Outbound, TargetRefused
from connectors.sources.postgres import PostgresSource
from connectors.sources.specs import PostgresSpec, SqlSpec
from connectors.sources.sql import SqlSource
from hub.builder import outbound_of
from hub.cli.listening import address
from hub.errors import ConfigurationInvalid, DatongError, SourceUnavailable
from hub.ports import Source
from hub.settings import load_settings
from tests.sources.conftest import Database, filled
from tests.support.fault_server import FaultServer
from tests.support.ports import own_address

KINDS = ("sql", "postgres")
HOSTS = ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]")


def source(kind: str, url: str, outbound: Outbound, root: Path = Path()) -> Source:
    context = SourceContext(task="t", root=root, mode="snapshot", outbound=outbound, secret=filled)
    if kind == "sql":
        return SqlSource(SqlSpec(kind="sql", url=url, table="t"), context)
    url = url.replace("+psycopg", "")
    return PostgresSource(PostgresSpec(kind="postgres", url=url, table="t", connect_timeout_s=2), context)


def url_of(host: str, port: int) -> str:
    return f"postgresql+psycopg://u:${{secret:PG}}@{host}:{port}/x"


@pytest.fixture
def listener() -> Iterator[FaultServer]:
    server = FaultServer(lambda _r: b"")
    yield server
    server.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("host", ["169.254.169.254", "100.100.100.200", "0.0.0.0", "[::]", "[::ffff:169.254.1.1]", "0"])
def test_S2_R17_no_database_is_looked_for_where_nobody_connects(kind: str, host: str) -> None:
    made = source(kind, url_of(host, 5432), Outbound(allowed=frozenset({f"{host}:5432"})))
    with pytest.raises(ConfigurationInvalid, match="never connected to") as refused:
        made.discover()
    assert refused.value.remedy
    assert not made.check().ok


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("host", HOSTS)
def test_S2_R17_the_hubs_own_services_are_no_source_by_any_name(kind: str, host: str, listener: FaultServer) -> None:
    for own in (
        Outbound(own_ports=frozenset({listener.port})),
        Outbound(own=frozenset({("localhost", listener.port)}), allowed=frozenset({f"{host}:{listener.port}"})),
    ):
        made = source(kind, url_of(host, listener.port), own)
        with pytest.raises(ConfigurationInvalid, match="hub itself"):
            list(made.batches(None, Event()))
    assert listener.connections == 0


@pytest.mark.parametrize("kind", KINDS)
def test_S2_a_private_address_of_a_database_needs_no_entry(kind: str, listener: FaultServer) -> None:
    with pytest.raises(SourceUnavailable):
        source(kind, url_of("127.0.0.1", listener.port), Outbound()).discover()
    assert listener.connections > 0


@pytest.mark.parametrize("kind", KINDS)
def test_S2_a_database_is_read_at_the_address_that_was_judged(
    kind: str, pg: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is nobody's: the address alone leads there, and the driver does not ask again."""
    pg.run("CREATE TABLE t (id int PRIMARY KEY)")
    pg.run("INSERT INTO t VALUES (7)")
    asked: list[str] = []

    def addresses(_self: Outbound, host: str, _port: int, *, encrypted: bool, inside: bool) -> list[str]:
        asked.append(f"{host} {encrypted} {inside}")
        return ["127.0.0.1"]

    monkeypatch.setattr(Outbound, "addresses", addresses)
    made = source(kind, pg.url.replace("127.0.0.1", "judged.invalid"), Outbound())
    assert [n for b in made.batches(None, Event()) for n in b.records.column("id").to_pylist()] == [7]
    made.close()
    assert set(asked) == {"judged.invalid False True"}


@pytest.mark.parametrize(
    ("kind", "url"),
    [("sql", "postgresql+psycopg:///x"), ("sql", "postgresql+psycopg://u@a.example/x?host=10.0.0.1"),
     ("sql", "postgresql+psycopg://u@a.example/x?service=inner"), ("sql", "mysql+pymysql://u@a.example/x?unix_socket=/x"),
     ("postgres", "postgresql:///x"), ("postgres", "postgresql://u@a.example/x?hostaddr=10.0.0.1")],
)  # fmt: skip
def test_S2_a_database_that_does_not_say_where_it_is_is_refused(kind: str, url: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        source(kind, url, Outbound()).discover()
    assert refused.value.where == "source.url"


@pytest.mark.parametrize("kind", KINDS)
def test_S16_a_secret_in_a_hosts_name_is_neither_looked_up_nor_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []

    def lookup(host: Any, *_rest: Any, **_more: Any) -> list[Any]:
        looked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    made = source(
        kind, "postgresql+psycopg://u@${secret:PG}.example:5432/x", Outbound(only=frozenset({"db.example:5432"}))
    )
    with pytest.raises(DatongError) as refused:
        made.discover()
    assert looked == []
    assert filled("${secret:PG}") not in str(refused.value)


def test_S16_a_secret_in_a_files_name_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="no such database file") as refused:
        source("sql", "sqlite:///${secret:PG}.db", Outbound(), tmp_path).discover()
    assert filled("${secret:PG}") not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "everywhere"),
    [("0.0.0.0", True), ("::", True), ("0", True), ("0.0", True), ("::0", True), ("127.0.0.1", False), ("::1", False),
     ("localhost", False), ("0.example", False), ("10.0.0.0", False)],
)  # fmt: skip
def test_R17_every_spelling_of_everywhere_counts_and_is_shown_as_this_machine(
    tmp_path: Path, host: str, everywhere: bool
) -> None:
    assert outbound_of(load_settings(tmp_path, env={"DATONG_HTTP__HOST": host}).settings).everywhere == everywhere
    assert (address(host, 8080) == "127.0.0.1:8080") == (everywhere or host == "127.0.0.1")


def test_R17_a_hub_that_listens_everywhere_is_not_reached_by_the_machines_own_address(tmp_path: Path) -> None:
    env = {
        "DATONG_HTTP__HOST": "0.0.0.0",
        "DATONG_HTTP__ALLOWED_HOSTS": '["Hub.city.example"]',
        "DATONG_CONNECT__PORT": "8083",
    }
    rule = outbound_of(load_settings(tmp_path, env=env).settings)
    assert rule.own_ports == {8080, 8081, 8083}
    outside = ipaddress.ip_address("93.184.215.14")
    for port in (8080, 8081, 8083):
        with pytest.raises(TargetRefused, match="hub itself"):
            rule.judge("hub.city.example", port, outside)
    rule.judge("elsewhere.example", 8080, outside)
    here = own_address()
    if here is None:
        pytest.skip("this machine has no address but loopback's")
    with pytest.raises(TargetRefused, match="hub itself"):
        rule.judge(here, 8081, ipaddress.ip_address(here), inside=True)
    alone = outbound_of(load_settings(tmp_path, env={}).settings)
    alone.judge(here, 8081, ipaddress.ip_address(here), inside=True)
