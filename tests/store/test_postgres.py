"""What only PostgreSQL does: refuse, run full, go away and come back (F9, F15, G17, G18, S16)."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from deploy.services.postgres import HUB, Server
from hub.errors import ConfigurationInvalid, DatongError, Retry, StorageFull
from hub.store import Store, postgres
from hub.store.engine import reading, writing
from tests.support.postgres import PASSWORD, drop_database, new_database

CANARY = "canary-guess-17"


@pytest.fixture
def database(postgres_server: Server) -> Iterator[str]:
    name = new_database(postgres_server)
    yield name
    drop_database(postgres_server, name)


@pytest.fixture
def url(postgres_server: Server, database: str) -> str:
    return postgres_server.url_of(database)


WRONG = [
    (f"postgresql+psycopg://datong:{CANARY}@127.0.0.1:{{port}}/{{db}}", ConfigurationInvalid, "user or the password"),
    (f"postgresql://nobody:{CANARY}@127.0.0.1:{{port}}/{{db}}", ConfigurationInvalid, "user or the password"),
    ("postgresql://datong@127.0.0.1:{port}/{db}", ConfigurationInvalid, "user or the password"),
    ("postgresql://datong:{password}@127.0.0.1:{port}/nosuch", ConfigurationInvalid, "no such database"),
    ("postgresql://datong:{password}@127.0.0.1:1/{db}", Retry, "nothing listens"),
    ("postgresql://datong:{password}@no-such-host.invalid/{db}", Retry, "host is not known"),
    ("postgresql://datong:{password}@127.0.0.1:{port}/{db}?sslmode=require", Retry, "TLS"),
    ("postgresql+psycopg2://datong:{password}@127.0.0.1:{port}/{db}", ConfigurationInvalid, "driver"),
    ("postgresql+asyncpg://datong:{password}@127.0.0.1:{port}/{db}", ConfigurationInvalid, "driver"),
]


@pytest.mark.parametrize(("pattern", "kind", "text"), WRONG)
def test_S16_R35_each_fault_has_its_cause_its_remedy_and_no_secret(
    postgres_server: Server, database: str, pattern: str, kind: type[DatongError], text: str
) -> None:
    filled = pattern.format(port=postgres_server.port, db=database, password=PASSWORD)
    with pytest.raises(kind, match=text) as refused:
        Store.open(filled)
    assert refused.value.remedy
    chain: BaseException | None = refused.value
    while chain:
        assert PASSWORD not in f"{chain} {chain!r}"
        assert CANARY not in f"{chain} {chain!r}"
        chain = chain.__cause__


def test_R35_a_right_that_lacks_is_named(postgres_server: Server) -> None:
    name = new_database(postgres_server, owner="postgres")
    try:
        with pytest.raises(ConfigurationInvalid, match=r"lacks a right.*GRANT USAGE, CREATE"):
            Store.open(postgres_server.url_of(name))
    finally:
        drop_database(postgres_server, name)


def test_F9_a_standby_is_not_written_to(postgres_server: Server, database: str, url: str) -> None:
    with postgres_server.connect() as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    with pytest.raises(Retry, match="standby"):
        Store.open(url)


def test_F9_of_several_hosts_the_one_that_takes_writes_is_used(postgres_server: Server, database: str) -> None:
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{postgres_server.port}"
    with Store.open(f"postgresql+psycopg://{HUB}:{PASSWORD}@/{database}?{hosts}") as store:
        assert store.leases.acquire("t", "a", 1000)


def eventually(store: Store, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not store.healthy():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_G18_F9_a_restart_of_the_server_heals(mortal_postgres: Server, mode: str) -> None:
    with Store.open(mortal_postgres.url) as store:
        lease = store.leases.acquire("t", "a", 60_000)
        assert lease is not None
        mortal_postgres.stop(mode)
        assert not store.healthy()
        with pytest.raises(Retry, match="nothing listens"):
            store.leases.renew(lease, 60_000)
        mortal_postgres.start()
        eventually(store)
        assert store.leases.renew(lease, 60_000)


def test_F9_a_connection_that_is_cut_costs_one_statement_at_most(postgres_server: Server, url: str) -> None:
    with Store.open(url) as store:
        lease = store.leases.acquire("t", "a", 60_000)
        assert lease is not None
        with pytest.raises(Retry):
            change_while(store, lambda: terminate(postgres_server))
        assert store.leases.renew(lease, 60_000)
        terminate(postgres_server)  # while it idles in the pool: nobody notices
        assert store.leases.renew(lease, 60_000)


def change_while(store: Store, something: Callable[[], None]) -> None:
    with writing(store.engine) as connection:
        something()
        connection.execute(sa.text("UPDATE tasks SET epoch = 99"))


def change_around(store: Store, something: Callable[[], None]) -> None:
    with writing(store.engine) as connection:
        connection.execute(sa.text("UPDATE tasks SET epoch = 99"))
        something()
        connection.execute(sa.text("UPDATE tasks SET epoch = 100"))


def test_R4_F3_a_node_that_is_frozen_in_a_transaction_lets_the_others_in(url: str) -> None:
    with Store.open(url) as frozen, Store.open(url) as successor:
        lease = frozen.leases.acquire("t", "a", 60_000)
        assert lease is not None
        renewed = []
        with pytest.raises(Retry, match="paused in a transaction"):  # the other waits less long than it gives up
            change_around(frozen, lambda: renewed.append(successor.leases.renew(lease, 60_000)))
        assert renewed[0] is not None, "what the frozen one had done was kept"
        assert frozen.leases.renew(lease, 60_000), "awake again, it goes on with a new connection"


def terminate(server: Server) -> None:
    with server.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [HUB])


def test_G17_connections_are_bounded(
    postgres_server: Server, database: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "POOL_WAIT_S", 0.2)
    with Store.open(url, connections=3) as store:
        holding, done = threading.Barrier(4), threading.Event()

        def hold(_n: int) -> None:
            with reading(store.engine) as connection:
                connection.execute(sa.text("SELECT 1"))
                holding.wait(60)
                done.wait(60)

        with ThreadPoolExecutor(3) as pool:
            held = pool.map(hold, range(3))
            holding.wait(60)
            with pytest.raises(Retry, match=r"all connections.*store\.connections"):
                store.leases.get("t")
            with postgres_server.connect() as connection:
                count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
                assert connection.execute(count, [database]).fetchone() == (3,)
            done.set()
            list(held)
        assert store.healthy()


def test_F9_a_server_that_is_away_is_not_stormed(url: str) -> None:
    """Many threads ask all the time; together they knock a few times, ever more seldom."""
    with Store.open(url) as store, socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        place = sa.make_url(url).set(port=listener.getsockname()[1])
        away = postgres.open_postgres(place, 10)
        knocks = []

        def refuse() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                knocks.append(time.monotonic())
                peer.close()

        threading.Thread(target=refuse, daemon=True).start()
        asked = Store(away)
        until = time.monotonic() + 2.0

        def ask(_n: int) -> int:
            count = 0
            while time.monotonic() < until:
                assert not asked.healthy()
                count += 1
                time.sleep(0.001)
            return count

        with ThreadPoolExecutor(8) as pool:
            asks = sum(pool.map(ask, range(8)))
        listener.shutdown(socket.SHUT_RDWR)
        away.dispose()
        assert store.healthy()
    assert asks > 50
    assert 2 <= len(knocks) <= 16  # pauses of 0.1, 0.2, 0.4 … seconds; a first volley of those that met it together


@pytest.fixture
def small_disk(postgres_server: Server) -> Iterator[tuple[str, Path]]:
    """A database whose tables stand on a file system of 24 MB, and a file there that may be taken away."""
    if os.geteuid() != 0:
        pytest.skip("a small file system is mounted by root alone")
    folder = Path(tempfile.mkdtemp(prefix="datong-small-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("this machine does not let us mount")
    place, ballast = folder / "tables", folder / "ballast"
    place.mkdir(mode=0o700)
    ballast.write_bytes(bytes(8_000_000))
    folder.chmod(0o755)
    postgres_server.give(place)
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")  # type: ignore[arg-type]
    name = new_database(postgres_server, tablespace="small")
    yield postgres_server.url_of(name), ballast
    drop_database(postgres_server, name)
    with postgres_server.connect() as connection:
        connection.execute("DROP TABLESPACE small")
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_F15_a_full_disk_of_the_server_is_storage_full_and_heals(small_disk: tuple[str, Path]) -> None:
    url, ballast = small_disk
    filler = os.urandom(500_000).hex()  # does not compress
    with Store.open(url) as store:
        fill(store, "small", "")
        with pytest.raises(StorageFull, match="disk is full"):
            fill(store, "large", filler, 40)
        full = set(store.states.all())
        with pytest.raises(StorageFull):
            fill(store, "more", filler)
        assert set(store.states.all()) == full
        ballast.unlink()
        fill(store, "after", filler)
        assert set(store.states.all()) == full | {"after0"}


def fill(store: Store, name: str, reason: str, count: int = 1) -> None:
    for n in range(count):
        store.states.put(f"{name}{n}", "PAUSED", reason=reason, by="test", now_ms=1)
