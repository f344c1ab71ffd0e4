"""Endpoints of the hub's operator: connectors, runs, subscriptions, quarantine, tokens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from hub.api.deps import HubOf, OperatorCaller, administrator, operator
from hub.logs import audit_logger
from hub.pipeline.cases import LONGEST_VALUE, MAX_REASON, MOST_CHOSEN
from hub.tokens import Caller

MAX_WAIT_MS = 5_000


class RunRequest(BaseModel):
    """How to run."""

    model_config = ConfigDict(extra="forbid")
    accept_deletions: bool = Field(
        False, description="Publish deletions even when more than a tenth of the keys is gone."
    )


class PushRequest(BaseModel):
    """How to push."""

    model_config = ConfigDict(extra="forbid")
    once: bool = Field(False, description="End when all there is was pushed.")


class RetryRequest(BaseModel):
    """Which dead letters to send again."""

    model_config = ConfigDict(extra="forbid")
    id: str | None = Field(None, description="One of them; none means all that are open.", max_length=32)


class ReplayRequest(BaseModel):
    """Which quarantined rows to map again: one case, or all open rows of a connector."""

    model_config = ConfigDict(extra="forbid")
    case: str | None = Field(None, description="A case's id.", max_length=64)
    connector: str | None = Field(None, description="A connector's name.", max_length=249)


class DiscardRequest(BaseModel):
    """Which quarantined rows to set aside, and why: all open rows of a case, or those of these ids."""

    model_config = ConfigDict(extra="forbid")
    case: str | None = Field(None, description="A case's id.", max_length=64)
    rows: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field(
        [], description="Ids of rows, from a case; none means all of the case.", max_length=MOST_CHOSEN
    )
    reason: str = Field(description="Why nobody can mend them, for the record.", min_length=1, max_length=MAX_REASON)


class FindRequest(BaseModel):
    """What to look for in open rows. It is no parameter of an address, for addresses are logged."""

    model_config = ConfigDict(extra="forbid")
    connector: str = Field(description="A connector's name.", max_length=249)
    value: str = Field(
        description="A cell as it was read; blanks around it do not count.", min_length=1, max_length=LONGEST_VALUE
    )
    column: str | None = Field(None, description="Only in this column of the source.", max_length=1000)


class TokenRequest(BaseModel):
    """A token for an agency."""

    model_config = ConfigDict(extra="forbid")
    agency: str = Field(description="The agency that will hold it.", max_length=100)
    days: int = Field(365, description="Valid for so many days.", ge=1, le=3650)


class PersonTokenRequest(BaseModel):
    """A token of a person."""

    model_config = ConfigDict(extra="forbid")
    days: int = Field(90, description="Valid for so many days.", ge=1, le=3650)


class PersonRequest(BaseModel):
    """A person who may log in to the console."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="Lower-case letters, digits, `.`, `_` and `-`.", max_length=64)
    role: str = Field("viewer", description="viewer, operator or administrator.", max_length=16)
    password: str = Field(description="12 to 256 characters.", max_length=256)


class PersonChange(BaseModel):
    """What is new about a person; ends all sessions of theirs, and all waiting."""

    model_config = ConfigDict(extra="forbid")
    role: str | None = Field(None, description="viewer, operator or administrator.", max_length=16)
    password: str | None = Field(None, description="12 to 256 characters.", max_length=256)


