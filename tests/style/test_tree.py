"""The tree as others get it: nothing that names a machine, a registry or a tool, and a lock that is whole."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Patterns are written with brackets around a letter, so that they do not find themselves.
MACHINES = r"/roo[t]/|/wor[k]/|/hom[e]/|/User[s]/|/op[t]/|/far[m]/"
REGISTRIES = r"pyp[i]\.org|pythonhoste[d]|test\.pyp[i]|repo\.mave[n]|registry\.npmj[s]|crate[s]\.io|proxy\.golan[g]"
TOOLS = r"\bclaud[e]\b|\banthropi[c]\b|\bchatgp[t]\b|\bcopilo[t]\b|\bopena[i]\b|\bllm[s]?\b|\blanguage mode[l]"
BY_MACHINE = r"\b(?:A[I]|artificial intelligenc[e])[ -](?:assistant|generated|written|model)"
REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text that git tracks, or would, by path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8", errors="ignore") for p in paths if p.is_file()}


@pytest.mark.parametrize("pattern", [MACHINES, REGISTRIES, f"(?i){TOOLS}", BY_MACHINE])
def test_nothing_names_a_machine_a_registry_or_a_tool(pattern: str, texts: dict[str, str]) -> None:
    found = {name: match.group() for name, text in texts.items() if (match := re.search(pattern, text))}
    assert found == {}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_pins_every_dependency_with_a_hash_and_no_address(texts: dict[str, str]) -> None:
    project, lock = tomllib.loads(texts["pyproject.toml"]), texts["requirements.lock"]
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    pinned = {normal(name) for name in REQUIREMENT.findall(lock)}
    missing = {normal(re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0]) for line in wanted} - pinned
    assert missing == set(), "run `python3 dev.py lock`"
    assert "://" not in lock
    for entry in re.split(r"\n(?=[^\s#])", lock):
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry


def test_the_licence_is_the_whole_apache_2(texts: dict[str, str]) -> None:
    licence = texts["LICENSE"]
    assert "Version 2.0, January 2004" in licence
    assert all(f"   {n}. " in licence for n in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in licence
