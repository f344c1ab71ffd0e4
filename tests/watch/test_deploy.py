"""The rules for Prometheus and the dashboard for Grafana, against the /metrics of a hub that ran something.

Names and labels are checked by a small reader of PromQL here; its grammar by Prometheus's own `promtool`, where that is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hub.cli.inprocess import in_process
from hub.directory import Directory
from hub.settings import load_settings
from hub.watch.alerts import KINDS
from tests.api.test_api import agency, records, run
from tests.support.projects import make_project
from tests.support.requirements import require
from tests.watch.test_watch import SUBSCRIPTION

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"
FUNCTIONS = {"rate", "increase", "deriv", "sum", "max", "min", "count", "vector"}
FUNCTIONS |= {"max_over_time", "min_over_time", "histogram_quantile"}
WORDS = {"by", "and", "or", "offset"}
GIVEN = {"up": {"job", "instance"}}  # by Prometheus itself
ADDED = {"instance", "job"}  # to whatever it reads
TOKEN = re.compile(r'"[^"]*"|\[[^\]]*\]|[A-Za-z_:][A-Za-z0-9_:]*|[0-9.]+[smhd]?|\S')


@dataclass(frozen=True)
class Expression:
    """What a PromQL expression names."""

    metrics: Mapping[str, set[str]]  # each with the labels that are asked of it
    groups: set[str]  # labels of `by`


def read(text: str) -> Expression:
    """Raises AssertionError for what is not balanced, or calls a function that this file does not know."""
    tokens = TOKEN.findall(text)
    metrics: dict[str, set[str]] = {}
    groups: set[str] = set()
    opened: list[str] = []
    newest, at = "", 0
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if token == "by":
            end = tokens.index(")", at)
            groups |= {one for one in tokens[at + 2 : end] if one != ","}
            at = end
        elif token == "{":
            end = tokens.index("}", at)
            metrics[newest] |= {one for one in tokens[at + 1 : end] if re.fullmatch(r"[a-z_]+", one)}
            at = end
        elif token in "()":
            assert token == "(" or opened, text
            opened.append(token) if token == "(" else opened.pop()
        elif re.match(r"[A-Za-z_]", token) and token not in WORDS:
            if following == "(" or token in FUNCTIONS:
                assert token in FUNCTIONS, (token, text)
            else:
                newest = token
                metrics.setdefault(token, set())
        at += 1
    assert not opened, text
    return Expression(metrics, groups)


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def dashboard() -> Any:
    return json.loads((GRAFANA / "datong.json").read_text(encoding="utf-8"))


def asked() -> list[str]:
    """Every expression of both."""
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + [one.replace("$__rate_interval", "1m") for one in panels]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Series of a hub that ran a connector, quarantined a row, was read by a group and has a subscription."""
    project = make_project(tmp_path_factory.mktemp("hub"), {"subscriptions.d/nightly.yaml": SUBSCRIPTION})
    loaded = load_settings(project, env={})
    with in_process(loaded, Directory(loaded.settings.data_path)) as client:
        run(client)
        mine = agency(client)
        client.get("/api/v1/topics/city-library.culture.branch.v1/consumers/nightly/records", headers=mine)
        records(client, mine)
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found.setdefault(one.name, set()).update(one.labels)
    return found


def test_every_name_and_label_that_is_asked_for_is_there(exposed: dict[str, set[str]]) -> None:
    recorded = {rule["record"]: read(rule["expr"]).groups for rule in rules() if "record" in rule}
    known = {**exposed, **GIVEN, **recorded}
    for expression in asked():
        wanted = read(expression)
        assert wanted.metrics.keys() <= known.keys(), expression
        for name, labels in wanted.metrics.items():
            assert labels <= known[name] | ADDED, (name, expression)
        there = {label for name in wanted.metrics for label in known[name]}
        assert wanted.groups <= there | ADDED, expression
    used = {name for expression in asked() for name in read(expression).metrics}
    ours = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in exposed}
    ours = {name for name in ours if name.startswith("datong_") and not name.endswith("_created")}
    assert ours - {name.removesuffix("_bucket") for name in used} == {"datong_build_info"}, "shown nowhere"


def test_labels_of_a_topic_or_connector_are_names_of_the_catalogue_only(exposed: dict[str, set[str]]) -> None:
    assert set().union(*exposed.values()) == {
        "version", "role", "part", "kind", "severity", "topic", "connector", "reason", "partition", "consumergroup", "state",
        "subscription", "le", "route", "method", "code",
    }  # fmt: skip


def test_texts_of_rules_name_labels_that_their_alert_has(exposed: dict[str, set[str]]) -> None:
    recorded = {rule["record"]: read(rule["expr"]).groups for rule in rules() if "record" in rule}
    for rule in rules():
        if "alert" not in rule:
            continue
        assert rule["labels"]["severity"] in ("critical", "warning")
        wanted = read(rule["expr"])
        has = wanted.groups or set().union(*[{**exposed, **GIVEN, **recorded}[m] for m in wanted.metrics]) | ADDED
        for text in rule["annotations"].values():
            assert set(re.findall(r"\$labels\.([a-z_]+)", text)) <= has, rule["alert"]


