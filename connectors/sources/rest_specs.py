"""Settings of the kind `rest`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paging(_Part):
    """How the pages of an answer follow each other. Reading ends with the first page that has no rows, or no next one."""

    by: Literal["page", "offset", "cursor", "link", "next_url"] = Field(
        description="`page`: a number that counts pages. `offset`: a number that counts rows. `cursor`: each page holds "
        "the value that asks for the next. `link`: the header `Link` with rel=next (RFC 8288). `next_url`: each page holds "
        "the address of the next."
    )
    parameter: str = Field("page", description="Query parameter of page, offset or cursor.", max_length=100)
    first: int = Field(1, description="Number of the first page, or offset of the first row.", ge=0)
    size: int | None = Field(None, description="Rows asked for in a page.", ge=1, le=100_000)
    size_parameter: str | None = Field(None, description="Query parameter that asks for so many.", max_length=100)
    at: str | None = Field(
        None,
        description="`cursor` and `next_url`: where the next one stands in a page, dots between names.",
        max_length=300,
    )
    ends_with_404: bool = Field(False, description="The page behind the last one is answered by 404.")

    @model_validator(mode="after")
    def _complete(self) -> Paging:
        if self.by in ("cursor", "next_url") and not self.at:
            raise ValueError(
                f"paging by {self.by} needs `at` | where the next one stands in a page, such as `meta.next`"
            )
        return self


class Auth(_Part):
    """How the hub logs in. Every value may hold `${secret:NAME}`."""

    by: Literal["header", "basic", "bearer", "oauth2"] = Field(
        description="`header`: a header of the service's own. `basic`: user and password. `bearer`: a token. `oauth2`: client "
        "credentials (RFC 6749 section 4.4) exchanged for one."
    )
    name: str = Field("X-Api-Key", description="`header`: its name.", pattern=r"^[A-Za-z0-9-]{1,100}$")
    user: str = Field("", description="`basic`: user; `oauth2`: client id.", max_length=300)
    secret: str = Field("", description="Value, password, token or client secret.", max_length=300, repr=False)
    token_url: str = Field("", description="`oauth2`: where tokens are given.", max_length=2000)
    scope: str = Field("", description="`oauth2`: what is asked for.", max_length=500)


class Since(_Part):
    """Ask only for what changed: each run asks from the newest time met so far, less the overlap."""

    parameter: str = Field(description="Query parameter that takes the time or number.", max_length=100)
    at: str = Field(description="Member of a row that holds it, dots between names.", max_length=300)
    first: str = Field(description="Where the first run begins, as the service writes it.", max_length=100)
    overlap: float = Field(
        0,
        description="Ask again from so far before the newest (seconds for times, units for numbers): rows may come late. "
        "Rows met before are told by their record id and counted as deduplicated.",
        ge=0,
    )


class RestSpec(_Part):
    """A web service that answers with JSON, page by page."""

    kind: Literal["rest"] = Field(description="Always `rest`.")
    url: str = Field(
        description="Address of the first page. No user, password or token in it.",
        pattern=r"^https?://",
        max_length=2000,
    )
    parameters: dict[str, str] = Field({}, description="Query parameters; values may hold `${secret:NAME}`.")
    headers: dict[str, str] = Field({}, description="Request headers; values may hold `${secret:NAME}`.")
    auth: Auth | None = Field(None, description="How to log in.")
    items: str | None = Field(
        None,
        description="Where a page's rows stand: names with dots between them, `*` for any name. By default the page itself.",
        max_length=500,
    )
    paging: Paging | None = Field(None, description="How pages follow each other; without it there is one.")
    since: Since | None = Field(None, description="Ask only for what changed; modes append and upsert.")
    nulls: tuple[str, ...] = Field((), description="Texts that mean NULL.")
    redirects_to: tuple[str, ...] = Field(
        (),
        description="Hosts (`host` or `host:port`) besides the address's own that redirects and next pages may lead to.",
    )
    ca_file: str | None = Field(
        None, description="PEM file below the files root: the authority that signed the service's certificate."
    )
    timeout_s: float = Field(30, description="Seconds until the next bytes of an answer must have come.", gt=0, le=600)
    page_timeout_s: float = Field(120, description="Seconds that a page may take in all.", gt=0, le=3600)
    page_bytes: int = Field(16 * 1024 * 1024, description="Largest page, unpacked.", ge=1024, le=256 * 1024 * 1024)
    pages: int = Field(10_000, description="Most pages of one run.", ge=1, le=10_000_000)
    tries: int = Field(
        5, description="How often a page is asked for before the run ends and is tried again later.", ge=1
    )
    wait_most_s: float = Field(
        60, description="Longest wait between two tries, whatever Retry-After says.", ge=0, le=3600
    )
