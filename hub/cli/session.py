"""One way to the hub for every command: over HTTP when it serves this directory, else the same API in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub import errors
from hub.directory import LOCK, Directory, Running

if TYPE_CHECKING:
    import httpx

    from hub.settings import Loaded

PERSON_TOKEN = "DATONG_PERSON_TOKEN"  # noqa: S105 - a variable's name
START_WAIT_S = 10.0  # a hub that has the lock may not have announced itself yet


class Api:
    """The hub's API with its errors as exceptions again."""

    def __init__(self, client: httpx.Client, *, local: bool) -> None:
        self.http = client  # for what is not below /api/v1
        self.local = local

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a GET."""
        return self._call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """JSON of a POST."""
        return self._call("POST", path, json=body if body is not None else {})

    def put(self, path: str, body: Any = None) -> Any:
        """JSON of a PUT."""
        return self._call("PUT", path, json=body if body is not None else {})

    def patch(self, path: str, body: Any) -> Any:
        """JSON of a PATCH."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """JSON of a DELETE."""
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            response = self.http.request(method, f"/api/v1{path}", **options)
        except httpx.TransportError as error:
            raise errors.SourceUnavailable(
                f"the hub does not answer ({type(error).__name__})", remedy="is `datong serve` still running?"
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        raise error_of(response)


def error_of(response: httpx.Response) -> errors.DatongError:
    """The exception that the hub answered with."""
    try:
        body = response.json()
        code, detail = str(body["code"]), str(body["detail"])
    except (ValueError, KeyError, TypeError):
        return errors.DatongError(f"the hub answered {response.status_code}")
    mistakes = tuple(str(m) for m in body.get("mistakes", ()))
    remedy = str(body.get("remedy", ""))
    kind = getattr(errors, code, errors.DatongError)
    if issubclass(kind, errors.ConfigurationInvalid):
        return errors.ConfigurationInvalid(detail, remedy=remedy, mistakes=mistakes)
    if issubclass(kind, errors.SchemaIncompatible):
        return errors.SchemaIncompatible(detail, incompatibilities=mistakes)
    error: errors.DatongError = errors.DatongError.__new__(kind)
    errors.DatongError.__init__(error, detail, remedy=remedy)
    return error


def token_of(directory: Directory) -> str:
    """Who gives commands: the person of the variable's token, under whose name they are recorded, or else the hub's own."""
    return os.environ.get(PERSON_TOKEN) or directory.operator_token()


@contextmanager
def connect(loaded: Loaded) -> Iterator[Api]:
    """The hub of this project's data directory, as its operator."""
    directory = Directory(loaded.settings.data_path)
    running = _running(directory)
    if running is not None:
        if running.role == "worker":
            raise errors.Conflict(
                "the process of this data directory is a worker, which answers no commands",
                remedy="ask a node that serves the API: set DATONG_DATA_DIR to its data directory",
            )
        import httpx

        headers = {"Authorization": f"Bearer {token_of(directory)}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=60.0, trust_env=False) as client:
            yield Api(client, local=False)
        return
    from hub.cli.inprocess import in_process

    with in_process(loaded, directory) as client:
        yield Api(client, local=True)


def _running(directory: Directory) -> Running | None:
    """The hub to talk to. A lock without a note is a hub that starts, or another command that ends soon: wait for it."""
    deadline = time.monotonic() + START_WAIT_S
    while True:
        try:
            directory.acquire()
        except errors.DirectoryInUse:
            running = directory.running()
            if running is not None:
                return running
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            directory.release()
            return None


def open_api(project: Path | None) -> AbstractContextManager[Api]:
    """The hub of a project."""
    return connect(load_project(project))


def connector_name(given: str) -> str:
    """A connector's name, as given or as the file that is given declares it."""
    if not given.endswith((".yaml", ".yml")):
        return given
    from hub.catalogue.yaml import load_yaml

    path = Path(given)
    return str(load_yaml(path.read_bytes(), given).data.get("connector", path.stem))


def project_of(path: Path | None) -> Path:
    """The project directory: the one given, or the nearest one up from here that has a datong.yaml."""
    if path is not None:
        return path.resolve()
    here = Path.cwd()
    return next((d for d in (here, *here.parents) if (d / "datong.yaml").is_file()), here)


def load_project(path: Path | None) -> Loaded:
    """The settings of a project that is there. Raises ConfigurationInvalid where there is none: a command that went on
    would make a data directory of its own, and find nothing in it."""
    from hub.settings import FILE, load_settings

    loaded = load_settings(project_of(path))
    root, data = loaded.settings.root, loaded.settings.data_path
    if not any(p.exists() for p in (root / FILE, root / "connectors.d", data / LOCK)):
        raise errors.ConfigurationInvalid(
            f"there is no project {'here or above' if path is None else f'in {path}'}: no {FILE}",
            remedy="`datong init my-hub` makes one, --project names one that is elsewhere",
        )
    return loaded
