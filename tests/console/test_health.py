"""The page Health: what it shows of the hub, a notice to try, and files read again (S8, S16)."""

from __future__ import annotations

from pathlib import Path

from tests.support.console import form_token, serving
from tests.support.fault_server import FaultServer, answer
from tests.support.projects import make_project
from tests.watch.test_notify import SECRET, broken, declare

FILE = "topics.d/extra.yaml"


def test_a_notice_is_tried_and_mistakes_are_shown_once_the_files_are_read_again(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    hook = FaultServer(lambda request: answer({}, status=200 if request.number == 1 else 500))
    declare(project, "night-desk", {"kind": "webhook", "url": hook.url, "secret": "${secret:HOOK}"})
    allow = f'["127.0.0.1:{hook.port}"]'
    with serving(project, DATONG_OUTBOUND__ALLOW=allow) as made, made.as_("olaf") as client:
        token = form_token(client)
        sent = client.post("/console/health/test-notice", data={"token": token, "notify": "night-desk"})
        assert (sent.status_code, hook.connections) == (303, 1)
        assert "A test notice went to night-desk." in client.get("/console/health").text
        refused = client.post("/console/health/test-notice", data={"token": token, "notify": "night-desk"})
        assert (refused.status_code, "The notice was not taken." in refused.text) == (502, True)
        assert SECRET not in refused.text
        nobody = client.post("/console/health/test-notice", data={"token": token, "notify": "x<script>"})
        assert (nobody.status_code, "<script>" in nobody.text.partition("<main")[2]) == (404, False)
        broken(project)
        assert FILE not in client.get("/console/health").text
        client.post("/console/health/read-again", data={"token": token})
        page = client.get("/console/health").text
        assert FILE in page
        assert "The files were read again." in page
        shown = client.get("/console/health.json").json()
        assert shown["told"] == [{"name": "night-desk", "kind": "webhook", "severities": ["critical", "warning"]}]
        assert shown["disk"]["free"] > 0
        assert {s["setting"]: s["origin"] for s in shown["settings"]}["outbound.allow"] == "DATONG_OUTBOUND__ALLOW"
    hook.close()