def test_kinds_of_alerts_that_rules_ask_for_are_known() -> None:
    named = [k for text in asked() for found in re.findall(r'kind=~?"([^"]+)"', text) for k in found.split("|")]
    assert named
    assert set(named) <= KINDS.keys()


def test_panels_have_places_that_do_not_overlap_and_names_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({p["id"] for p in panels}) == len({p["title"] for p in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (p["gridPos"] for p in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_example_reads_the_rules_that_are_shipped() -> None:
    example = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text(encoding="utf-8"))
    assert [(PROMETHEUS / name).is_file() for name in example["rule_files"]] == [True]
    assert {one["job_name"] for one in example["scrape_configs"]} == {"datong"}
    assert 'job="datong"' in (PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8")


def test_the_guide_for_operators_names_every_alert() -> None:
    page = (ROOT / "docs/how-to/operate.md").read_text(encoding="utf-8")
    for name in (*KINDS, *(rule["alert"] for rule in rules() if "alert" in rule)):
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("broken", ["sum(up", "sum(up))", "nosuch(up)", "up) + (up"])
def test_the_reader_of_expressions_sees_what_is_broken(broken: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        read(broken)


def promtool(*arguments: str) -> None:
    require("promtool")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_takes_the_rules_and_the_example() -> None:
    promtool("check", "rules", str(PROMETHEUS / "alerts.yaml"))
    promtool("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yaml"))


def test_prometheus_itself_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    texts = [expression.replace("$topic", ".*") for expression in asked()]
    made = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "asked.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": made}]}), encoding="utf-8")
    promtool("check", "rules", str(file))


SERIES = 'datong_topic_freshness_seconds{topic="a.b.v1",instance="%s"}'


def test_rules_fire_when_they_should(tmp_path: Path) -> None:
    """A topic that grows late, seen by two nodes; a lag that grows, and one that stands; a disk that fills; rows that are bad
    all the time, of which none is open after half an hour; rows that wait."""
    shutil.copy(PROMETHEUS / "alerts.yaml", tmp_path)
    series = [
        {"series": SERIES % "one", "values": "0+60x60"},
        {"series": SERIES % "two", "values": "0+60x60"},
        {"series": 'datong_topic_freshness_target_seconds{topic="a.b.v1",instance="one"}', "values": "600x60"},
        {"series": 'kafka_consumergroup_lag{consumergroup="g",topic="t",partition="0"}', "values": "0+10x60"},
        {"series": 'kafka_consumergroup_lag{consumergroup="still",topic="t",partition="0"}', "values": "500x60"},
        {"series": 'datong_disk_free_bytes{instance="one"}', "values": "5x60"},
        {"series": 'datong_disk_size_bytes{instance="one"}', "values": "100x60"},
        {"series": 'datong_records_quarantined_total{topic="q",reason="R"}', "values": "0+10x60"},
        {"series": 'datong_records_published_total{topic="q",connector="c"}', "values": "0+10x60"},
        {"series": 'datong_quarantine_open_rows{topic="q",connector="c"}', "values": "10x29 0x30"},
        {"series": 'datong_quarantine_open_rows{topic="w",connector="w",instance="one"}', "values": "5x2000"},
        {"series": 'datong_quarantine_open_rows{topic="w",connector="w",instance="two"}', "values": "5x2000"},
    ]
    fired = [
        ("DatongTopicLate", "9m", []),
        ("DatongTopicLate", "13m", [{"topic": "a.b.v1", "severity": "warning"}]),
        ("DatongLagGrowing", "30m", [{"consumergroup": "g", "topic": "t", "severity": "warning"}]),
        ("DatongDiskNearlyFull", "6m", [{"instance": "one", "severity": "critical"}]),
        ("DatongConnectorFailed", "30m", []),
        ("DatongQuarantineShare", "20m", [{"topic": "q", "severity": "warning"}]),
        ("DatongQuarantineShare", "45m", []),
        ("DatongQuarantineWaits", "23h", []),
        ("DatongQuarantineWaits", "25h", [{"connector": "w", "severity": "warning"}]),
    ]
    tests = [
        {"alertname": name, "eval_time": at, "exp_alerts": [{"exp_labels": labels} for labels in expected]}
        for name, at, expected in fired
    ]
    for test, (name, _at, _expected) in zip(tests, fired, strict=True):
        rule = next(rule for rule in rules() if rule.get("alert") == name)
        for one in test["exp_alerts"]:
            one["exp_annotations"] = {k: _filled(v, one["exp_labels"], name) for k, v in rule["annotations"].items()}
    file = tmp_path / "test.yaml"
    document = {
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": tests}],
    }
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    promtool("test", "rules", str(file))


def _filled(text: str, labels: Mapping[str, str], name: str) -> str:
    values = {"DatongTopicLate": "13m 0s", "DatongDiskNearlyFull": "5%", "DatongQuarantineShare": "50%"}
    values |= {"DatongQuarantineWaits": "5"}
    text = re.sub(r"\{\{ \$value[^}]*\}\}", values.get(name, ""), text)
    return re.sub(r"\{\{ \$labels\.([a-z_]+) \}\}", lambda found: labels[found.group(1)], text)
