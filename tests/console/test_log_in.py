"""Who gets in, for how long, and what guessing leads to (S27, S13)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub import people
from hub.cli.serving import refuse_demo_people
from hub.console.edge import SESSION
from hub.errors import ConfigurationInvalid, NotAuthenticated, RateExceeded, TooBusy
from hub.people import DEMO_NAME, DEMO_PASSWORD, GUESSES, GUESSES_S, LOCK_AFTER, PeopleDesk
from hub.settings import load_settings
from hub.store import Store
from tests.support.console import PASSWORD, Console, form_token, serving
from tests.support.projects import make_project

WRONG = "canary-not-the-password"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Console]:
    with serving(make_project(tmp_path / "p"), lambda hub: hub.people.ensure_demo()) as made:
        yield made


def try_to_log_in(client: httpx.Client, name: str, password: str, **form: str) -> httpx.Response:
    return client.post("/console/log-in", data={"name": name, "password": password, **form})


def test_S27_a_session_is_new_at_each_log_in_and_the_one_brought_along_ends(own: Console) -> None:
    with own.browser() as client:
        client.cookies.set(SESSION, "chosen-by-an-attacker", path="/console/", domain="127.0.0.1")
        first = try_to_log_in(client, "olaf", PASSWORD)
        cookie = first.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=lax", "Path=/console/"):
            assert part in cookie
        assert "max-age" not in cookie.lower(), "it ends with the browser"
        before = first.cookies[SESSION]
        assert len(before) >= 43
        client.cookies.set(SESSION, before, path="/console/", domain="127.0.0.1")
        second = try_to_log_in(client, "olaf", PASSWORD)
        assert second.cookies[SESSION] != before
    with own.browser() as client:
        client.cookies.set(SESSION, before, path="/console/", domain="127.0.0.1")
        assert client.get("/console/health").status_code == 303


def test_S27_a_wrong_name_and_a_wrong_password_look_the_same_and_tell_nothing(own: Console) -> None:
    with own.browser() as client:
        answers = [try_to_log_in(client, name, WRONG) for name in ("olaf", "nobody", "Not A Name", "x" * 1000, "")]
        assert {a.status_code for a in answers} == {401}
        assert len({a.text for a in answers}) == 1
        assert WRONG not in answers[0].text
        assert not client.cookies


def test_S27_five_wrong_passwords_lock_out_and_even_the_right_one_waits(own: Console) -> None:
    with own.browser() as client:
        for _ in range(LOCK_AFTER):
            assert try_to_log_in(client, "olaf", WRONG).status_code == 401
        assert try_to_log_in(client, "olaf", PASSWORD).status_code == 429
        assert try_to_log_in(client, "vera", PASSWORD).status_code == 303
    with own.as_("anna") as admin:
        said = admin.get("/console/people").text
        assert re.search(r"log-ins from 1 network\(s\) wait, \d+ s at most", said)
        assert "locked" not in said, "from elsewhere olaf goes on"
        assert "来自 1 个网络的登录需等待" in admin.get("/console/people", headers={"Accept-Language": "zh"}).text
        unlocked = admin.post("/console/people/olaf/unlock", data={"token": form_token(admin)})
        assert unlocked.status_code == 303
    with own.browser() as client:
        assert try_to_log_in(client, "olaf", PASSWORD).status_code == 303


def test_S27_an_address_that_guesses_many_names_waits(sqlite_store: Store) -> None:
    now = [0.0]
    desk = PeopleDesk(sqlite_store.people, lambda: now[0])
    desk.add("olaf", "operator", PASSWORD)
    for number in range(GUESSES):
        with pytest.raises(NotAuthenticated):
            desk.log_in(f"name{number}", WRONG, "10.0.0.1", loopback=False)
    with pytest.raises(RateExceeded, match="from this address"):
        desk.log_in("olaf", PASSWORD, "10.0.0.1", loopback=False)
    assert desk.log_in("olaf", PASSWORD, "10.0.0.2", loopback=False)
    now[0] = GUESSES_S + 1
    assert desk.log_in("olaf", PASSWORD, "10.0.0.1", loopback=False)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
    ],
)
def test_S27_who_has_many_addresses_of_one_network_guesses_as_one(one: str, other: str, same: bool) -> None:
    assert (people._network(one, 32) == people._network(other, 32)) == same


def test_S27_the_networks_that_a_name_waits_in() -> None:
    told = [
        people._network(one, 24) for one in ("10.0.0.1", "::ffff:10.0.0.9", "10.0.1.1", "2001:db8:1:2::1", "x" * 99)
    ]
    assert told == ["10.0.0.0/24", "10.0.0.0/24", "10.0.1.0/24", "2001:db8:1:2::/64", "x" * 64]


@pytest.mark.usefixtures("slow_passwords")
def test_S27_a_password_is_kept_as_RFC_9106_recommends_and_a_wrong_name_costs_the_same(sqlite_store: Store) -> None:
    desk = PeopleDesk(sqlite_store.people)
    desk.add("olaf", "operator", PASSWORD)
    account = sqlite_store.people.get("olaf")
    assert account is not None
    kept = "$argon2id$v=19$m=65536,t=3,p=4$"
    assert account.password.startswith(kept)
    assert desk._nobody.startswith(kept)
    assert desk.log_in("olaf", PASSWORD, "10.0.0.1", loopback=False)
    with pytest.raises(NotAuthenticated):
        desk.log_in("nobody", PASSWORD, "10.0.0.1", loopback=False)


def test_S27_more_log_ins_than_there_is_memory_for_are_sent_away(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = PeopleDesk(sqlite_store.people)
    desk.add("olaf", "operator", PASSWORD)
    monkeypatch.setattr(people, "HASHING_S", 0.05)
    with people.HASHING, people.HASHING, pytest.raises(TooBusy):
        desk.log_in("olaf", PASSWORD, "10.0.0.1", loopback=False)
    assert desk.log_in("olaf", PASSWORD, "10.0.0.1", loopback=False)


@pytest.mark.usefixtures("slow_passwords")  # so that all have begun before the first is counted
def test_S27_guesses_at_the_same_time_are_all_counted(sqlite_store: Store) -> None:
    desk = PeopleDesk(sqlite_store.people)
    desk.add("olaf", "operator", PASSWORD)
    refused: list[type[Exception]] = []

    def guess() -> None:
        try:
            desk.log_in("olaf", WRONG, "10.0.0.1", loopback=False)
        except (NotAuthenticated, RateExceeded) as error:
            refused.append(type(error))

    threads = [threading.Thread(target=guess) for _ in range(LOCK_AFTER + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == LOCK_AFTER + 3
    with pytest.raises(RateExceeded):
        desk.log_in("olaf", PASSWORD, "10.0.0.2", loopback=False)
    assert desk.log_in("olaf", PASSWORD, "10.0.1.2", loopback=False), "who is meant is elsewhere, and not locked out"


def test_S27_waiting_does_not_tell_whether_there_is_somebody_of_the_name(sqlite_store: Store) -> None:
    desk = PeopleDesk(sqlite_store.people)
    desk.add("olaf", "operator", PASSWORD)
    told = []
    for name in ("olaf", "nobody"):
        for _ in range(LOCK_AFTER + 2):
            with pytest.raises((NotAuthenticated, RateExceeded)) as refused:
                desk.log_in(name, WRONG, "10.0.0.1", loopback=False)
            told.append((name, type(refused.value), str(refused.value)))
    half = LOCK_AFTER + 2
    assert [one[1:] for one in told[:half]] == [one[1:] for one in told[half:]]
    assert told[-1][1] is RateExceeded


def test_S27_a_proxy_is_believed_whom_it_speaks_for_and_nobody_else(tmp_path: Path) -> None:
    hosts = {"DATONG_HTTP__ALLOWED_HOSTS": '["hub.example"]', "DATONG_HTTP__PROXIES": '["10.9.0.0/16"]'}
    with serving(make_project(tmp_path / "p"), **hosts) as made:
        https = {"Host": "hub.example", "X-Forwarded-Proto": "https"}
        guesser = {**https, "X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.9.0.3"}  # the first is his own word
        with made.browser(**guesser) as client:
            for _ in range(LOCK_AFTER):
                assert try_to_log_in(client, "olaf", WRONG).status_code == 401
            assert try_to_log_in(client, "olaf", PASSWORD).status_code == 429
        with made.browser(**{**https, "X-Forwarded-For": "203.0.113.99"}) as client:
            assert try_to_log_in(client, "olaf", PASSWORD).status_code == 429, "the same network"
        with made.browser(**{**https, "X-Forwarded-For": "198.51.100.1"}) as client:
            assert try_to_log_in(client, "olaf", PASSWORD).status_code == 303
    with pytest.raises(ConfigurationInvalid) as refused:
        load_settings(tmp_path, env={"DATONG_HTTP__PROXIES": '["proxy.example"]'})
    assert "an address or a network" in str(refused.value.mistakes)


def test_S27_the_demos_person_gets_in_on_this_machine_only(own: Console) -> None:
    with own.browser() as client:
        assert f"<code>{DEMO_PASSWORD}</code>" in client.get("/console/log-in").text
        assert try_to_log_in(client, DEMO_NAME, DEMO_PASSWORD).status_code == 303
    with pytest.raises(NotAuthenticated):
        own.hub.people.log_in(DEMO_NAME, DEMO_PASSWORD, "10.0.0.1", loopback=False)
    outside = load_settings(own.project, env={"DATONG_HTTP__HOST": "0.0.0.0"})
    with pytest.raises(ConfigurationInvalid, match="everybody knows"):
        refuse_demo_people(own.hub, outside)
    own.hub.people.change(DEMO_NAME, password=PASSWORD)
    refuse_demo_people(own.hub, outside)


def test_S28_a_password_is_not_taken_in_the_clear_from_elsewhere(tmp_path: Path) -> None:
    with (
        serving(make_project(tmp_path / "p"), DATONG_HTTP__ALLOWED_HOSTS='["hub.example"]') as made,
        made.browser(Host="hub.example") as client,
    ):
        refused = try_to_log_in(client, "olaf", PASSWORD)
        assert (refused.status_code, "https" in refused.text) == (403, True)
        behind = made.browser(Host="hub.example", **{"X-Forwarded-Proto": "https"})
        with behind as client:
            answer = try_to_log_in(client, "olaf", PASSWORD)
            assert (answer.status_code, "Secure" in answer.headers["set-cookie"]) == (303, True)


def test_S16_who_did_what_is_on_record_without_names_that_failed(
    own: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    with own.browser() as client:
        try_to_log_in(client, "canary-name", WRONG)
    with own.as_("anna") as admin:
        admin.post("/console/people/vera/role", data={"token": form_token(admin), "role": "operator"})
    told = [line for line in capsys.readouterr().err.splitlines() if "datong.console" in line]
    assert len(told) == 3
    assert "NotAuthenticated" in told[0]
    assert ("logged_in" in told[1], "anna" in told[1]) == (True, True)
    assert all(word in told[2] for word in ("people_changed", "vera", "anna"))
    assert not any(word in line for line in told for word in ("canary", PASSWORD))


def test_logging_out_ends_the_session_everywhere(own: Console) -> None:
    with own.as_("vera") as client:
        session = client.cookies[SESSION]
        assert client.post("/console/log-out", data={"token": "0" * 64}).status_code == 403
        assert client.post("/console/log-out", data={"token": form_token(client)}).status_code == 303
        client.cookies.set(SESSION, session, path="/console/", domain="127.0.0.1")
        assert client.get("/console/health").headers["location"].startswith("/console/log-in?next=")


@pytest.mark.parametrize("password", ["", "short", "x" * 257, "my name is olaf, really"])
def test_a_password_has_a_length_and_is_not_the_name(sqlite_store: Store, password: str) -> None:
    desk = PeopleDesk(sqlite_store.people)
    with pytest.raises(ConfigurationInvalid, match="password") as refused:
        desk.add("olaf", "operator", password)
    assert not password or password not in str(refused.value)
    for name, role in (("", "viewer"), ("Olaf", "viewer"), ("a/b", "viewer"), ("a" * 65, "viewer"), ("olaf", "root")):
        with pytest.raises(ConfigurationInvalid):
            desk.add(name, role, PASSWORD)
    assert desk.listed() == []
