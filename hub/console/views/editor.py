"""The text of a connector: read, checked, tried and saved. Nothing that was typed is lost by a mistake in it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from hub.api.problems import status_of
from hub.catalogue.described import WORDS, Setting
from hub.catalogue.edit import declared
from hub.console.pages import Action, Asked, Done, Page, Shown, Values, trouble
from hub.console.render import fit, leaves, segment
from hub.console.texts import Texts
from hub.console.views.shared import connector_of
from hub.errors import ConfigurationInvalid, DatongError, NotFound, RevisionChanged
from hub.mapping.functions import TABLE
from hub.pipeline.blame import fields_behind
from hub.sentences import said
from hub.store.states import Desired
from hub.views.topics import fields_of

HERE = "/console/connectors"
ROWS = (5, 10, 20, 50)  # of a preview
OF_CASE = 5_000  # rows of a case that are tried
COLUMNS = 40  # of a row
LINES = 200  # of a comparison
WIDTH = 200  # of a line that a mistake is in
BRIEF = 100  # columns of a comment in a template


def edit(asked: Asked) -> Values:
    """A connector's text as it stands, valid or not; `case` is what a fix is to be tried on."""
    found = asked.hub.editing.text(asked.path["name"])
    made = _values(
        asked,
        text=_read(found.text),
        name=found.name,
        file=found.file,
        revision=found.revision,
        kind=_kind(asked, found.name),
    )
    place = _place(asked, made["text"], made["case"]) if made["case"] else _lacking(asked, made["text"], found.name)
    return made | {"place": place}


def new(asked: Asked) -> Values:
    """A text to begin with, for the kind that was chosen."""
    kinds = asked.hub.editing.kinds
    kind = asked.query.get("kind", "") or next(iter(kinds))
    if kind not in kinds:
        raise NotFound("there is no such kind of source", remedy=", ".join(kinds))
    return _values(asked, text=template(kind, kinds[kind], Texts(asked.language)), kind=kind)


def change(asked: Asked) -> Done | Shown:
    """What the button of the editor says: check, preview, try or save."""
    name, over = asked.path["name"], asked.form.get("over", "")
    typed = _typed(asked) | {"revision": asked.form.get("revision", "")}
    try:
        base = edit(asked)
    except NotFound as error:  # it was taken away meanwhile; what was typed can be created anew
        gone = _values(asked, text=typed["text"], kind="", wrong=trouble(error))
        return Shown(page=NEW, values=gone, status=status_of(error))
    if asked.form.get("do") != "save" and not over:
        return _looked(asked, EDIT, base | typed, name)
    try:
        asked.hub.editing.save(name, typed["text"].encode(), over or typed["revision"])
    except RevisionChanged as error:
        return _conflict(base | typed, base["text"], base["revision"], error)
    except DatongError as error:
        return _refused(asked, EDIT, base | typed, name, error)
    case = asked.form.get("case", "")
    to = f"/console/quarantine/{segment(case)}?step=replay" if case else f"{HERE}/{segment(name)}"
    return Done(to=to, said="connectors_saved", about={"name": name})


def create(asked: Asked) -> Done | Shown:
    """The same for a text that is new."""
    base = _values(asked, text="", kind=asked.form.get("kind", ""))
    typed = _typed(asked) | {"paused": "paused" in asked.form}
    text = typed["text"].encode()
    if asked.form.get("do") != "save":
        return _looked(asked, NEW, base | typed, "")
    try:
        state: Desired = "PAUSED" if typed["paused"] else "RUNNING"
        made = asked.hub.editing.create(text, declared(text) or "", state, by=asked.person.name)
    except DatongError as error:
        return _refused(asked, NEW, base | typed, "", error)
    return Done(to=f"{HERE}/{segment(made['connector'])}", said="connectors_created", about={"name": made["connector"]})


def template(kind: str, settings: Sequence[Setting], t: Texts) -> str:
    """A connector to fill in: required settings, and the others as comments."""
    lines = [f"# {t('connectors.template.about', kind=kind)}"]
    lines += [f"connector: my-connector  # {t('connectors.template.name')}"]
    lines += [f"agency: my-agency  # {t('connectors.template.agency')}"]
    lines += ["source:", f"  kind: {kind}"]
    own = [one for one in _settings(kind, settings, t) if one["name"].startswith("source.")]
    for one in sorted(own, key=lambda setting: not setting["required"]):
        name = one["name"].removeprefix("source.")
        if name != "kind" and "." not in name:
            mark, default = ("", "") if one["required"] else ("# ", one["default"])
            about = fit(" ".join(one["text"].split()) or one["value"], BRIEF)
            lines += [f"  {mark}{name}: {default}".rstrip() + f"  # {about}"]
    lines += [f"# schedule: every 1h  # {t('connectors.template.schedule')}", "publish:"]
    lines += [f"  topic: my-agency.domain.entity.v1  # {t('connectors.template.topic')}"]
    lines += [f"  schema: domain/entity.avsc  # {t('connectors.template.schema')}"]
    lines += [f"  key: [id]  # {t('connectors.template.key')}"]
    lines += [f"  mode: snapshot  # {t('connectors.template.mode')}"]
    lines += [f"  fields:  # {t('connectors.template.fields')}", "    id: trim(Code)", "    name: trim(Name)"]
    return "\n".join(lines) + "\n"


