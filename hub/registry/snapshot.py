"""Reading everything out of any registry that speaks the API (registry-api §4 to §6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hub.errors import ConfigurationInvalid, NotFound
from hub.registry.client import RegistryClient, subject_path
from hub.registry.dump import Dump, DumpedSettings, DumpedVersion, version_from_json
from hub.registry.model import Level, Mode, level_of, mode_of


def snapshot(client: RegistryClient, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Dump:
    """Subjects, versions with soft deletions, levels and modes. Raises RegistryUnavailable and what access refuses.

    A registry that lacks one of the younger parameters or paths is read as far as it goes."""
    names: list[str] = client.get("/subjects", deleted=True)
    versions: list[DumpedVersion] = []
    left_out: list[str] = []
    settings = [_settings(client, None)]
    for done, subject in enumerate(names):
        progress(done, len(names))
        for data in _versions(client, subject):
            if data.get("schemaType") not in (None, "AVRO"):
                left_out.append(f"{subject} version {data['version']}: a schema of type {data['schemaType']}")
                continue
            versions.append(version_from_json(data))
        settings.append(_settings(client, subject))
    progress(len(names), len(names))
    known = tuple(s for s in settings if (s.level, s.normalise, s.mode) != (None, None, None))
    return Dump(versions=tuple(versions), settings=known, left_out=tuple(left_out))


def _versions(client: RegistryClient, subject: str) -> list[dict[str, Any]]:
    path = subject_path(subject, "/versions")
    live = set(client.maybe(path) or ())
    found = []
    for number in client.maybe(path, deleted=True) or ():
        data: dict[str, Any] = client.get(f"{path}/{number}", deleted=True)
        found.append({**data, "subject": subject, "deleted": number not in live})
    return found


def _settings(client: RegistryClient, subject: str | None) -> DumpedSettings:
    """What is set of its own; a level or mode that we do not know is left unset."""
    rest = "" if subject is None else f"/{quote(subject, safe='')}"
    config, mode = client.maybe(f"/config{rest}") or {}, _mode(client, f"/mode{rest}")
    return DumpedSettings(
        subject=subject, level=_level(config.get("compatibilityLevel")), normalise=config.get("normalize"), mode=mode
    )


def _level(text: Any) -> Level | None:
    try:
        return level_of(text) if isinstance(text, str) else None
    except ConfigurationInvalid:
        return None


def _mode(client: RegistryClient, path: str) -> Mode | None:
    try:
        text = (client.maybe(path) or {}).get("mode")
        return mode_of(text) if isinstance(text, str) else None
    except (ConfigurationInvalid, NotFound):
        return None
