"""Settings of the kinds that are pushed to: `webhook`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connectors.sources.objects import MAX_MEMBERS
from connectors.sources.specs import distinct

KEY = r"^(\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,63}\}|whpk_[A-Za-z0-9+/=]{40,60})$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Key = Annotated[str, Field(pattern=KEY)]
Columns = Annotated[tuple[str, ...], AfterValidator(distinct)]


class WebhookSpec(_Part):
    """A department's system sends signed records by HTTP to `/api/v1/intake/CONNECTOR` (Standard Webhooks)."""

    kind: Literal["webhook"] = Field(description="Always `webhook`.")
    keys: tuple[Key, ...] = Field(
        description="Whose signature is taken: `${secret:NAME}`, where the secret is `whsec_` and 24 to 64 bytes in base64 "
        "(HMAC-SHA256, `v1`), or an Ed25519 public key, `whpk_` and 32 bytes in base64 (`v1a`), which may stand here as it "
        "is. Several while a key is changed: any of them is good.",
        min_length=1,
        max_length=10,
        repr=False,
    )
    columns: Columns = Field(
        (),
        description="Names of what a record has, dots between names of nested ones, so that the mapping can be checked before "
        "anything comes. What a record lacks is NULL, whether it stands here or not.",
        max_length=MAX_MEMBERS,
    )
    body_bytes: int = Field(
        1024 * 1024,
        description="Largest body; the setting limits.request_bytes bounds it too.",
        ge=256,
        le=4 * 1024 * 1024,
    )
    records: int = Field(10_000, description="Most records in one body.", ge=1, le=10_000)
    per_second: float = Field(
        100, description="Bodies a second, in the long run; more are answered 429.", gt=0, le=100_000
    )
    waiting: int = Field(
        1_000, description="Bodies that may wait for the log; more are answered 429.", ge=1, le=100_000
    )
