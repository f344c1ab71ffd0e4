"""What the project set out to reach, by benchmark and ratio: the page says which are met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound for one figure of one result."""

    result: str  # file name in docs/benchmarks, without its ending
    figure: str
    text: str
    bound: float
    at_least: bool = True

    @property
    def sign(self) -> str:
        """As printed."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"

    def met(self, value: float) -> bool:
        """Is the value within the bound?"""
        return value >= self.bound if self.at_least else value <= self.bound


GOALS = (
    Goal(
        result="pipeline-kafka",
        figure="vs_rows_tuned",
        text="CSV → Kafka: times as fast as the named packages used row by row",
        bound=10,
    ),
    Goal(
        result="pipeline-kafka",
        figure="vs_best_python_peer",
        text="CSV → Kafka: times as fast as the fastest Python peer",
        bound=5,
    ),
    Goal(
        result="pipeline-kafka",
        figure="vs_rows_tuned_10x",
        text="CSV → Kafka, the hub at ten times the rows: the same against row by row",
        bound=10,
    ),
    Goal(
        result="pipeline-kafka",
        figure="vs_best_python_peer_10x",
        text="CSV → Kafka, the hub at ten times the rows: the same against the fastest Python peer",
        bound=5,
    ),
    Goal(
        result="pipeline-kafka",
        figure="vs_confluent_produce",
        text="CSV → Kafka: share of the rate at which confluent-kafka sends ready bytes",
        bound=0.5,
    ),
    Goal(
        result="pipeline-kafka",
        figure="cpu_vs_warm_connect",
        text="CSV → Kafka: CPU against a warm Connect that copies the lines",
        bound=1.5,
        at_least=False,
    ),
    Goal(
        result="pipeline-kafka",
        figure="cpu_vs_warm_connect_10x",
        text="CSV → Kafka, the hub at ten times the rows: CPU against that Connect",
        bound=1.5,
        at_least=False,
    ),
    Goal(
        result="pipeline-kafka",
        figure="rss_mb",
        text="CSV → Kafka: peak memory in MB",
        bound=450,
        at_least=False,
    ),
    Goal(
        result="pipeline-kafka",
        figure="memory_10x",
        text="memory at ten times the rows",
        bound=1.1,
        at_least=False,
    ),
    Goal(
        result="pipeline-kafka",
        figure="cost_10x",
        text="cost per record at ten times the rows",
        bound=1.05,
        at_least=False,
    ),
    Goal(result="pipeline-sqlite", figure="two_cores", text="CSV → SQLite: two cores against one", bound=1.6),
    Goal(
        result="sqlite",
        figure="append_vs_rows",
        text="SQLite append: times as fast as a row per record",
        bound=4,
    ),
    Goal(
        result="sqlite",
        figure="bytes_vs_rows",
        text="SQLite: bytes on disk against a row per record",
        bound=0.5,
        at_least=False,
    ),
    Goal(
        result="postgres",
        figure="read_vs_copy",
        text="PostgreSQL read: share of the rate of COPY to nowhere",
        bound=0.85,
    ),
    Goal(
        result="postgres",
        figure="to_kafka_vs_copy",
        text="PostgreSQL → Kafka with mapping: share of the rate of COPY to nowhere",
        bound=0.35,
    ),
    Goal(
        result="postgres",
        figure="cpu_vs_warm_debezium",
        text="PostgreSQL → Kafka with mapping: CPU against a warm Debezium snapshot",
        bound=0.2,
        at_least=False,
    ),
    Goal(
        result="postgres",
        figure="warm_cpu_vs_warm_debezium",
        text="the same of a hub that is warm, too: both the third of three runs in one process",
        bound=0.2,
        at_least=False,
    ),
    Goal(
        result="small-batch",
        figure="fixed_ms",
        text="one small batch, normalise and encode, in ms",
        bound=1,
        at_least=False,
    ),
    Goal(
        result="delivery",
        figure="vs_rows",
        text="NDJSON of 5 of 14 fields with a row filter: CPU of fastavro and json row by row ÷ the hub's",
        bound=8,
    ),
    Goal(
        result="profile-kafka",
        figure="largest_python_share",
        text="CSV → Kafka: largest share of the time in one Python function",
        bound=0.1,
        at_least=False,
    ),
    Goal(
        result="profile-sqlite",
        figure="largest_python_share",
        text="CSV → SQLite: largest share of the time in one Python function",
        bound=0.1,
        at_least=False,
    ),
)

MEANINGS: Mapping[str, str] = {
    "vs_rows_tuned": "rows-tuned's time ÷ the hub's",
    "vs_best_python_peer": "the fastest Python peer's time ÷ the hub's",
    "vs_best_python_peer_running": "the same with the hub's start-up taken off, as theirs is",
    "vs_confluent_produce": "produce()'s time ÷ the hub's",
    "vs_confluent_produce_running": "the same with the hub's start-up taken off, as produce()'s is",
    "two_cores": "one core's time ÷ two cores'",
    "memory_10x": "peak memory at ten times the rows ÷ at the rows",
    "cost_10x": "time per record at ten times the rows ÷ at the rows",
    "vs_rows_tuned_10x": "rows-tuned's time a record ÷ the hub's at ten times the rows",
    "vs_best_python_peer_10x": "the fastest Python peer's time a record ÷ the hub's at ten times the rows",
    "cpu_vs_warm_connect_10x": "the hub's CPU a record at ten times the rows ÷ that of a warm Connect",
    "cpu_vs_warm_connect": "the hub's CPU ÷ that of a warm Connect that copies the lines",
    "read_vs_copy": "COPY's time ÷ the source's",
    "to_kafka_vs_copy": "COPY's time ÷ the hub's to Kafka",
    "to_kafka_vs_copy_running": "the same with the hub's start-up taken off, as COPY's is",
    "to_sqlite_vs_copy": "COPY's time ÷ the hub's to SQLite",
    "cpu_vs_warm_debezium": "the hub's CPU ÷ that of Debezium's third snapshot in one worker",
    "warm_cpu_vs_warm_debezium": "CPU of the hub's third run in one process ÷ the same",
    "append_vs_rows": "time of rows ÷ time of ready blocks",
    "append_from_columns_vs_rows": "time of rows ÷ time of blocks made from columns as well",
    "bytes_vs_rows": "bytes on disk of blocks ÷ of rows",
    "first_vs_append": "time of a snapshot's first run ÷ time in mode append",
    "unchanged_vs_append": "time of an unchanged snapshot ÷ time in mode append",
    "unchanged_memory_vs_append": "peak memory of an unchanged snapshot ÷ in mode append",
    "vs_rows": "CPU of fastavro and json row by row ÷ of the hub's NDJSON",
    "answers_vs_rows": "the same for whole answers: decision, group, durable cursor and commit as well",
    **{
        f"{form}_vs_rows": f"CPU of fastavro and json row by row ÷ of the hub's {name}"
        for form, name in (
            ("csv", "CSV"),
            ("arrow", "Arrow stream"),
            ("avro", "container file"),
            ("framed", "framed Avro"),
        )
    },
    "fixed_ms": "ms of a batch of one row",
    "rows_worth_a_batch": "how many further rows cost as much as one more batch",
    "largest_python_share": "the largest share of samples in one Python function outside the libraries",
    "rss_mb": "peak memory in MB",
}
