"""A `rest` source on loopback, and services that turn pages in every way there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from connectors.context import SourceContext
from connectors.outbound import Outbound
from connectors.sources.rest import RestSource
from connectors.sources.rest_specs import RestSpec
from hub.model import Batch, Mode, SourceCheckpoint
from hub.ports import Away
from tests.sources.reading import rows
from tests.support.fault_server import Answer, FaultServer, Pages, Request, answer

CANARY = "canary-key-31415"
Serve = Callable[..., FaultServer]


def source(
    server: FaultServer,
    mode: Mode = "append",
    *,
    allowed: frozenset[str] | None = None,
    away: Away = lambda _why: None,
    root: Path = Path("/nowhere"),
    **spec: Any,
) -> RestSource:
    made = {
        "kind": "rest",
        "url": f"{server.url}/rows",
        "timeout_s": 2,
        "page_timeout_s": 3,
        "wait_most_s": 0.05,
        **spec,
    }
    outbound = Outbound(allowed=frozenset({server.address}) if allowed is None else allowed)
    context = SourceContext(
        task="t", root=root, mode=mode, outbound=outbound, away=away,
        secret=lambda text: text.replace("${secret:KEY}", CANARY),
    )  # fmt: skip
    return RestSource(RestSpec(**made), context)


def read(server: FaultServer, after: SourceCheckpoint | None = None, **options: Any) -> list[Batch]:
    made = source(server, **options)
    try:
        return list(made.batches(after, Event()))
    finally:
        made.close()


def numbers(batches: list[Batch]) -> list[int]:
    return [int(r["n"]) for r in rows(batches)]


TABLE = Pages([{"n": i} for i in range(35)])
BY: dict[str, tuple[dict[str, Any], Callable[[Request], Answer]]] = {
    "page": ({"by": "page", "parameter": "p"}, lambda r: answer(TABLE.page(int(r.query["p"])))),
    "page from 0": (
        {"by": "page", "parameter": "p", "first": 0}, lambda r: answer(TABLE.page(int(r.query["p"]) + 1)),
    ),
    "offset": (
        {"by": "offset", "parameter": "o", "first": 0, "size": 10, "size_parameter": "limit"},
        lambda r: answer(TABLE.at(int(r.query["o"]))[: int(r.query["limit"])]),
    ),
    "cursor": (
        {"by": "cursor", "parameter": "c", "at": "meta.next"},
        lambda r: answer(
            {"rows": TABLE.at(int(r.query.get("c", 0))),
             "meta": {"next": int(r.query.get("c", 0)) + 10 if int(r.query.get("c", 0)) < 30 else None}}
        ),
    ),
    "link": (
        {"by": "link"},
        lambda r: answer(
            TABLE.at(int(r.query.get("from", 0))),
            **({"Link": f'</rows?from={int(r.query.get("from", 0)) + 10}>; rel="next"'}
               if int(r.query.get("from", 0)) < 30 else {}),
        ),
    ),
    "next_url": (
        {"by": "next_url", "at": "next"},
        lambda r: answer(
            {"rows": TABLE.at(int(r.query.get("from", 0))),
             "next": f'?from={int(r.query.get("from", 0)) + 10}' if int(r.query.get("from", 0)) < 30 else ""}
        ),
    ),
    "next_url of OData": (
        {"by": "next_url", "at": "@odata.nextLink"},
        lambda r: answer(
            {"rows": TABLE.at(int(r.query.get("$skip", 0)))}
            | ({"@odata.nextLink": f'?$skip={int(r.query.get("$skip", 0)) + 10}'}
               if int(r.query.get("$skip", 0)) < 30 else {})
        ),
    ),
}  # fmt: skip