def router() -> APIRouter:
    """All operator endpoints."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(operator)])
    _notices(api)
    _connectors(api)
    _subscriptions(api)
    _node(api)
    _quarantine(api)
    _tokens(api)
    _people(api)
    return api


def _notices(api: APIRouter) -> None:
    @api.get("/notices")
    def notices(hub: HubOf) -> dict[str, Any]:
        """What a person should know of now: trouble of the log that passes by itself, or does not."""
        return {"notices": [vars(n) for n in hub.log.notices()]}


def _connectors(api: APIRouter) -> None:
    @api.get("/connectors")
    def connectors(hub: HubOf) -> dict[str, Any]:
        """All connectors with state and last run."""
        return {"connectors": hub.views.connectors()}

    @api.get("/connectors/{name}")
    def connector(name: str, hub: HubOf) -> dict[str, Any]:
        """One connector."""
        return hub.views.connector(name)

    @api.post("/connectors/{name}/runs", status_code=202)
    def run(name: str, body: RunRequest, hub: HubOf, response: Response) -> dict[str, str]:
        """Start a run now."""
        run_id = hub.supervisor.run_now(name, accept_deletions=body.accept_deletions)
        response.headers["Location"] = f"/api/v1/connectors/{name}/runs/{run_id}"
        return {"run": run_id}

    @api.get("/connectors/{name}/runs")
    def runs(name: str, hub: HubOf, limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> dict[str, Any]:
        """The last runs, newest first."""
        return {"runs": hub.views.runs(name, limit)}

    @api.get("/connectors/{name}/runs/{run_id}")
    def one_run(
        name: str, run_id: str, hub: HubOf, wait_ms: Annotated[int, Query(ge=0, le=MAX_WAIT_MS)] = 0
    ) -> dict[str, Any]:
        """One run with its totals so far; waits up to `wait_ms` for its end."""
        return hub.views.run(name, run_id, wait_ms / 1000)

    @api.put("/connectors/{name}/{verb}", status_code=202)
    def steer(name: str, verb: str, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """pause, resume or stop."""
        hub.steer(name, verb, by=who.by)
        return hub.views.connector(name)

    @api.post("/reload")
    def reload(hub: HubOf) -> dict[str, Any]:
        """Read connectors.d, topics.d, grants.d and subscriptions.d again. Files with mistakes are left out and named."""
        return {"mistakes": hub.reload()}


def _subscriptions(api: APIRouter) -> None:
    @api.get("/subscriptions")
    def subscriptions(hub: HubOf) -> dict[str, Any]:
        """All subscriptions that the hub pushes, with their state."""
        return {"subscriptions": hub.subscriptions.all()}

    @api.get("/subscriptions/{name}")
    def subscription(name: str, hub: HubOf) -> dict[str, Any]:
        """One subscription, and how far it was pushed."""
        return hub.subscriptions.one(name)

    @api.post("/subscriptions/{name}/runs", status_code=202)
    def push(name: str, body: PushRequest, hub: HubOf, response: Response) -> dict[str, str]:
        """Start to push now."""
        run_id = hub.subscriptions.run(name, once=body.once)
        response.headers["Location"] = f"/api/v1/subscriptions/{name}/runs/{run_id}"
        return {"run": run_id}

    @api.get("/subscriptions/{name}/runs/{run_id}")
    def pushed(
        name: str, run_id: str, hub: HubOf, wait_ms: Annotated[int, Query(ge=0, le=MAX_WAIT_MS)] = 0
    ) -> dict[str, Any]:
        """The run with its totals so far; waits up to `wait_ms` for its end."""
        return hub.subscriptions.result(name, run_id, wait_ms / 1000)

    @api.get("/subscriptions/{name}/dead-letters")
    def letters(name: str, hub: HubOf) -> dict[str, Any]:
        """Batches that were not taken: where they stand in the topic, and why."""
        return {"dead_letters": hub.subscriptions.letters(name)}

    @api.post("/subscriptions/{name}/dead-letters/retry", status_code=202)
    def retry(name: str, body: RetryRequest, hub: HubOf) -> dict[str, int]:
        """Have them sent again, read anew under the grant as it is now."""
        return {"waiting": hub.subscriptions.retry(name, body.id)}

    @api.put("/subscriptions/{name}/{verb}", status_code=202)
    def steer(name: str, verb: str, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """pause or resume."""
        hub.subscriptions.steer(name, verb, by=who.by)
        return hub.subscriptions.one(name)


def _node(api: APIRouter) -> None:
    @api.get("/nodes")
    def nodes(hub: HubOf) -> dict[str, Any]:
        """The processes that share this hub's work, and what each runs now."""
        return {"nodes": hub.views.nodes()}

    @api.get("/config")
    def config(hub: HubOf) -> dict[str, Any]:
        """Every setting with its origin; secrets are redacted."""
        return {"settings": hub.views.settings()}


