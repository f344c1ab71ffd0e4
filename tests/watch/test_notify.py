"""Notices over real sockets: a signed POST, mail over verified TLS, secrets, private addresses, one teller of many nodes."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.signing import signed
from deploy.services.tls import make_certificates
from hub.app import Hub
from hub.catalogue.notify import NotifySpec
from hub.cli.main import run as command
from hub.errors import NotFound
from hub.settings import load_settings
from hub.watch.notify import Channel
from tests.support.fault_server import FaultServer, answer
from tests.support.mail import MailServer
from tests.support.requirements import require

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PASSWORD = "pass word"
COLLECT_MS = 15_000
MAIL = {"kind": "email", "host": "m.example", "sender": "a@b.example", "to": ["a@b.example"]}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("openssl")
    return make_certificates(tmp_path_factory.mktemp("tls") / "made", ("mail",))


@pytest.fixture
def mail(certificates: Path) -> Iterator[Callable[..., MailServer]]:
    made: list[MailServer] = []

    def start(**options: Any) -> MailServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "mail.crt", certificates / "mail.key")
        made.append(MailServer(context, **options))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.fixture
def hook() -> Iterator[FaultServer]:
    server = FaultServer(lambda request: answer({}, status=500 if request.number in (2, 3) else 200))
    yield server
    server.close()


def declare(project: Path, name: str, channel: dict[str, Any], **more: Any) -> None:
    """One of alerts.d, its secrets, and the authority of its server."""
    folder = project / "alerts.d"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"notify": name, "channel": channel, **more}), encoding="utf-8")
    secrets = project / "secrets.d"
    secrets.mkdir(exist_ok=True)
    for secret, text in (("HOOK", SECRET), ("MAIL", PASSWORD)):
        (secrets / secret).write_text(text, encoding="utf-8")
        (secrets / secret).chmod(0o600)


def email(server: MailServer, certificates: Path | None, project: Path, **changes: Any) -> dict[str, Any]:
    if certificates is not None:
        (project / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    made = {
        "kind": "email",
        "host": "localhost",
        "port": server.port,
        "security": "tls" if server.at_once else "starttls",
        "username": "hub",
        "password": "${secret:MAIL}",
        "sender": "hub@city.example",
        "to": ["office@city.example", "night@city.example"],
        "ca_file": "ca.pem" if certificates else "",
    }
    return {**made, **changes}


def opened(project: Path, *ports: int) -> Hub:
    allow = json.dumps([f"{host}:{port}" for port in ports for host in ("127.0.0.1", "localhost")])
    return Hub.open(load_settings(project, env={"DATONG_OUTBOUND__ALLOW": allow}))


def broken(project: Path, *, mended: bool = False) -> None:
    """A configuration mistake, or none."""
    file = project / "topics.d/extra.yaml"
    file.unlink() if mended else file.write_text("topic: nonsense\n", encoding="utf-8")


def test_a_webhook_is_told_signed_again_after_failures_and_resolved(project: Path, hook: FaultServer) -> None:
    declare(project, "on-call", {"kind": "webhook", "url": f"{hook.url}/alerts", "secret": "${secret:HOOK}"})
    with opened(project, hook.port) as hub:
        assert not hub.catalogue.mistakes
        assert hub.notifier.test() == [{"notify": "on-call", "error": ""}]
        broken(project)
        hub.reload()
        hub.notifier.look(0)
        assert len(hook.requests) == 1  # news is gathered
        hub.notifier.look(COLLECT_MS)  # 500
        assert "answers 500" in hub.notifier.untold["on-call"]
        assert [a.kind for a in hub.alerts.current()] == ["notice_failed", "configuration_mistake"]
        hub.notifier.look(COLLECT_MS + 9_000)
        assert len(hook.requests) == 2
        hub.notifier.look(COLLECT_MS + 10_000)  # 500
        hub.notifier.look(COLLECT_MS + 30_000)
        assert hub.notifier.untold == {}
        broken(project, mended=True)
        hub.reload()
        hub.notifier.look(100_000)
        hub.notifier.look(100_000 + COLLECT_MS)
    test, *told, resolved = [json.loads(request.body)["data"] for request in hook.requests]
    assert (test["test"], test["new"]) == (True, [])
    assert [[one["id"] for one in body["new"]] for body in told] == [
        ["configuration_mistake:topics.d/extra.yaml:1"]
    ] * 3
    assert "datong validate" in told[-1]["new"][0]["next_step"]["zh"]
    assert ([one["kind"] for one in resolved["resolved"]], resolved["new"]) == (["configuration_mistake"], [])
    first = hook.requests[0]
    headers = {name.lower(): value for name, value in first.headers.items()}
    made = signed(bytes(range(32)), headers["webhook-id"], int(headers["webhook-timestamp"]), first.body)
    assert headers["webhook-signature"] == made["webhook-signature"]


@pytest.mark.parametrize("at_once", [False, True])
def test_mail_goes_over_verified_tls_to_everybody(
    project: Path, mail: Callable[..., MailServer], certificates: Path, at_once: bool
) -> None:
    server = mail(at_once=at_once)
    declare(project, "office", email(server, certificates, project), language="zh")
    broken(project)
    with opened(project, server.port) as hub:
        hub.notifier.look(0)
        hub.notifier.look(COLLECT_MS)
        assert hub.notifier.untold == {}
    (got,) = server.received
    assert (got.secret, got.user, got.recipients) == (True, "hub", ["office@city.example", "night@city.example"])
    assert "新告警: 1" in got.mail["Subject"]
    assert "配置有误" in got.mail["Subject"]
    assert got.mail["Auto-Submitted"] == "auto-generated"
    text = got.mail.get_content()
    assert "topics.d/extra.yaml:1" in text
    assert "datong validate" in text


@pytest.mark.parametrize(
    ("options", "changes", "trusted", "said"),
    [
        ({}, {}, False, "certificate of the mail server does not hold"),
        ({"at_once": True}, {}, False, "certificate of the mail server does not hold"),
        ({"offers": False}, {}, True, "no STARTTLS"),
        ({"login": "hub:another"}, {}, True, "refuses user or password"),
        ({"refuses": {"RCPT"}}, {}, True, "refuses this sender or its recipients"),
        ({"refuses": {"EHLO"}}, {}, True, "mail server"),
        ({}, {"ca_file": "nothing.pem"}, True, "certificate file cannot be read"),
        ({}, {"ca_file": "../nothing.pem"}, True, "not below the files root"),
        ({}, {"password": "${secret:NONE}"}, True, "secret NONE is not there"),
        ({}, {"username": "h\u00fcb"}, True, "are ASCII"),
    ],
)
def test_S16_what_hinders_mail_is_said_without_secrets_and_nothing_is_sent_in_clear(
    project: Path,
    mail: Callable[..., MailServer],
    certificates: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
    changes: dict[str, Any],
    trusted: bool,
    said: str,
) -> None:
    server = mail(**options)
    declare(project, "office", {**email(server, certificates if trusted else None, project), **changes})
    with opened(project, server.port) as hub:
        (sent,) = hub.notifier.test("office")
    assert said in sent["error"]
    assert server.received == []
    assert PASSWORD not in sent["error"] + "".join(capsys.readouterr())


def test_R17_a_private_address_that_nobody_allowed_is_never_connected_to(
    project: Path, mail: Callable[..., MailServer], certificates: Path, hook: FaultServer
) -> None:
    server = mail()
    declare(project, "hook", {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"})
    declare(project, "office", email(server, certificates, project))
    with opened(project) as hub:
        errors = {one["notify"]: one["error"] for one in hub.notifier.test()}
    assert all("private" in error for error in errors.values()), errors
    assert hook.connections == 0


def test_one_node_tells_and_another_goes_on_when_it_ends(project: Path, hook: FaultServer) -> None:
    declare(project, "hook", {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"}, collect="1s")
    broken(project)
    with opened(project, hook.port) as hub:
        other = type(hub.notifier)(
            hub.alerts.current, lambda: hub.catalogue, hub.notifier._open, hub.store.leases, "other", lambda: 0
        )
        for at_ms in (0, 2_000):
            hub.notifier.look(at_ms)
            other.look(at_ms)
        assert len(hook.requests) == 1
        hub.notifier.stop()
        other.look(20_000)
        other.look(22_000)
        assert len(hook.requests) == 2


def test_a_fault_of_ours_with_one_keeps_nobody_else_from_being_told(project: Path, hook: FaultServer) -> None:
    for name in ("a-hook", "b-hook"):
        declare(project, name, {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"})
    broken(project)
    with opened(project, hook.port) as hub:
        there = hub.notifier._open

        def open_channel(spec: NotifySpec) -> Channel:
            if spec.notify == "a-hook":
                raise ZeroDivisionError
            return there(spec)

        hub.notifier._open = open_channel
        hub.notifier.look(0)
        hub.notifier.look(COLLECT_MS)
        assert hub.notifier.untold.keys() == {"a-hook"}
    assert len(hook.requests) == 1


def test_severities_that_nobody_wants_are_not_told(project: Path, hook: FaultServer) -> None:
    channel = {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"}
    declare(project, "hook", channel, severities=["critical"])
    broken(project)
    with opened(project, hook.port) as hub:
        hub.notifier.look(0)
        hub.notifier.look(COLLECT_MS)
        with pytest.raises(NotFound):
            hub.notifier.test("nobody")
    assert hook.requests == []


def test_alerts_test_says_who_was_told(
    project: Path, hook: FaultServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(["alerts", "test", "--project", str(project)]) == 0
    assert "nobody is declared" in capsys.readouterr().out
    declare(project, "hook", {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"})
    assert command(["alerts", "test", "hook", "--project", str(project)]) == 1
    assert "private" in capsys.readouterr().out
    monkeypatch.setenv("DATONG_OUTBOUND__ALLOW", f'["127.0.0.1:{hook.port}"]')
    assert command(["alerts", "test", "--project", str(project)]) == 0
    assert capsys.readouterr().out == "hook: told\n"


@pytest.mark.parametrize(
    ("channel", "place"),
    [
        ({"kind": "pigeon"}, "channel.kind"),
        ({"kind": "webhook", "url": "https://x.example/", "secret": SECRET}, "channel.secret"),
        ({**MAIL, "to": []}, "channel.to"),
        ({**MAIL, "sender": "a@b.example\nBcc: x"}, "channel.sender"),
        ({**MAIL, "password": "p"}, "channel.password"),
    ],
)  # fmt: skip
def test_S16_mistakes_of_a_file_are_named_by_place_and_never_quote_a_secret(
    project: Path, channel: dict[str, Any], place: str
) -> None:
    declare(project, "office", channel)
    with opened(project) as hub:
        assert hub.catalogue.notify == {}
        (mistake,) = [m for m in hub.catalogue.mistakes if m.path.startswith(place)]
    assert mistake.file == "alerts.d/office.yaml"
    assert SECRET not in str(mistake)
