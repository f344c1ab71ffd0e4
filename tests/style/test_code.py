"""The shape of the code: short functions, small modules, no import cycle, nothing that names a machine."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    p for folder in ("hub", "connectors", "schemas", "examples", "benchmarks") for p in (ROOT / folder).rglob("*.py")
)
P95_LINES, MAX_LINES, MAX_MODULE = 34, 60, 500


def functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append((f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1))
    return found


def test_functions_are_short() -> None:
    lengths = sorted((n, name) for path in SOURCES for name, n in functions(path))
    assert [(name, n) for n, name in lengths if n > MAX_LINES] == []
    assert lengths[int(len(lengths) * 0.95)][0] <= P95_LINES


def test_modules_are_small() -> None:
    sizes = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert {name: n for name, n in sizes.items() if n > MAX_MODULE} == {}


def test_there_is_no_import_cycle() -> None:
    graph = grimp.build_graph("hub", "connectors", cache_dir=None)
    modules = sorted(m for m in graph.modules if m.startswith(("hub", "connectors")))
    order: dict[str, int] = {}
    for module in modules:
        visit(graph, module, order, [])
    assert len(order) == len(modules)


def visit(graph: grimp.ImportGraph, module: str, order: dict[str, int], path: list[str]) -> None:
    assert module not in path, " → ".join([*path[path.index(module) :], module])
    if module in order:
        return
    for imported in sorted(graph.find_modules_directly_imported_by(module)):
        details = graph.get_import_details(importer=module, imported=imported)
        if any(not _late(module, d["line_number"]) for d in details):
            visit(graph, imported, order, [*path, module])
    order[module] = len(order)


def _late(module: str, line: int) -> bool:
    """An import inside a function or for types only binds when it is needed: no cycle at import time."""
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else ROOT / module.replace(".", "/") / "__init__.py"
    text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    return text.startswith((" ", "\t"))


@pytest.mark.parametrize(
    "pattern", ["/" + "root/", "/" + "work/", "pypi" + ".org", "repo.maven" + ".apache", "registry.npmjs" + ".org"]
)
def test_nothing_names_a_machine_or_a_registry(pattern: str) -> None:
    listed = subprocess.run(["git", "grep", "-lF", pattern], cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.stdout.split() == []
