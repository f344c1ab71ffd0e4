"""The `rest` source against a server that is as wrong as the field's (F13, F14, R17, S2, S16, G4)."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from structlog.testing import capture_logs

from connectors.outbound import Outbound, TargetRefused
from hub.errors import AnswerRefused, ConfigurationInvalid, DatongError, SourceUnavailable
from hub.model import Mode
from tests.sources.rest_service import BY, CANARY, TABLE, Serve, numbers, read, source
from tests.support.fault_server import Answer, Pages, Request, answer


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("mode", ["append", "snapshot"])
def test_every_way_of_paging_gives_each_row_once(serve: Serve, by: str, mode: Mode) -> None:
    paging, reply = BY[by]
    server = serve(reply)
    items = "rows" if by.startswith(("cursor", "next_url")) else None
    found = read(server, mode=mode, paging=paging, items=items)
    assert numbers(found) == list(range(35))
    assert [b.complete for b in found] == [False] * (len(found) - 1) + [mode == "snapshot"]
    assert [int(n) for b in found for n in b.rows] == list(range(1, 36))


def test_F13_a_long_wait_is_told(serve: Serve) -> None:
    stop = Event()

    def reply(request: Request) -> Answer:
        if request.number > 1:
            return WHOLE
        Timer(0.2, stop.set).start()  # who waits is woken
        return answer({}, 429, Retry_After="60")

    server = serve(reply)
    made = source(server, wait_most_s=60, parameters={"q": "canary-q"})
    with capture_logs() as lines:
        list(made.batches(None, stop))
    assert [(line["where"], line["why"], line["seconds"]) for line in lines] == [
        (f"{server.url}/rows", "the service answers 429", 60)
    ]
    made.close()


def test_a_404_ends_the_pages_only_where_that_is_said(serve: Serve) -> None:
    def reply(request: Request) -> Answer:
        page = TABLE.page(int(request.query["page"]))
        return answer(page) if page else answer({"error": "no such page"}, 404)

    server = serve(reply)
    assert len(numbers(read(server, paging={"by": "page", "ends_with_404": True}))) == 35
    with pytest.raises(AnswerRefused, match="404"):
        read(server, paging={"by": "page"})


def slow(*parts: bytes | float) -> Callable[[], Answer]:
    return lambda: list(parts)


WHOLE = answer([{"n": 1}])
HALF = len(WHOLE) - 4
PASSING: dict[str, Callable[[], Answer]] = {
    "500": lambda: answer({"error": "x"}, 500),
    "503 with Retry-After": lambda: answer({}, 503, Retry_After="0"),
    "429 with a date": lambda: answer({}, 429, Retry_After="Wed, 01 Jan 2020 00:00:00 GMT"),
    "half a response": lambda: WHOLE[:HALF],
    "no response": lambda: b"",
    "wrong length, too long": lambda: answer([{"n": 1}], length=4000),
    "wrong length, too short": lambda: answer([{"n": 1}], length=5),
    "cut gzip": lambda: answer([{"n": 1}], packed=True)[:-6].replace(b"Content-Length", b"X-Length"),
    "damaged gzip": lambda: answer([{"n": 1}], packed=True)[:-20] + b"\0" * 20,
    "cut JSON without a length": lambda: answer(b'[{"n": 1}, {"n":').replace(b"Content-Length", b"X-Length"),
    "slow first byte": slow(2.5),
    "slow body": slow(WHOLE[:HALF], 2.5, WHOLE[HALF:]),
    "a body that trickles": slow(WHOLE[:HALF], *([1.2, b" "] * 4), WHOLE[HALF:]),
    "garbage": lambda: b"\x16\x03\x01 this is no HTTP\r\n\r\n",
}


@pytest.mark.parametrize("fault", PASSING)
def test_F13_a_passing_fault_costs_a_try_and_the_page_comes_whole(serve: Serve, fault: str) -> None:
    server = serve(lambda r: PASSING[fault]() if r.number == 1 else answer([{"n": 1}, {"n": 2}], packed=True))
    assert numbers(read(server)) == [1, 2]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "times", "count", "why"),
    [
        (lambda: answer({}, 429, Retry_After="0"), 1, 0, "the service answers 429"),
        (lambda: answer({}, 503), 3, 2, "the service answers 503"),
        (lambda: b"", 1, 1, "the service did not answer as it should (RemoteProtocolError)"),
    ],
    ids=["busy once", "busy again and again", "no answer"],
)
def test_F13_a_service_that_is_asked_again_is_told_of_until_it_answers(
    serve: Serve, fault: Callable[[], Answer], times: int, count: int, why: str
) -> None:
    told: list[str] = []
    server = serve(lambda r: fault() if r.number <= times else WHOLE)
    read(server, away=lambda why: told.append(why.told if why else "it answers"))
    reason = f"SourceUnavailable: {server.url}/rows: {why} (the run is tried again later by itself)"
    assert told == [reason] * count + ["it answers"]


@pytest.mark.parametrize("fault", ["500", "half a response", "cut JSON without a length"])
def test_F13_a_fault_that_stays_is_for_a_later_run(serve: Serve, fault: str) -> None:
    server = serve(lambda r: PASSING[fault]())
    with pytest.raises(SourceUnavailable) as problem:
        read(server, tries=3)
    assert problem.value.exit_code == 5
    assert len(server.requests) == 3


REFUSED: dict[str, tuple[Callable[[Request], Answer], str]] = {
    "401": (lambda r: answer({}, 401), r"refuses the log-in \(401\)"),
    "403": (lambda r: answer({}, 403), r"refuses the log-in \(403\)"),
    "404": (lambda r: answer({}, 404), "404"),
    "400": (lambda r: answer({}, 400), "answers 400"),
    "HTML with 200": (lambda r: answer(b"<html>log in</html>", kind="text/html"), "CONTENT_TYPE"),
    "HTML that says it is JSON": (lambda r: answer(b"  <!doctype html>"), "CONTENT_TYPE"),
    "redirect loop": (lambda r: answer(b"", 302, Location="/rows"), "circle"),
    "redirect to another host": (lambda r: answer(b"", 302, Location="http://example.org/"), "another host"),
    "redirect to a file": (lambda r: answer(b"", 302, Location="file:///etc/passwd"), "another host"),
    "redirect to another port": (lambda r: answer(b"", 302, Location="http://127.0.0.1:1/"), "another host"),
    "unknown packing": (lambda r: answer(b"x", Content_Encoding="br"), "packs its answer"),
    "too large": (lambda r: answer([{"n": "x" * 100_000}]), "larger than"),
    "a gzip bomb": (lambda r: answer(b"[" + b" " * 50_000_000 + b"]", packed=True), "larger than"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_F13_what_no_second_try_would_mend_pauses_the_task_with_its_cause(serve: Serve, fault: str) -> None:
    reply, message = REFUSED[fault]
    server = serve(reply)
    with pytest.raises(AnswerRefused, match=message) as refused:
        read(server, page_bytes=65_536)
    assert refused.value.where
    assert len(server.requests) <= 6
    report = source(server, page_bytes=65_536).check()
    assert not report.ok


def test_F13_redirects_within_the_host_are_followed(serve: Serve) -> None:
    server = serve(lambda r: answer([{"n": 7}]) if r.path == "/there" else answer(b"", 307, Location="/there"))
    assert numbers(read(server)) == [7]


def test_S16_the_log_in_goes_to_its_own_host_only_and_is_never_shown(serve: Serve) -> None:
    other = serve(lambda r: answer([{"n": 1}]))
    first = serve(lambda r: answer(b"", 302, Location=f"{other.url}/x"))
    auth = {"by": "bearer", "secret": "${secret:KEY}"}
    made = source(
        first,
        auth=auth,
        redirects_to=[other.address],
        headers={"X-Key": "${secret:KEY}"},
        allowed=frozenset({first.address, other.address}),
    )
    assert numbers(list(made.batches(None, Event()))) == [1]
    made.close()
    assert first.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert first.requests[0].headers["x-key"] == CANARY
    assert CANARY not in json.dumps([other.requests[0].headers, other.requests[0].query])
    refusing = serve(lambda r: answer({}, 401))
    with pytest.raises(AnswerRefused) as refused:
        read(refusing, auth=auth, parameters={"key": "${secret:KEY}"})
    assert CANARY not in f"{refused.value!r} {refused.value} {source(refusing, auth=auth)._spec!r}"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"by": "header", "name": "X-Api-Key", "secret": "${secret:KEY}"}, "x-api-key", CANARY),
        ({"by": "basic", "user": "me", "secret": "pw"}, "authorization", "Basic bWU6cHc="),
        ({"by": "bearer", "secret": "t"}, "authorization", "Bearer t"),
    ],
)
def test_log_ins(serve: Serve, auth: dict[str, str], header: str, value: str) -> None:
    server = serve(lambda r: answer([{"n": 1}]))
    read(server, auth=auth)
    assert server.requests[0].headers[header] == value


def test_oauth2_client_credentials_are_exchanged_once_and_again_when_refused(serve: Serve) -> None:
    def reply(request: Request) -> Answer:
        if request.path == "/token":
            return answer({"access_token": f"t{request.number}", "expires_in": 3600})
        return answer(TABLE.page(int(request.query["page"])))

    server = serve(reply)
    auth = {
        "by": "oauth2",
        "user": "me",
        "secret": "${secret:KEY}",
        "token_url": f"{server.url}/token",
        "scope": "read",
    }
    assert len(numbers(read(server, auth=auth, paging={"by": "page"}))) == 35
    tokens = [r for r in server.requests if r.path == "/token"]
    assert len(tokens) == 1
    assert b"grant_type=client_credentials&scope=read" in tokens[0].body
    assert {r.headers["authorization"] for r in server.requests if r.path == "/rows"} == {"Bearer t1"}


def test_F14_a_service_that_gives_the_same_page_for_ever_is_found_out(serve: Serve) -> None:
    server = serve(lambda r: answer([{"n": 1}]))
    with pytest.raises(AnswerRefused, match="same page again"):
        read(server, paging={"by": "page"})
    endless = serve(lambda r: answer([{"n": int(r.query["page"])}]))
    with pytest.raises(AnswerRefused, match="more than 20 pages"):
        read(endless, paging={"by": "page"}, pages=20)


def test_G4_only_what_changed_since_is_asked_for_and_the_position_moves_at_the_end(serve: Serve) -> None:
    table = [{"n": i, "at": f"2026-01-{i + 1:02d}T00:00:00Z"} for i in range(9)]

    def reply(request: Request) -> Answer:
        since = request.query["since"]
        return answer([r for r in table if str(r["at"]) >= since][(int(request.query["page"]) - 1) * 4 :][:4])

    server = serve(reply)
    options = {
        "paging": {"by": "page"},
        "since": {"parameter": "since", "at": "at", "first": "2026-01-03T00:00:00Z", "overlap": 86_400},
    }
    first = read(server, **options)
    assert numbers(first) == list(range(1, 9))
    assert [b.position.value["since"] for b in first] == [None, None, "2026-01-09T00:00:00Z"]
    table.append({"n": 9, "at": "2026-01-10T00:00:00Z"})
    second = read(server, first[-1].position, **options)
    assert numbers(second) == [7, 8, 9]  # two of them in the overlap
    assert numbers(read(server, second[-1].position, **options)) == [8, 9]


@pytest.mark.parametrize(
    ("since", "overlap", "asked"),
    [
        ("100", 10, "90"),
        ("2026-03-01", 86_400, "2026-02-28"),
        ("2026-03-01T00:00:00+02:00", 60, "2026-02-28T23:59:00+02:00"),
    ],
)
def test_the_overlap_is_asked_for_in_the_services_own_spelling(
    serve: Serve, since: str, overlap: float, asked: str
) -> None:
    server = serve(lambda r: answer([]))
    read(server, since={"parameter": "s", "at": "n", "first": since, "overlap": overlap})
    assert server.requests[0].query["s"] == asked


def test_F14_rows_that_move_while_pages_are_turned_lose_nothing_that_was_appended(serve: Serve) -> None:
    table = Pages([{"n": i} for i in range(30)])

    def reply(request: Request) -> Answer:
        if len(table.rows) < 60:
            table.rows.append({"n": len(table.rows)})
        return answer(table.at(int(request.query["o"])))

    found = numbers(read(serve(reply), paging={"by": "offset", "parameter": "o", "first": 0}))
    assert found == list(range(60))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "64:ff9b::7f00:1", "100.64.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_S2_private_addresses_need_the_operators_word(address: str) -> None:
    judged = ipaddress.ip_address(address)
    with pytest.raises(TargetRefused, match=r"not allowed it|never"):
        Outbound().judge("inner.example", 80, judged)
    Outbound(allowed=frozenset({"inner.example:80"})).judge("inner.example", 80, judged)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "0.0.0.0", "224.0.0.1", "fe80::1", "::", "::ffff:169.254.169.254"]
)
def test_S2_some_addresses_are_never_connected_to(address: str) -> None:
    outbound = Outbound(allowed=frozenset({"x.example:80", f"{address}:80"}))
    for host in ("x.example", address):
        with pytest.raises(TargetRefused, match="never"):
            outbound.judge(host, 80, ipaddress.ip_address(address))


def test_S2_the_hubs_own_ports_are_refused_whatever_the_list_says() -> None:
    own = Outbound(allowed=frozenset({"127.0.0.1:8080"}), own=frozenset({("kafka", 9092)}), own_ports=frozenset({8080}))
    for host, port in (("127.0.0.1", 8080), ("kafka", 9092), ("localhost", 8080)):
        with pytest.raises(TargetRefused, match="hub itself"):
            own.judge(host, port, ipaddress.ip_address("127.0.0.1"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1"])
def test_S2_nothing_is_connected_to_before_it_is_judged(serve: Serve, host: str) -> None:
    server = serve(lambda r: answer([{"n": 1}]))
    with pytest.raises(DatongError):
        read(server, allowed=frozenset(), url=f"http://{host}:{server.port}/rows", tries=1)
    assert server.connections == 0


def test_S2_a_name_that_answers_differently_the_second_time_gains_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda r: answer([{"n": 1}]))
    answers = iter(["93.184.215.14", "127.0.0.1"])
    real = socket.getaddrinfo

    def flips(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host == "rebind.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", flips)
    asked = []

    def connect(address: Any, *rest: Any, **more: Any) -> Any:
        asked.append(address[0])
        raise OSError("the test has no such network")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(SourceUnavailable):
        read(server, allowed=frozenset(), url=f"http://rebind.example:{server.port}/rows", tries=1)
    assert asked == ["93.184.215.14"]  # the judged address, not the name
    assert server.connections == 0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One that ended, and one of an authority of our own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "service")])
    made = {}
    for label, end in (("good", now + datetime.timedelta(days=1)), ("expired", now - datetime.timedelta(days=1))):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        made[label] = folder / f"{label}.pem"
        made[label].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
    return made


@pytest.mark.parametrize(
    ("served", "trusted", "message"),
    [("expired", "expired", "expired"), ("good", None, "not trusted"), ("good", "good", None)],
)
def test_F13_S28_certificates(
    serve: Serve, certificates: dict[str, Path], served: str, trusted: str | None, message: str | None
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[served])
    server = serve(lambda r: answer([{"n": 1}]), tls=context)
    root = certificates[served].parent
    options: dict[str, Any] = {"root": root, "ca_file": certificates[trusted].name if trusted else None}
    if message is None:
        assert numbers(read(server, **options)) == [1]
        return
    with pytest.raises(AnswerRefused, match=message) as refused:
        read(server, **options)
    assert refused.value.remedy


@pytest.mark.parametrize("ca_file", ["/etc/ssl/certs/ca-certificates.crt", "../ca.pem", "var/ca.pem", "no.pem"])
def test_S6_an_authority_is_named_below_the_files_root_alone(serve: Serve, tmp_path: Path, ca_file: str) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/hub.lock").touch()
    with pytest.raises(ConfigurationInvalid, match=r"below the files root|hub's own|cannot be read"):
        source(serve(lambda r: answer([])), root=tmp_path, ca_file=ca_file)


def test_a_service_that_waits_is_left_at_once_when_the_source_is_closed(serve: Serve) -> None:
    server = serve(lambda r: [WHOLE[:HALF], *([0.2, b" "] * 2000)])
    made = source(server, timeout_s=300, page_timeout_s=300)
    started = time.monotonic()
    Timer(0.5, made.close).start()
    with pytest.raises(DatongError):
        list(made.batches(None, Event()))
    assert time.monotonic() - started < 100


def test_R17_the_hubs_settings_become_the_rule(tmp_path: Path) -> None:
    from hub.builder import outbound_of
    from hub.settings import load_settings

    env = {
        "DATONG_OUTBOUND__ALLOW": '["10.0.0.5:443"]',
        "DATONG_LOG__URL": "kafka://broker:9092",
        "DATONG_STORE__URL": "postgresql+psycopg://u@db/x",
    }
    made = outbound_of(load_settings(tmp_path, env=env).settings)
    assert made.allowed == {"10.0.0.5:443"}
    assert made.own == {("127.0.0.1", 8080), ("127.0.0.1", 8081), ("broker", 9092), ("db", 5432)}
    assert made.own_ports == {8080, 8081}, "the broker's port on this machine is somebody else's"
    several = {**env, "DATONG_STORE__URL": "postgresql+psycopg://u@/x?host=db1:5433&host=DB2:5432"}
    assert {("db1", 5433), ("db2", 5432)} < outbound_of(load_settings(tmp_path, env=several).settings).own
    for url, place in (("https://Names.example", ("names.example", 443)), ("http://[::1]:8081", ("::1", 8081))):
        made = outbound_of(load_settings(tmp_path, env={**env, "DATONG_REGISTRY__URL": url}).settings)
        assert place in made.own
