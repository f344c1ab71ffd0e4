"""`datong schemas …`: what is registered, what would change, and moving in from another registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.main import JsonOption, ProjectOption
from hub.cli.output import Output
from hub.cli.session import open_api, project_of
from hub.errors import ConfigurationInvalid, NotFound

if TYPE_CHECKING:
    from hub.registry.client import RegistryClient
    from hub.registry.dump import Dump
    from hub.registry.model import Draft

PIECE = 1_000_000  # characters of schemas in one request of an import
INCOMPATIBLE = 3
Subject = Annotated[str, typer.Argument(help="A subject, such as it-mim.education.school.v1-value.")]
SchemaFile = Annotated[Path, typer.Argument(help="An Avro schema (.avsc).", exists=True, dir_okay=False)]
References = Annotated[
    list[str] | None,
    typer.Option("--reference", "-r", help="A type of another subject: NAME=SUBJECT:VERSION. May be given again."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The schema registry: subjects, versions, what changes for readers.", no_args_is_help=True)
    for name, command in (
        ("list", list_),
        ("show", show),
        ("diff", diff),
        ("check", check),
        ("register", register_),
        ("export", export),
        ("import", import_),
    ):
        group.command(name)(command)
    app.add_typer(group, name="schemas")


@contextmanager
def registry_of(project: Path | None) -> Iterator[RegistryClient]:
    """The registry of a project, as its operator: the hub's own, or the one of `registry.url` for all but what only the
    hub knows."""
    from hub.adapters import registry_http
    from hub.registry.client import RegistryClient, SplitClient
    from hub.settings import load_settings

    settings = load_settings(project_of(project)).settings
    with ExitStack() as stack:
        own = RegistryClient(stack.enter_context(open_api(project)).http, "/registry")
        if settings.registry.url:
            yield SplitClient(stack.enter_context(registry_http(settings)), own)
        else:
            yield own


def list_(
    prefix: Annotated[str, typer.Option(help="Only subjects that begin so.")] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="Softly deleted versions as well.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest version of every subject. Example: datong schemas list --prefix it-mim."""
    out = Output(as_json=as_json)
    with registry_of(project) as registry:
        found = registry.get("/schemas", subjectPrefix=prefix, latestOnly=True, deleted=deleted)
        levels = {v["subject"]: _level(registry, v["subject"]) for v in found}
    rows = [
        {"subject": v["subject"], "version": v["version"], "id": v["id"], "level": levels[v["subject"]]} for v in found
    ]
    if as_json:
        out.data({"schemas": rows})
    out.table([list(row.values()) for row in rows], ["subject", "version>", "id>", "level"])


