"""The tables of the store: portable SQLAlchemy Core, the same on SQLite and PostgreSQL.

Times are whole milliseconds since 1970 UTC. The migrations build exactly these tables (a test compares them).
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)
GLOBAL_SUBJECT = ""  # the row of `subjects` that holds the global settings; no subject has an empty name

schemas = sa.Table(
    "schemas",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # from `counters`, never used twice (G10)
    sa.Column("fingerprint", sa.String(64), nullable=False),  # SHA-256 of all that makes a schema what it is
    sa.Column(
        "twin", sa.Integer, nullable=False
    ),  # 0, or its own id when the schema came with a second id from elsewhere
    sa.Column("text", sa.Text, nullable=False),  # canonical
    sa.Column("refs", sa.Text, nullable=False),  # JSON array of [name, subject, version], in the order given
    sa.Column("metadata", sa.Text),  # JSON as it came; null = none
    sa.Column("rule_set", sa.Text),  # the same
    sa.UniqueConstraint("fingerprint", "twin"),
)

schema_references = sa.Table(
    "schema_references",
    METADATA,
    sa.Column("schema_id", sa.Integer, sa.ForeignKey("schemas.id"), primary_key=True, autoincrement=False),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Index("ix_schema_references_subject", "subject", "version"),
)

subjects = sa.Table(
    "subjects",
    METADATA,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("level", sa.String(32)),  # its own compatibility level; null = the global one
    sa.Column("mode", sa.String(32)),  # its own mode; null = the global one
    sa.Column("normalise", sa.Boolean),  # normalise what is sent; null = the global setting
)

subject_versions = sa.Table(
    "subject_versions",
    METADATA,
    sa.Column("subject", sa.Text, sa.ForeignKey("subjects.subject"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("schema_id", sa.Integer, sa.ForeignKey("schemas.id"), nullable=False, index=True),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger),  # null = not known: it came from elsewhere
)

counters = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),  # schema_id: the last one given; removals: how many there were
    sa.Column("value", sa.BigInteger, nullable=False),
)

remote_schemas = sa.Table(
    "remote_schemas",  # what another registry said of an id: it means the same for ever, also while that one is away
    METADATA,
    sa.Column("registry", sa.String(64), primary_key=True),  # SHA-256 of its address
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("refs", sa.Text, nullable=False),
)

remote_versions = sa.Table(
    "remote_versions",  # what another registry answered to a registration or a look-up of a version
    METADATA,
    sa.Column("registry", sa.String(64), primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("schema_id", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),  # as our own registry would have it
)

tasks = sa.Table(
    "tasks",
    METADATA,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # grows with each new holder, and never goes back (G7)
    sa.Column("holder", sa.Text, nullable=False),  # the node that runs it; empty = nobody
    sa.Column("expires_at", sa.BigInteger, nullable=False),  # of the holder's lease
    sa.Column("last_holder", sa.Text, nullable=False),  # who had it last, and is expected to take it again
    sa.Column("job", sa.Text, nullable=False),  # JSON of what runs, or is to be gone on with; empty = nothing
    sa.Column(
        "due_at", sa.BigInteger
    ),  # start then, whatever the schedule says: a request, a retry, a hand-over, a restart
    sa.Column("started_at", sa.BigInteger),  # the last start that counts for its schedule
    sa.Column("failures", sa.Integer, nullable=False),  # passing faults in a row
    sa.Column("outcome", sa.Text, nullable=False),  # JSON of how the last run ended; empty = none did
    # why its source does not answer, while it is asked again
    sa.Column("away", sa.Text, nullable=False, server_default=sa.text("''")),
)

nodes = sa.Table(
    "nodes",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),  # all, api, worker
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
)

signals = sa.Table(
    "signals",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),  # grows when every node is to look again
)

connector_states = sa.Table(
    "connector_states",
    METADATA,
    sa.Column("connector", sa.Text, primary_key=True),
    sa.Column("desired", sa.String(16), nullable=False),  # RUNNING, PAUSED, STOPPED
    sa.Column("state", sa.String(16), nullable=False),  # the same, or FAILED
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
)

tokens = sa.Table(
    "tokens",
    METADATA,
    sa.Column("token_id", sa.String(32), primary_key=True),
    sa.Column("agency", sa.Text, nullable=False),  # empty for a person
    sa.Column("role", sa.String(16), nullable=False),  # agency, person
    sa.Column("salt", sa.LargeBinary(16), nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),  # SHA-256 of salt and secret
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),  # null = never
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Column("person", sa.String(64)),  # whose it is, of role person
)

group_offsets = sa.Table(
    "group_offsets",
    METADATA,
    sa.Column("agency", sa.Text, primary_key=True),
    sa.Column("grant_name", sa.Text, primary_key=True),
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("committed", sa.BigInteger),  # next offset to read; null = nothing committed yet
    sa.Column("committed_at", sa.BigInteger),
    sa.Column("selection", sa.String(64)),  # fields and row filter that the commit was made under (R24)
    sa.Column("delivered", sa.BigInteger),  # furthest offset that a reader may commit; null = nothing delivered yet
    sa.Column("delivered_selection", sa.String(64)),  # fields and row filter of that delivery
)

group_leases = sa.Table(
    "group_leases",
    METADATA,
    sa.Column("agency", sa.Text, primary_key=True),
    sa.Column("grant_name", sa.Text, primary_key=True),
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("reader", sa.Text, nullable=False),  # empty = given back
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

dead_letters = sa.Table(
    "dead_letters",  # batches that a subscriber's system did not take: where they stand, never what they hold
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("first_offset", sa.BigInteger, nullable=False),
    sa.Column("end_offset", sa.BigInteger, nullable=False),  # the one behind the last
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # open, waiting, delivered, void
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Index("ix_dead_letters_subscription", "subscription", "status"),
)

people = sa.Table(
    "people",  # who may log in to the console
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),  # viewer, operator, administrator
    sa.Column("password", sa.Text, nullable=False),  # Argon2id in PHC's format
    sa.Column("demo", sa.Boolean, nullable=False),  # its password is known to everybody
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),  # this and the next: not used since revision 0014
    sa.Column("locked_until", sa.BigInteger, nullable=False),
)

guesses = sa.Table(
    "guesses",  # wrong passwords, also for names that nobody has
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("network", sa.String(64), primary_key=True),  # `*` = all from which nobody of the name has logged in
    sa.Column("failures", sa.Integer, nullable=False),  # in a row
    sa.Column("locked_until", sa.BigInteger, nullable=False),  # 0 = is not
    sa.Column("seen_at", sa.BigInteger, nullable=False, index=True),  # the last wrong password, or log-in
    sa.Column("known_at", sa.BigInteger, nullable=False),  # the last log-in; 0 = none yet
)

sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),  # SHA-256 of what the cookie holds
    sa.Column("person", sa.String(64), sa.ForeignKey("people.name"), nullable=False, index=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
)

kept_answers = sa.Table(
    "kept_answers",  # of the API, to who sends a request again under the same Idempotency-Key
    METADATA,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),  # SHA-256 of the caller and the key
    sa.Column(
        "request", sa.LargeBinary(32), nullable=False
    ),  # SHA-256 of the caller's secret, method, path, query and body
    sa.Column("status", sa.Integer, nullable=False),  # of the answer; 0 = it is being worked on
    sa.Column("headers", sa.Text, nullable=False),  # JSON
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False, index=True),
)