def _quarantine(api: APIRouter) -> None:
    @api.get("/quarantine")
    def cases(hub: HubOf, topic: str | None = None, connector: str | None = None) -> dict[str, Any]:
        """Open cases: rows of one connector that failed at one stage and field for one reason; and what was set aside
        lately."""
        desk = hub.quarantine
        aside = desk.set_aside(topic=topic, connector=connector)
        return {"cases": desk.cases(topic=topic, connector=connector), "set_aside": aside}

    @api.get("/quarantine/{case}")
    def case(
        case: str,
        hub: HubOf,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        row: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    ) -> dict[str, Any]:
        """One case with the first of its rows, values masked, and what was set aside of it. `row`: this one before all."""
        return hub.quarantine.case(case, limit, row)

    @api.post("/quarantine/replay", status_code=202)
    def replay(body: ReplayRequest, hub: HubOf) -> dict[str, Any]:
        """Map quarantined rows again with today's mapping: a run for each connector concerned."""
        return {"runs": hub.quarantine.replay(case=body.case, connector=body.connector)}

    @api.post("/quarantine/find")
    def find(body: FindRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """Open rows of a connector with a cell that reads so: their ids, cases and places, nothing of what is in them."""
        return hub.quarantine.find(connector=body.connector, value=body.value, column=body.column, by=who.by)

    @api.post("/quarantine/discard", status_code=202)
    def discard(body: DiscardRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """Set rows aside that nobody can mend: they are not open any more, and stay so when they are read again as they
        are. A run for each connector concerned."""
        return {"runs": hub.quarantine.discard(case=body.case, rows=body.rows, reason=body.reason, by=who.by)}


def _tokens(api: APIRouter) -> None:
    tokens_api = _below(api, "/tokens")  # who makes one reads as its agency

    @tokens_api.post("", status_code=201)
    def issue(body: TokenRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """A new token; the answer is the only place where its secret is ever seen."""
        made = hub.tokens_of.issue(body.agency, body.days)
        _audit("token_made", who, agency=body.agency, token=made["id"])
        return made

    @tokens_api.get("")
    def tokens(hub: HubOf) -> dict[str, Any]:
        """Tokens by agency, without secrets."""
        return {"tokens": hub.tokens_of.listed()}

    @tokens_api.delete("/{token_id}", status_code=204)
    def revoke(token_id: str, hub: HubOf, who: OperatorCaller) -> None:
        """End a token now."""
        hub.tokens_of.revoke(token_id)
        _audit("token_ended", who, token=token_id)

    api.routes.extend(tokens_api.routes)


def _people(api: APIRouter) -> None:
    people_api = _below(api, "/people")

    @people_api.get("")
    def people(hub: HubOf) -> dict[str, Any]:
        """Who may log in to the console, and as what."""
        return {"people": hub.people.listed()}

    @people_api.post("", status_code=201)
    def add(body: PersonRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """Let a person log in to the console."""
        made = hub.people.add(body.name, body.role, body.password)
        _audit("person_added", who, person=body.name, role=body.role)
        return made

    @people_api.patch("/{name}")
    def change(name: str, body: PersonChange, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """Another role or password; an empty body ends all waiting. The person is logged out everywhere."""
        made = hub.people.change(name, role=body.role, password=body.password)
        _audit("person_changed", who, person=name, role=body.role, password=body.password is not None)
        return made

    @people_api.delete("/{name}", status_code=204)
    def remove(name: str, hub: HubOf, who: OperatorCaller) -> None:
        """End a person's access now."""
        hub.people.remove(name)
        _audit("person_removed", who, person=name)

    @people_api.post("/{name}/tokens", status_code=201)
    def token(name: str, body: PersonTokenRequest, hub: HubOf, who: OperatorCaller) -> dict[str, Any]:
        """A token by which the person acts through this API, under their own name and as what they are at that moment. The
        answer is the only place where its secret is ever seen; a new password of theirs ends it."""
        made = hub.tokens_of.issue_for(name, body.days)
        _audit("token_made", who, person=name, token=made["id"])
        return made

    api.routes.extend(people_api.routes)


def _below(api: APIRouter, path: str) -> APIRouter:
    """For administrators; its routes are taken as they are (`hub.api.routes`)."""
    return APIRouter(prefix=f"{api.prefix}{path}", dependencies=[*api.dependencies, Depends(administrator)])


def _audit(done: str, who: Caller, **about: object) -> None:
    """Put on record who changed who may do what."""
    audit_logger("datong.api").info(done, by=who.by, **about)