def _functions(t: Texts) -> list[Values]:
    found = [(one, t.translated(f"functions.{name}", one.doc)) for name, one in sorted(TABLE.items())]
    return [{"signature": one.signature, "doc": doc.text, "lang": doc.lang} for one, doc in found]


def _settings(kind: str, settings: Sequence[Setting], t: Texts) -> list[Values]:
    """As people read them, in the page's language."""
    words = t.words("values", WORDS)
    made = []
    for one in settings:
        text = t.translated(setting_key(kind, one.name), one.text)
        shown = {name: getattr(one, name) for name in ("name", "required", "default")}
        made.append({**shown, "value": said(one.takes, words), "text": text.text, "lang": text.lang})
    return made


def setting_key(kind: str, name: str) -> str:
    """Under which a setting is translated: a kind's own below the kind, those of every connector in one place."""
    own = name.removeprefix("source.")
    return f"settings.connector.{name}" if own == name else f"settings.{kind}.{own}"


def _values(asked: Asked, **known: Any) -> Values:
    """All that the editor's pages have, with nothing looked at yet."""
    kinds = asked.hub.editing.kinds
    kind, t = known.get("kind", ""), Texts(asked.language)
    return {
        "name": "",
        "file": "",
        "revision": "",
        "kinds": list(kinds),
        "settings": _settings(kind, kinds.get(kind, ()), t),
        "functions": _functions(t),
        **_schema(asked, known.get("name", "")),
        "case": _case(asked, asked.form.get("case") or asked.query.get("case", "")),
        "limit": ROWS[0],
        "limits": list(ROWS),
        "paused": False,
        "sound": False,
        "mistakes": [],
        "preview": None,
        "wrong": None,
        "difference": None,
        "newest": "",
        "place": 0,
        **known,
    }


def _place(asked: Asked, text: str, case: dict[str, Any]) -> int:
    """The line that gives the field which a case is about, or which its check reads; 0: none in particular."""
    spec = asked.hub.catalogue.connectors.get(case["connector"])
    fields = fields_behind(spec.publish.mapping, case["path"]) if spec else {}
    return next((place for field in fields if (place := _line_of(text, field))), 0)


def _lacking(asked: Asked, text: str, name: str) -> int:
    """The first line that reads a column which the source had not when the connector paused; 0: none in particular."""
    connector = connector_of(asked, name)
    if connector is None or connector["state"] != "PAUSED" or not connector["columns"]:
        return 0
    word = re.compile(rf"(?<!\w){re.escape(connector['columns']['missing'][0])}(?!\w)")
    return next((number for number, line in enumerate(text.split("\n"), 1) if word.search(line)), 0)


def _line_of(text: str, field: str) -> int:
    """Where a mapping gives a field, whose name's parts stand one below the other; 0: nowhere."""
    wanted = ["fields", *field.split(".")]
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip().startswith(f"{'.'.join(wanted)}:"):
            return number
        if line.strip().startswith(f"{wanted[0]}:"):
            wanted.pop(0)
    return 0


def _case(asked: Asked, wanted: str) -> dict[str, Any] | None:
    """The case a fix is for; None when no row of it is open."""
    return next((c for c in asked.hub.quarantine.cases() if c["case"] == wanted), None) if wanted else None


def _schema(asked: Asked, name: str) -> Values:
    """The fields that the connector fills, as its file says now; none for a new one."""
    spec = asked.hub.catalogue.connectors.get(name)
    schema = asked.hub.catalogue.schemas.get(spec.publish.schema_file) if spec else None
    fields = list(fields_of(schema.record)) if schema else []
    return {"schema": spec.publish.schema_file if spec else "", "schema_fields": fields}


def _kind(asked: Asked, name: str) -> str:
    spec = asked.hub.catalogue.connectors.get(name)
    return spec.kind if spec else ""