def show(
    subject: Subject,
    version: Annotated[str, typer.Argument(help="A version, or `latest`.")] = "latest",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """One version: its schema, and who uses it. Example: datong schemas show it-istat.statistics.division.v1-value"""
    from hub.registry.client import subject_path

    out = Output(as_json=as_json)
    with registry_of(project) as registry:
        found = registry.get(subject_path(subject, f"/versions/{version}"))
        versions = registry.get(subject_path(subject, "/versions"))
        level, uses = _level(registry, subject), registry.get("/-/uses", subject=subject)
    document = json.loads(found["schema"])
    if as_json:
        out.data({**found, "schema": document, "versions": versions, "level": level, "uses": uses})
        return
    facts = [("subject", subject), ("version", f"{found['version']} of {', '.join(map(str, versions))}")]
    facts += [("id", found["id"]), ("level", level), ("published by", ", ".join(uses["connectors"]))]
    facts += [("refers to", f"{r['name']}: {r['subject']} {r['version']}") for r in found.get("references", ())]
    facts += [("read by", _subscription(s)) for s in uses["subscriptions"]]
    out.table([list(fact) for fact in facts], ["fact", "value"])
    out.line()
    out.line(json.dumps(document, ensure_ascii=False, indent=2))


def diff(
    subject: Subject,
    old: Annotated[str, typer.Argument(metavar="[FROM]", help="A version. Default: the one before.")] = "",
    new: Annotated[str, typer.Argument(metavar="[TO]", help="A version. Default: the latest.")] = "latest",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """What changed between two versions, in words. Example: datong schemas diff it-mim.education.school.v1-value 1 2"""
    out = Output(as_json=as_json)
    with registry_of(project) as registry:
        found = registry.get("/-/diff", subject=subject, **{"from": old or None}, to=new)
    if as_json:
        out.data(found)
        return
    _print_changes(out, found, f"version {found['to']}")
    _print_breaks(out, found["breaks"])


def check(
    subject: Subject,
    file: SchemaFile,
    reference: References = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Would this schema be taken, and whom would it break? Example: datong schemas check a.b.c.v1-value new.avsc"""
    from hub.registry.client import body_of

    out = Output(as_json=as_json)
    with registry_of(project) as registry:
        found = registry.post("/-/check", body_of(_draft(file, reference)), subject=subject)
    if as_json:
        out.data(found)
    elif found["difference"] is not None:
        _print_changes(out, found["difference"], file.name)
    for reason in found["reasons"]:
        out.line(f"  {reason['path'] or 'the schema'}: {reason['message']}", style="red")
    verdict = "compatible" if found["compatible"] else "not compatible"
    out.line(f"{verdict} with {subject} at level {found['level']}", style="bold" if found["compatible"] else "red")
    _print_breaks(out, found["breaks"])
    return 0 if found["compatible"] else INCOMPATIBLE


def register_(
    subject: Subject,
    file: SchemaFile,
    reference: References = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a schema; the same one keeps its id. Example: datong schemas register a.b.c.v1-value new.avsc"""
    from hub.registry.client import body_of, subject_path

    out = Output(as_json=as_json)
    body = body_of(_draft(file, reference))
    with registry_of(project) as registry:
        registry.post(subject_path(subject, "/versions"), body)
        found = registry.post(subject_path(subject), body)
    if as_json:
        out.data({"subject": subject, "version": found["version"], "id": found["id"]})
    out.line(f"{subject} version {found['version']} is schema {found['id']}")


def export(
    file: Annotated[Path, typer.Argument(help="Where to; `-` is standard output.")],
    project: ProjectOption = None,
) -> None:
    """Write everything: versions, ids, soft deletions, levels, modes. Example: datong schemas export schemas.jsonl"""
    from hub.registry.dump import to_lines
    from hub.registry.snapshot import snapshot

    with registry_of(project) as registry:
        dump = snapshot(registry)
    text = "".join(f"{line}\n" for line in to_lines(dump))
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    Output(as_json=False).note(f"wrote {len(dump.versions):,} versions to {file}")


def import_(
    source: Annotated[
        str,
        typer.Argument(help="A registry's URL, `kafka://HOST:PORT/_schemas`, or a file of `datong schemas export`."),
    ],
    user: Annotated[
        str, typer.Option(help="USER:PASSWORD for the URL; better in its variable.", envvar="DATONG_IMPORT_USER")
    ] = "",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take over another registry, its numbers included; may be repeated. Example: datong schemas import http://old:8081"""
    out = Output(as_json=as_json)
    dump = _read(source, user, project, out)
    with registry_of(project) as registry:
        total = _take(registry, dump)
    if as_json:
        out.data(total)
    for refused in total["refused"]:
        out.line(f"  left out: {refused['subject']} version {refused['version']}: {refused['why']}", style="red")
    for text in total["left_out"]:
        out.line(f"  left out: {text}", style="yellow")
    out.line(f"{total['new']:,} versions imported, {total['present']:,} were here, {len(total['refused']):,} refused")
    return 1 if total["refused"] else 0


def _take(registry: RegistryClient, dump: Dump) -> dict[str, Any]:
    """Bounded pieces, each after those it refers to; then the settings."""
    from hub.registry.dump import pieces, refused_target, settings_to_json, version_to_json

    total: dict[str, Any] = {"new": 0, "present": 0, "refused": [], "left_out": list(dump.left_out)}
    places: set[tuple[str, int]] = set()
    for piece in pieces(dump.versions, PIECE):
        kept = []
        for version in piece:
            why = refused_target(version, places)
            if why is None:
                kept.append(version_to_json(version))
            else:
                total["refused"].append({"subject": version.subject, "version": version.version, "why": why})
                places.add(version.place)
        found = registry.post("/-/import", {"versions": kept})
        total |= {name: total[name] + found[name] for name in ("new", "present", "refused")}
        places |= {(r["subject"], r["version"]) for r in found["refused"]}
    registry.post("/-/import", {"settings": [settings_to_json(s) for s in dump.settings]})
    return total


def _read(source: str, user: str, project: Path | None, out: Output) -> Dump:
    """A dump from wherever it is."""
    if source.startswith(("http://", "https://")):
        return _from_url(source, user, out)
    if source.startswith("kafka://"):
        from hub.cli.schemas_topic import dump_of_topic

        return dump_of_topic(source, project)
    from hub.registry.dump import from_lines

    path = Path(source)
    if not path.is_file():
        raise NotFound(f"there is no file {source}", remedy="name a file of `datong schemas export`, or a URL")
    return from_lines(path.read_text(encoding="utf-8").splitlines())


def _from_url(url: str, user: str, out: Output) -> Dump:
    import httpx

    from hub.registry.client import RegistryClient
    from hub.registry.snapshot import snapshot

    name, _, password = user.partition(":")
    auth = httpx.BasicAuth(name, password) if user else None
    with httpx.Client(base_url=url.rstrip("/"), auth=auth, timeout=60.0) as http, out.progress() as bar:
        line = bar.add_task("reading", total=None, detail="")
        return snapshot(RegistryClient(http), lambda done, of: bar.update(line, detail=f"{done:,} of {of:,} subjects"))


def _draft(file: Path, references: list[str] | None) -> Draft:
    from hub.registry.model import Draft

    return Draft(text=file.read_text(encoding="utf-8"), references=tuple(_reference(text) for text in references or ()))


def _reference(text: str) -> Any:
    from hub.registry.model import Reference

    name, equals, target = text.partition("=")
    subject, _, version = target.rpartition(":")
    if not (name and equals and subject and version.lstrip("-").isdecimal()):
        raise ConfigurationInvalid(f"{text[:80]!r} is no reference", remedy="--reference edu.Address=address-value:1")
    return Reference(name=name, subject=subject, version=int(version))


def _level(registry: RegistryClient, subject: str) -> str:
    from urllib.parse import quote

    return str(registry.get(f"/config/{quote(subject, safe='')}", defaultToGlobal=True)["compatibilityLevel"])


def _print_changes(out: Output, found: dict[str, Any], new: str) -> None:
    out.line(f"{found['subject']}: from version {found['from']} to {new}", style="bold")
    for change in found["changes"]:
        reads = change["new_reads_old"] and change["old_reads_new"]
        out.line(f"  {change['path'] or 'the schema'}: {change['text']}", style=None if reads else "yellow")
    if not found["changes"]:
        out.line("  nothing changes for anybody")


def _print_breaks(out: Output, subscriptions: list[dict[str, Any]]) -> None:
    for subscription in subscriptions:
        out.line(f"  breaks {_subscription(subscription)}", style="red")
    if not subscriptions:
        out.line("  breaks no subscription")


def _subscription(found: dict[str, Any]) -> str:
    groups = f" in {', '.join(found['groups'])}" if found["groups"] else ""
    return f"{found['agency']}{groups} ({found['grant']}: {', '.join(found['fields'])})"
