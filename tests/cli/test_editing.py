"""`datong connector config|save|delete|reset|restart` and `datong quarantine try` (G9, R35)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from hub.builder import outbound_of
from hub.settings import load_settings
from tests.cli.conftest import Datong
from tests.cli.test_cli import ROOT
from tests.support.ports import free_port
from tests.support.waiting import answers

NAME = "city-library-branches"


def text_in(here: Path) -> str:
    return (here / f"connectors.d/{NAME}.yaml").read_text()


def test_a_connector_is_printed_saved_and_deleted(here: Path, datong: Datong, tmp_path: Path) -> None:
    assert datong("connector", "config", NAME).out == text_in(here)
    file = tmp_path / "new.yaml"
    file.write_text(text_in(here).replace("every 1h", "every 2h"))
    assert json.loads(datong("connector", "save", str(file), "--json").out)["created"] is False
    assert "every 2h" in text_in(here)
    file.write_text(text_in(here).replace(f"connector: {NAME}", "connector: second"))
    assert "new" in datong("connector", "save", str(file)).out
    assert datong("connector", "delete", "second").code == 1, "it is not stopped"
    datong("connector", "stop", "second")
    assert datong("connector", "delete", "second").code == 0
    assert not (here / "connectors.d/second.yaml").exists()


def test_S16_save_says_why_it_could_not_read_what_is_there(here: Path, datong: Datong, tmp_path: Path) -> None:
    file, there = tmp_path / "new.yaml", here / f"connectors.d/{NAME}.yaml"
    file.write_text(text_in(here))
    there.rename(here / "elsewhere.yaml")
    there.symlink_to(here / "elsewhere.yaml")
    assert "is a link" in datong("connector", "save", str(file)).err


def test_R35_a_text_with_mistakes_is_refused_with_their_lines(here: Path, datong: Datong, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(text_in(here).replace("every 1h", "sometimes").replace("trim(Name)", "trimm(Name)"))
    before = text_in(here)
    refused = datong("connector", "save", str(file), "--json")
    assert refused.code == 3
    assert len(json.loads(refused.err)["mistakes"]) == 2
    assert text_in(here) == before


def test_G9_a_fix_is_tried_on_a_case_then_saved_and_replayed(here: Path, datong: Datong, tmp_path: Path) -> None:
    assert datong("run").code == 0
    (case,) = json.loads(datong("quarantine", "list", "--json").out)["cases"]
    now = tmp_path / "now.yaml"
    now.write_text(text_in(here))
    assert datong("quarantine", "try", case["case"], str(now)).code == 1
    fixed = tmp_path / "fixed.yaml"
    fixed.write_text(text_in(here).replace("to_int(Seats)", "coalesce(try(to_int(Seats)), 1)"))
    tried = datong("quarantine", "try", case["case"], str(fixed))
    assert (tried.code, "1 would be published" in tried.out) == (0, True)
    assert datong("connector", "save", str(fixed)).code == 0
    assert datong("quarantine", "replay").code == 0
    assert json.loads(datong("quarantine", "list", "--json").out)["cases"] == []


def test_G4_a_reset_has_a_reason_and_the_next_run_finds_nothing_new(here: Path, datong: Datong) -> None:
    datong("run")
    assert datong("connector", "reset", NAME).code == 3
    assert datong("connector", "reset", NAME, "--reason", "again").code == 1, "it is not stopped"
    datong("connector", "stop", NAME)
    done = datong("connector", "reset", NAME, "--reason", "file mended", "--json")
    assert json.loads(done.out)["reason"] == "file mended"
    assert "file mended" in datong("connector", "show", NAME).out
    datong("connector", "resume", NAME)
    restarted = json.loads(datong("connector", "restart", NAME, "--json").out)["runs"][0]
    assert (restarted["totals"]["published"], restarted["totals"]["unchanged"]) == (0, 3)


def test_connect_port_answers_at_its_root_and_a_taken_one_is_told(here: Path) -> None:
    own, port = free_port(), free_port()
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "DATONG_HTTP__PORT": str(port), "DATONG_REGISTRY__PORT": "0",
        "DATONG_CONNECT__PORT": str(own),
    }  # fmt: skip
    command = [sys.executable, "-m", "hub.cli.main", "serve"]
    with subprocess.Popen(command, cwd=here, env=environment) as server:
        assert answers(server, own)
        token = (here / "var/operator.token").read_text()
        for base in (f"http://127.0.0.1:{own}", f"http://127.0.0.1:{port}/connect"):
            assert httpx.get(f"{base}/connectors", auth=("op", token), timeout=60, trust_env=False).json() == [NAME]
        server.terminate()
        assert server.wait(120) == 0
    assert ("127.0.0.1", own) in outbound_of(load_settings(here, env={"DATONG_CONNECT__PORT": str(own)}).settings).own
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own))
        taken.listen()
        refused = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, "connect.port" in refused.stderr) == (3, True)
