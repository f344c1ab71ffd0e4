"""`/connectors` of Kafka Connect's API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from hub.api.connect.answers import Answer, Refused
from hub.api.connect.deps import Body, DeskOf, location, texts

PARTS = {"status", "info"}
Flag = Annotated[str, Query(max_length=16)]


def router() -> APIRouter:
    """All of them."""
    api = APIRouter()
    _listed(api)
    _configured(api)
    _steered(api)
    _tasks(api)
    _offsets(api)
    return api


def _listed(api: APIRouter) -> None:
    @api.get("/")
    def root(desk: DeskOf) -> Answer:
        """Version and cluster."""
        return Answer(desk.root())

    @api.get("/connectors")
    def connectors(desk: DeskOf, expand: Annotated[list[str] | None, Query()] = None) -> Answer:
        """Names, or with `expand` what is asked of each."""
        return Answer(desk.names() if expand is None else desk.expanded(PARTS & set(expand)))

    @api.post("/connectors")
    def create(desk: DeskOf, body: Body, request: Request) -> Answer:
        """A new connector."""
        if not isinstance(body, dict) or "config" not in body:
            raise Refused(400, "the body is an object with `name` and `config`")
        name, state = body.get("name") or "", body.get("initial_state") or "RUNNING"
        if not isinstance(name, str) or not isinstance(state, str):
            raise Refused(400, "`name` and `initial_state` are texts")
        name = name.strip()
        made = desk.create(name, _present(texts(body["config"])), state.upper())
        return Answer(made, 201, location(request, name))

    @api.get("/connectors/{name}")
    def info(name: str, desk: DeskOf) -> Answer:
        """Configuration and tasks."""
        return Answer(desk.info(name))

    @api.get("/connectors/{name}/status")
    def status(name: str, desk: DeskOf) -> Answer:
        """States."""
        return Answer(desk.status(name))

    @api.get("/connectors/{name}/topics")
    def topics(name: str, desk: DeskOf) -> Answer:
        """What it publishes."""
        return Answer(desk.topics(name))

    @api.put("/connectors/{name}/topics/reset")
    def forget(name: str, desk: DeskOf) -> Answer:
        """Topics are declared here, so there is no list to forget."""
        desk.topics(name)
        raise Refused(403, "Topic tracking reset is disabled.")


def _configured(api: APIRouter) -> None:
    @api.get("/connectors/{name}/config")
    def config(name: str, desk: DeskOf) -> Answer:
        """Flat."""
        return Answer(desk.config(name))

    @api.put("/connectors/{name}/config")
    def put(name: str, desk: DeskOf, body: Body, request: Request) -> Answer:
        """Replace, or create."""
        new, made = desk.put(name, _present(texts(body)))
        return Answer(made, 201, location(request, name)) if new else Answer(made)

    @api.patch("/connectors/{name}/config")
    def patch(name: str, desk: DeskOf, body: Body) -> Answer:
        """Change some keys; null takes one away."""
        return Answer(desk.patch(name, texts(body, nulls=True)))

    @api.delete("/connectors/{name}", status_code=204)
    def delete(name: str, desk: DeskOf) -> Response:
        """Stop it and take it away."""
        desk.delete(name)
        return Response(status_code=204)


def _steered(api: APIRouter) -> None:
    def steered(verb: str) -> None:
        @api.put(f"/connectors/{{name}}/{verb}", status_code=202, name=verb)
        def steer(name: str, desk: DeskOf) -> Response:
            desk.steer(name, verb)
            return Response(status_code=202)

    for verb in ("pause", "resume", "stop"):
        steered(verb)

    @api.post("/connectors/{name}/restart")
    def restart(
        name: str,
        desk: DeskOf,
        include_tasks: Annotated[str, Query(alias="includeTasks", max_length=16)] = "false",
        only_failed: Annotated[str, Query(alias="onlyFailed", max_length=16)] = "false",
    ) -> Response:
        """Without parameters 204; with one, 202 and the states."""
        failed = only_failed.lower() == "true"
        desk.restart(name, only_failed=failed)
        asked = failed or include_tasks.lower() == "true"
        return Answer(desk.status(name), 202) if asked else Response(status_code=204)


def _tasks(api: APIRouter) -> None:
    @api.get("/connectors/{name}/tasks")
    def tasks(name: str, desk: DeskOf) -> Answer:
        """One, unless it is stopped."""
        return Answer(desk.tasks(name))

    @api.get("/connectors/{name}/tasks/{number}/status")
    def task(name: str, number: int, desk: DeskOf) -> Answer:
        """Its state."""
        return Answer(desk.task(name, number))

    @api.post("/connectors/{name}/tasks/{number}/restart", status_code=204)
    def again(name: str, number: int, desk: DeskOf) -> Response:
        """The same as a restart of the connector."""
        desk.require_task(name, number)
        desk.restart(name, only_failed=False)
        return Response(status_code=204)


def _offsets(api: APIRouter) -> None:
    @api.get("/connectors/{name}/offsets")
    def offsets(name: str, desk: DeskOf) -> Answer:
        """How far its source was read."""
        return Answer({"offsets": desk.offsets(name)})

    @api.delete("/connectors/{name}/offsets")
    def reset(name: str, desk: DeskOf, accept_duplicates: Flag = "false") -> Answer:
        """Read the source from its start again."""
        return Answer({"message": desk.reset(name, accept_duplicates=accept_duplicates.lower() == "true")})

    @api.patch("/connectors/{name}/offsets")
    def alter(name: str, desk: DeskOf, body: Body, accept_duplicates: Flag = "false") -> Answer:
        """The same, for an offset of null; a source's checkpoint is its own, and no other can be given."""
        desk.status(name)
        given: Any = body.get("offsets") if isinstance(body, dict) else None
        if not isinstance(given, list) or not given:
            raise Refused(400, "Partitions / offsets need to be provided for an alter offsets request")
        wanted = {"partition": {"connector": name}, "offset": None}
        if given != [wanted]:
            raise Refused(
                400, "an offset is opaque here: only null can be given, for the one partition, to read from the start"
            )
        desk.reset(name, accept_duplicates=accept_duplicates.lower() == "true")
        return Answer({"message": "The offsets for this connector have been altered successfully"})


def _present(given: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in given.items() if text is not None}
