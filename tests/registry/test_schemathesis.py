"""Whatever anybody sends by the registry's own OpenAPI: no 5xx, and no answer that is not documented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.process import running

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,unsupported_method,missing_required_header,ignored_auth"
)


@pytest.mark.long
def test_S23_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "project") as node:
        code = "from schemathesis.cli import schemathesis; schemathesis()"
        command = [sys.executable, "-P", "-c", code, "run", f"{node.url}/openapi.json", "--checks", CHECKS]
        command += ["--header", f"Authorization: Bearer {node.token}", "--max-examples", "50", "--seed", "1"]
        command += ["--phases", "examples,coverage,fuzzing,stateful", "--no-color", "--workers", "2"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
        assert "Tested: 39" in done.stdout
        assert "unexpected error" not in (node.directory / "out").read_text()
