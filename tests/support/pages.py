"""Runs a page of documentation block by block. The convention stands in CONTRIBUTING.md, "Executed docs"."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"(?P<ticks>`{3,})(?P<language>\w*(?: run)?)(?: title=\"(?P<title>[^\"]+)\")?\s*")
NOT_RUN = re.compile(r"<!-- not run: \S.*-->")
OURS = re.compile(r"\b(localhost|127\.0\.0\.1):8080\b")
COMMAND_S, STARTS_S, ENDS_S = 120.0, 30.0, 30.0


class PageBroken(AssertionError):
    """What a page says is not what happens. The message has the line of the page."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing a reader does: write a file, give a command, start a server, run some Python."""

    kind: Literal["file", "command", "server", "python"]
    line: int  # of the page, 1 = first
    text: str  # the file's content, the command, the program
    path: str = ""  # of a file
    expected: str = ""  # of a command; nothing = whatever it prints


def steps(page: str) -> Iterator[Step]:
    """What a reader of the page does, in order."""
    lines = page.splitlines()
    at, before = 0, ""
    while at < len(lines):
        fence = FENCE.fullmatch(lines[at])
        if fence is None:
            before = lines[at] or before
            at += 1
            continue
        end = lines.index(fence["ticks"], at + 1)
        if before.startswith("<!-- not run") and not NOT_RUN.fullmatch(before):
            raise PageBroken(f"line {at}: say why the block is not run")
        if not NOT_RUN.fullmatch(before):
            yield from _block(fence["language"], fence["title"], at + 2, lines[at + 1 : end])
        at, before = end + 1, ""


def _block(language: str, title: str | None, line: int, body: Sequence[str]) -> Iterator[Step]:
    text = "\n".join(body) + "\n"
    if title:
        yield Step(kind="file", line=line, text=text, path=title)
    elif language == "python run":
        yield Step(kind="python", line=line, text=text)
    elif language == "console":
        yield from _commands(line, body)


def _commands(line: int, body: Sequence[str]) -> Iterator[Step]:
    """A `$ ` begins a command, a backslash continues it, all other lines are what it prints."""
    starts = [n for n, text in enumerate(body) if text.startswith("$ ")]
    if starts[:1] != [0]:
        raise PageBroken(f"line {line}: a console block begins with a command")
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        last = start
        while body[last].endswith("\\"):
            last += 1
        command = "\n".join(body[start : last + 1]).removeprefix("$ ")
        kind: Literal["server", "command"] = "server" if command.endswith("&") else "command"
        yield Step(kind=kind, line=line + start, text=command, expected="\n".join(body[last + 1 : end]))


def matches(expected: str, printed: str) -> bool:
    """The whole of what was printed, line by line; `…` stands for anything."""
    tidy = ["\n".join(line.rstrip() for line in text.strip().splitlines()) for text in (expected, printed)]
    return re.fullmatch(re.escape(tidy[0]).replace("…", ".*"), tidy[1], re.DOTALL) is not None


class Reader:
    """Somebody who follows a page in a directory of their own, with `datong` on the path and a free port for 8080."""

    def __init__(self, base: Path) -> None:
        self.base = self.cwd = base
        self.port = free_port()
        shim = base / ".bin" / "datong"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m hub.cli.main "$@"\n')
        shim.chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{shim.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DATONG_HTTP__PORT": str(self.port),
        }
        self._servers: list[subprocess.Popen[bytes]] = []

    def follow(self, page: str) -> None:
        """Do all that the page says. Raises PageBroken at the first thing that goes otherwise."""
        for step in steps(page):
            getattr(self, f"_{step.kind}")(step)

    def close(self) -> None:
        """End the servers by SIGTERM; each must end well."""
        for server in self._servers:
            server.terminate()
        codes = [server.wait(ENDS_S) for server in self._servers]
        if any(codes):
            raise PageBroken(f"servers ended with {codes}")

    def _file(self, step: Step) -> None:
        path = self.base / step.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")

    def _command(self, step: Step) -> None:
        where = self.base / ".bin" / "cwd"
        script = f'{self._here(step.text)}\ncode=$?\npwd > "{where}"\nexit $code'
        self._must(step, ["bash", "-c", script])
        self.cwd = Path(where.read_text().strip())

    def _python(self, step: Step) -> None:
        self._must(step, [sys.executable, "-P", "-c", self._here(step.text)])

    def _must(self, step: Step, command: Sequence[str]) -> None:
        done = subprocess.run(
            command, cwd=self.cwd, env=self.env, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        printed = done.stdout.replace(f":{self.port}", ":8080")
        if done.returncode:
            raise PageBroken(f"line {step.line}: {step.text}\nended with {done.returncode}\n{printed}{done.stderr}")
        if step.expected.strip() and not matches(step.expected, printed):
            raise PageBroken(f"line {step.line}: {step.text}\nprinted\n{printed}\ninstead of\n{step.expected}")

    def _server(self, step: Step) -> None:
        command = self._here(step.text).removesuffix("&")
        server = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=self.cwd, env=self.env)
        self._servers.append(server)
        deadline = time.monotonic() + STARTS_S
        while not _answers(self.port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise PageBroken(f"line {step.line}: {step.text}\ndoes not serve")
            time.sleep(0.05)

    def _here(self, text: str) -> str:
        """The page's words for what they are here: its port, and dev.py, which is the shim on the path."""
        text = re.sub(r"(?m)^python3 dev\.py (?:datong )?", "datong ", text)
        return OURS.sub(rf"\1:{self.port}", text)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
