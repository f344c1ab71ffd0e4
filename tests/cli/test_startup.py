"""What a command loads before its work begins: the libraries and files that it needs, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli.main import run

TOLD = """
import json, sys
opened = []
sys.addaudithook(lambda event, about: opened.append(str(about[0])) if event == "open" else None)
from hub.cli.main import run
code = run(sys.argv[1:])
print(json.dumps({"code": code, "modules": sorted(sys.modules), "opened": opened}))
"""
ELSEWHERE = (  # libraries of other kinds of source, sinks, logs, stores and functions
    "adbc_driver_postgresql", "alembic", "fastavro", "httpcore", "ijson", "kafka", "openpyxl", "paramiko",
    "phonenumbers", "plotly", "psycopg", "python_calamine", "sqlalchemy.dialects.postgresql", "uvicorn",
)  # fmt: skip

SERVED = ("argon2", "fastapi", "hub.api", "hub.console", "jinja2", "paho", "prometheus_client", "starlette")
STORED = ("hub.log", "hub.store", "sqlalchemy", "structlog")


def told(*arguments: str) -> tuple[set[str], set[str]]:
    """The modules that a command loaded and the names of the files that it opened, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", TOLD, *arguments], capture_output=True, text=True, check=True)
    about = json.loads(done.stdout.splitlines()[-1])
    assert about["code"] == 0, done.stderr
    return set(about["modules"]), {Path(name).name for name in about["opened"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert run(["init", str(tmp_path / "p")]) == 0
    return tmp_path / "p"


def test_a_run_of_csv_files_loads_nothing_that_only_others_need(project: Path) -> None:
    told("run", "--project", str(project))  # the first makes the store's tables, and that takes Alembic
    modules, opened = told("run", "city-library-branches", "--project", str(project))
    assert "connectors.sources.files" in modules
    assert modules.isdisjoint(ELSEWHERE)
    assert "branches.csv" in opened
    assert "it.istat.yaml" in opened
    assert opened.isdisjoint({"it.istat.csv", "cn.division.csv", "it.interior.csv"})


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_what_needs_no_project_loads_no_library_of_its_commands(arguments: list[str]) -> None:
    modules, _opened = told(*arguments)
    assert "typer" in modules
    assert modules.isdisjoint({*ELSEWHERE, *SERVED, *STORED, "httpx", "numpy", "pyarrow", "pydantic", "yaml"})


def test_a_look_at_a_projects_files_opens_no_hub(project: Path) -> None:
    modules, _opened = told("validate", "--project", str(project))
    assert "hub.project" in modules
    assert modules.isdisjoint({*ELSEWHERE, *SERVED, *STORED, "hub.app"})


def test_a_command_answered_in_this_process_loads_what_answers_it(project: Path) -> None:
    told("topics", "--project", str(project))  # the first makes the store's tables
    modules, _opened = told("topics", "--project", str(project))
    assert "hub.api.operators" in modules
    assert modules.isdisjoint({*ELSEWHERE, "argon2", "hub.api.connect.app", "hub.console.app", "jinja2", "paho"})


def test_R14_a_shipped_list_is_read_when_a_mapping_names_it(project: Path) -> None:
    file = project / "connectors.d/city-library-branches.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("trim(District)", "code(trim(District), 'it.region', 'it.region.name')"), "utf-8")
    _modules, opened = told("run", "--project", str(project))
    assert "it.region.csv" in opened
    assert "cn.division.csv" not in opened
