"""The civil protection's web service, as the demo has it: its published files, page by page, on a loopback port.

`GET /regioni?pagina=1&righe=100` answers `{"pagina": 1, "dati": [...]}`, rows in the order of the days. A row has the members
that its file has columns: 24 until January 2021, 30 after. Every fifth request is refused by 429 with Retry-After, as busy
services do. The files are read for each answer: what is changed in them is served at once.
"""

from __future__ import annotations

import csv
import json
import os
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
CONNECTOR = Path("connectors.d/it-dpc-regions.yaml")
SETTINGS = Path("datong.yaml")  # its outbound.allow names the address too
FILES = "data/dpc/*.csv"
ADDRESS = re.compile(rf"{re.escape(HOST)}:(\d{{1,5}})\b")
REFUSED_EVERY = 5  # requests
RETRY_AFTER_S = 1
MOST_ROWS = 500  # of a page
NUMBERS = re.compile(r"-?\d+(\.\d+)?")
TEXTS = {"data", "stato", "codice_regione", "denominazione_regione", "note", "note_test", "note_casi"}


class Service(socketserver.ThreadingTCPServer):
    """Serves a project's files. Close it with `server_close` after `shutdown`."""

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # there it would let two listen on one port

    def __init__(self, project: Path, port: int) -> None:
        super().__init__((HOST, port), Handler)
        self.project = project
        self.asked = 0
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def busy(self) -> bool:
        """Whether this request is one of those that are refused."""
        with self._lock:
            self.asked += 1
            return self.asked % REFUSED_EVERY == 0


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Service
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A page, or what is wrong with the request."""
        url = urlsplit(self.path)
        if url.path != "/regioni":
            self._answer(404, {"errore": "non trovato"})
        elif self.server.busy():
            self._answer(429, {"errore": "troppe richieste"}, {"Retry-After": str(RETRY_AFTER_S)})
        else:
            asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
            page, size = (_count(asked.get(name, default)) for name, default in (("pagina", "1"), ("righe", "100")))
            if page and 0 < size <= MOST_ROWS:
                rows = list(rows_of(self.server.project))[(page - 1) * size : page * size]
                self._answer(200, {"pagina": page, "dati": rows})
            else:
                self._answer(400, {"errore": f"pagina da 1, righe da 1 a {MOST_ROWS}"})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the demo's output is not its log."""

    def _answer(self, status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document, ensure_ascii=False).encode()
        described = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.send_response(status)
        for name, value in {**described, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _count(text: str) -> int:
    """A number of at most nine digits, else 0."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def rows_of(project: Path) -> Iterator[dict[str, Any]]:
    """All rows, with the members that their file has."""
    for path in sorted(project.glob(FILES)):
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                yield {name: _member(name, text) for name, text in row.items()}


def _member(name: str, text: str) -> Any:
    """A cell as JSON has it: blank is null, numbers are numbers, codes stay texts."""
    if text == "":
        return None
    if name in TEXTS or not NUMBERS.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


@contextmanager
def running(project: Path) -> Iterator[Service | None]:
    """Serve a project at the address that its connector names; None when it has no such connector.

    When the port is taken, a free one is served, and the project's connector and settings name that one from now on."""
    named = ADDRESS.search(_text(project / CONNECTOR))
    if named is None:
        yield None
        return
    with _bound(project, int(named[1])) as service:
        if str(service.port) != named[1]:
            for path in (project / CONNECTOR, project / SETTINGS):
                path.write_text(_text(path).replace(named[0], f"{HOST}:{service.port}"), encoding="utf-8")
        thread = threading.Thread(target=service.serve_forever, name="civil protection", daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()


def _bound(project: Path, port: int) -> Service:
    with suppress(OSError, OverflowError):
        return Service(project, port)
    return Service(project, 0)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