def _read(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ConfigurationInvalid("the file is not UTF-8", remedy="mend it by hand") from None


def _typed(asked: Asked) -> Values:
    """What the form held. Browsers send lines with CR LF, files have LF."""
    limit = asked.form.get("limit", "")
    return {
        "text": asked.form.get("text", "").replace("\r\n", "\n"),
        "limit": int(limit) if limit in map(str, ROWS) else ROWS[0],
    }


def _looked(asked: Asked, page: Page, values: Values, name: str) -> Shown:
    """Checked and, when that was asked and there is no mistake, tried on rows."""
    editing, text, do = asked.hub.editing, values["text"].encode(), asked.form.get("do")
    checked = editing.validate(text, name)
    found = {"mistakes": _placed(checked["mistakes"], checked["file"], values["text"]), "sound": checked["valid"]}
    if not checked["valid"] or do == "check":
        return Shown(page=page, values=values | found, status=200 if checked["valid"] else 422)
    try:
        if do == "try" and values["case"]:
            shown = editing.preview_case(text, values["case"]["case"], OF_CASE)
            tried = {"of_case": values["case"]["count"], **_beside(shown, values["limit"])}
        else:
            tried = {"of_case": 0, **_beside(editing.preview(text, values["limit"]), values["limit"])}
    except DatongError as error:
        return Shown(page=page, values=values | found | {"wrong": trouble(error)}, status=status_of(error))
    return Shown(page=page, values=values | found | {"preview": tried})


def _refused(asked: Asked, page: Page, values: Values, name: str, error: DatongError) -> Shown:
    """Why it was not saved: every mistake with its line where there are any."""
    mistakes: list[dict[str, Any]] = []
    if isinstance(error, ConfigurationInvalid) and error.mistakes:
        checked = asked.hub.editing.validate(values["text"].encode(), name)
        mistakes = _placed(checked["mistakes"], checked["file"], values["text"])
    told = None if mistakes else trouble(error)
    return Shown(page=page, values=values | {"mistakes": mistakes, "wrong": told}, status=status_of(error))


def _conflict(values: Values, now: str, newest: str, error: RevisionChanged) -> Shown:
    """Somebody else was faster. The typed text stays, and so does its revision; what is there now is shown beside it."""
    lines = difflib.unified_diff(now.splitlines(), values["text"].splitlines(), "1", "2", lineterm="", n=2)
    difference = list(lines)[2 : LINES + 2]
    return Shown(
        page=EDIT,
        values=values | {"wrong": trouble(error), "difference": difference, "newest": newest},
        status=status_of(error),
    )


def _placed(mistakes: Sequence[dict[str, Any]], file: str, text: str) -> list[dict[str, Any]]:
    """Mistakes with the line they are in; `elsewhere` names another file that the text would break."""
    lines = text.splitlines()
    return [
        {
            **one,
            "elsewhere": "" if one["file"] == file else one["file"],
            "source": lines[one["line"] - 1][:WIDTH] if one["file"] == file and 0 < one["line"] <= len(lines) else "",
        }
        for one in mistakes
    ]


def _beside(shown: dict[str, Any], most: int) -> dict[str, Any]:
    """A preview's rows as lists of names and values, what to look at first."""
    return {
        **{name: shown[name] for name in ("published", "filtered", "rejected")},
        "tried": len(shown["rows"]),
        "rows": [
            {
                "row": row["row"],
                "origin": row["origin"],
                "outcome": row["outcome"],
                "path": row["path"],
                "source": _cells(row["source"], row["columns"]),
                "more": max(len(row["source"] or ()) - COLUMNS, 0),
                "result": _leaves(row["result"], shown["fields"]),
            }
            for row in shown["rows"][:most]
        ],
    }


def _cells(source: dict[str, Any] | None, look_at: Sequence[str]) -> list[tuple[str, str, bool]]:
    cells = [
        (name, "NULL" if value is None else value if isinstance(value, str) else json.dumps(value), name in look_at)
        for name, value in (source or {}).items()
    ]
    return sorted(cells, key=lambda cell: not cell[2])[:COLUMNS]


def _leaves(result: dict[str, Any] | None, look_at: Collection[str]) -> list[tuple[str, str, bool]]:
    found = [(path, value, path in look_at) for path, value in leaves(result or {})]
    return sorted(found, key=lambda leaf: not leaf[2])[:COLUMNS]


EDIT = Page(
    path="/connectors/{name}/edit", template="connector_edit.html", show=edit, area="connectors", role="operator"
)
NEW = Page(path="/connectors/new", template="connector_new.html", show=new, area="connectors", role="operator")
PAGES = (NEW, EDIT)
ACTIONS = (
    Action(path="/connectors/new/edit", act=create),
    Action(path="/connectors/{name}/edit", act=change),
)
