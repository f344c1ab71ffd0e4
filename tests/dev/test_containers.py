"""docker-compose.yml and the Dockerfile, as far as they can be judged where no container engine runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from deploy.containers.unneeded import requirements_of
from deploy.services.kafka import VERSION
from hub.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OF_THE_USER = {"HUB_PORT": "8080", "HUB_ALLOWED_HOSTS": "[]", "SECRETS_DIR": "./deploy/containers/secrets"}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text()))


def environment(compose: Mapping[str, Any], service: str) -> dict[str, str]:
    """As Compose would give it where the user sets nothing."""
    given = compose["services"][service]["environment"]
    return {name: VARIABLE.sub(lambda m: m[2] or "", str(value)).replace("$$", "$") for name, value in given.items()}


def test_the_file_is_valid_by_the_schema_of_compose() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_S16_no_password_has_a_default(compose: dict[str, Any]) -> None:
    text = COMPOSE.read_text()
    assert dict(VARIABLE.findall(text)) == OF_THE_USER
    for service in compose["services"]:
        for name, value in environment(compose, service).items():
            if re.search("PASSWORD|SECRET|TOKEN", name):
                assert name.endswith("_FILE"), name
                assert value.startswith("/run/secrets/")
            for password in re.findall(r"://[^/@:]*:([^/@]*)@", value):
                assert re.fullmatch(r"\$\{secret:\w+\}", password), name
    kept = subprocess.run(["git", "ls-files", "deploy/containers/secrets"], cwd=ROOT, capture_output=True, text=True)
    assert kept.stdout.split() in ([], ["deploy/containers/secrets/.gitignore"])
    assert {s["file"] for s in compose["secrets"].values()} == {
        "${SECRETS_DIR:-./deploy/containers/secrets}/postgres_password"
    }


def test_the_hubs_settings_exist_and_are_valid(compose: dict[str, Any], tmp_path: Path) -> None:
    given = environment(compose, "hub")
    loaded = load_settings(tmp_path, env=given)
    assert loaded.settings.log.url == "kafka://kafka:9092"
    assert loaded.settings.http.host == "0.0.0.0"
    assert sorted(origin for origin in loaded.origins.values() if origin != "default") == sorted(given)


def test_the_services_fit_each_other(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["kafka"]["image"] == f"apache/kafka:{VERSION}"  # the one that is tested
    assert f"{services['postgres']['user'].split(':')[0]}:" in f"{re.findall(r'USER (.*)', DOCKERFILE)[-1]}"
    for name, service in services.items():
        assert "healthcheck" in service, name
        assert service["volumes"], name
        assert {v.split(":")[0] for v in service["volumes"]} <= set(compose["volumes"])
        assert "latest" not in service.get("image", "")
    assert all(port.startswith("127.0.0.1:") for port in services["hub"]["ports"])
    assert [name for name, service in services.items() if "ports" in service] == ["hub"]


def test_the_image_is_made_of_what_is_there() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in allowed, source
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    version = re.search(r"ARG PYTHON=([\d.]+)", DOCKERFILE)
    assert version is not None
    assert version[1] in SpecifierSet(wanted)
    assert "--require-hashes" in DOCKERFILE


class Ready(BaseHTTPRequestHandler):
    """/readyz of a hub that is well or not."""

    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the tests' output."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_image_asks_readyz(
    port: int, status: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = re.search(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])", DOCKERFILE)
    assert written is not None
    command = [sys.executable, *json.loads(written[1])[1:]]
    monkeypatch.setattr(Ready, "status", status)
    done = subprocess.run(command, env={**os.environ, "DATONG_HTTP__PORT": str(port)}, check=False)
    assert done.returncode == code


@pytest.fixture(scope="module")
def dropped() -> set[str]:
    """What the image uninstalls, as the script says of this very environment."""
    command = [sys.executable, str(ROOT / "deploy/containers/unneeded.py"), str(ROOT / "pyproject.toml")]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_what_is_dropped_is_for_development_alone(dropped: set[str]) -> None:
    assert {"pytest", "mypy", "ruff", "hypothesis", "confluent-kafka", "check-jsonschema", "import-linter"} <= dropped
    kept = {canonicalize_name(found.metadata["Name"]) for found in distributions()} - dropped
    assert {"pyarrow", "kafka-python", "starlette", "uvicorn", "psycopg", "crc32c", "pydantic-core"} <= kept
    for name in kept:
        for needs in requirements_of(name):
            if needs.marker is None or needs.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needs.name) not in dropped, f"{name} needs {needs.name}"


def test_the_hub_runs_without_what_is_dropped(dropped: set[str]) -> None:
    """Its modules are hidden, as if they were not installed, and everything is imported."""
    owners = {module: {canonicalize_name(n) for n in names} for module, names in packages_distributions().items()}
    hidden = sorted(module for module, names in owners.items() if names <= dropped)
    assert "pytest" in hidden
    script = f"""
import importlib, pkgutil, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)
sys.meta_path.insert(0, Hidden())
import connectors, hub
for package in (hub, connectors):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".versions" not in found.name and not found.name.endswith(".env"):
            importlib.import_module(found.name)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
