"""bindings.yaml: every mistake with its line, who may have a secret, where it may go, and what is bound to nobody (S16)."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors import sink_specs, source_specs
from connectors.outbound import Outbound, TargetRefused
from hub.catalogue.bindings import Bindings, User, read_bindings, references
from hub.catalogue.load import Catalogue
from hub.cli import templates
from hub.errors import ConfigurationInvalid
from hub.secrets import Secrets

AIR = User(kind="connectors", name="air")
WHOLE = """\
secrets:
  - {secret: AIR, connectors: [air], hosts: ["Air.example:443", "token.example:443"]}
  - {secret: DB, connectors: [air, b], hosts: ["air.example:443"]}
  - {secret: HOOK, subscriptions: [air], alerts: [desk]}
  - {secret: NOWHERE, connectors: [air], hosts: []}
"""


def bindings(tmp_path: Path, text: str = WHOLE) -> Bindings:
    (tmp_path / "bindings.yaml").write_text(text)
    return read_bindings(tmp_path)


def test_S16_a_secret_is_given_to_whom_it_is_bound_and_unbound_ones_to_files_on_disk(tmp_path: Path) -> None:
    found = bindings(tmp_path)
    assert found.mistakes == ()
    assert found.allows("AIR", AIR)
    assert found.allows("FREE", AIR), "what the file does not name is as it was"
    assert not found.allows("AIR", User(kind="connectors", name="b"))
    assert not found.allows("HOOK", AIR), "a connector is not the subscription of the same name"
    assert found.allows("HOOK", User(kind="subscriptions", name="air"))
    (tmp_path / "secrets.d").mkdir()
    secrets = Secrets(tmp_path, {"AIR": "a", "HOOK": "h"}, require=lambda name: found.require(name, AIR))
    assert secrets.fill("${secret:AIR}") == "a"
    with pytest.raises(ConfigurationInvalid, match="HOOK is not bound to the connector air") as refused:
        secrets.fill("${secret:HOOK}")
    assert "connectors: [air]" in refused.value.remedy


def test_S2_secrets_in_use_together_go_where_each_of_them_may(tmp_path: Path) -> None:
    found = bindings(tmp_path)
    assert found.hosts(["AIR"]) == frozenset({"air.example:443", "token.example:443"})
    assert found.hosts(["AIR", "DB", "HOOK"]) == frozenset({"air.example:443"})
    assert found.hosts(["HOOK", "FREE"]) is None
    assert found.hosts(["NOWHERE"]) == frozenset()
    rule = Outbound(allowed=frozenset({"127.0.0.1:1"}), only=found.hosts(["NOWHERE"]))
    with pytest.raises(TargetRefused, match="bound to") as refused:
        rule.addresses("127.0.0.1", 1, encrypted=True)
    assert "no host" in refused.value.remedy


def test_S16_a_bound_secret_leaves_this_machine_encrypted_unless_its_entry_says_plain(tmp_path: Path) -> None:
    found = bindings(tmp_path, WHOLE + "  - {secret: OLD, connectors: [air], plain: true}\n")
    assert found.mistakes == ()
    assert found.sealed(["AIR", "OLD", "FREE"]) == frozenset({"AIR"})
    rule = Outbound(allowed=frozenset({"192.0.2.9:1", "127.0.0.1:1", "localhost:1"}), sealed=found.sealed(["AIR"]))
    for loopback in ("127.0.0.1", "localhost"):
        assert rule.addresses(loopback, 1, encrypted=False)
    assert rule.addresses("192.0.2.9", 1, encrypted=True) == ["192.0.2.9"]
    with pytest.raises(TargetRefused, match="there is no TLS") as refused:
        rule.addresses("192.0.2.9", 1, encrypted=False)
    assert "`plain: true` there at AIR" in refused.value.remedy
    assert refused.value.where == "bindings.yaml"


@pytest.mark.parametrize(
    "text",
    [
        "secrets: {",
        "secrets: 5",
        "secrets: [5]",
        "secrets: [{connectors: [air]}]",
        "- a",
        "secrets: [&a {secret: AIR}, *a]",
    ],
)
def test_S16_a_file_that_cannot_be_read_binds_every_secret_to_nobody(tmp_path: Path, text: str) -> None:
    found = bindings(tmp_path, text)
    assert found.mistakes
    assert not found.allows("ANY", AIR)
    (tmp_path / "bindings.yaml").unlink()
    (tmp_path / "bindings.yaml").symlink_to(tmp_path / "gone")
    assert not read_bindings(tmp_path).allows("ANY", AIR)


@pytest.mark.parametrize(
    "entry",
    ["{secret: AIR, connectors: [air], host: ['a:1']}", "{secret: AIR, connectors: air}", "{secret: AIR, hosts: ['a']}",
     "{secret: AIR, connectors: [air]}\n  - {secret: AIR, connectors: [air]}"],
)  # fmt: skip
def test_R35_an_entry_with_mistakes_is_told_by_line_and_binds_its_secret_to_nobody(tmp_path: Path, entry: str) -> None:
    found = bindings(tmp_path, f"secrets:\n  - {{secret: DB, connectors: [air]}}\n  - {entry}\n")
    assert {(m.file, m.line >= 3) for m in found.mistakes} == {("bindings.yaml", True)}
    assert not found.allows("AIR", AIR)
    assert found.allows("DB", AIR)


def test_every_reference_of_a_value_is_found() -> None:
    value = {"a": ["x${secret:A}y${secret:B}", {"${secret:C}": 1}], "b": ("${secret:D}", 5, None)}
    assert list(references(value)) == [(("a", 0), "A"), (("a", 0), "B"), (("a", 1), "C"), (("b", 0), "D")]


def test_R35_validate_tells_what_is_bound_to_others_to_nobody_and_to_what_is_not_there(tmp_path: Path) -> None:
    for name, text in templates.FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    path = tmp_path / "connectors.d/city-library-branches.yaml"
    path.write_text(path.read_text().replace("trim(Name)", "token(Name, '${secret:JOIN}')"))
    (tmp_path / "subscriptions.d").mkdir()
    (tmp_path / "subscriptions.d/hook.yaml").write_text(
        "subscription: hook\ngrant: city-planning-branches\n"
        "sink: {kind: webhook, url: 'https://a.example/x', secret: '${secret:HOOK}'}\n"
    )

    def load() -> Catalogue:
        return Catalogue.load(tmp_path, source_specs(), sinks=sink_specs())

    told = [str(m) for m in load().warnings]
    assert [m for m in told if "city-library-branches.yaml" in m and "JOIN is bound to nobody" in m]
    assert [m for m in told if "hook.yaml" in m and "HOOK is bound to nobody" in m]
    (tmp_path / "bindings.yaml").write_text(
        "secrets:\n  - {secret: JOIN, connectors: [city-libary-branches]}\n  - {secret: HOOK, subscriptions: [hook]}\n"
    )
    found = load()
    assert [str(m) for m in found.warnings if "did you mean `city-library-branches`" in str(m)]
    (mistake,) = [m for m in found.mistakes if "JOIN" in m.message]
    assert (mistake.file, mistake.path) == ("connectors.d/city-library-branches.yaml", "publish.fields.name")
    assert "city-library-branches" not in found.connectors
    assert "hook" in found.subscriptions
