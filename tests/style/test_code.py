"""The shape of the code: short functions, small modules, no import cycle, secrets compared in constant time."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from connectors import KINDS

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("hub", "connectors", "schemas", "examples", "benchmarks", "docs", "tests")
SOURCES = sorted([ROOT / "dev.py", *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))])
PRODUCT = [p for p in SOURCES if p.relative_to(ROOT).parts[0] in ("hub", "connectors")]
TESTS = [p for p in SOURCES if p.relative_to(ROOT).parts[0] == "tests"]
ASKS = {f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "request", "stream", "Client")}
P95_LINES, MAX_LINES, MAX_MODULE = 34, 60, 500
SECRET = re.compile(r"(?:^|_)(?:token|secret|password|mac)$")
PLAIN_COMPARISONS = {  # of a secret with `==`, each where no caller can gain from its timing
    "connectors/sources/sql.py": 1,  # two readings of the same line of configuration
    "hub/store/people.py": 1,  # a hash, by the database, after the password was verified against it
}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """(lines, where) of every function of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield length(node), f"{path.relative_to(ROOT)}:{node.name}"


def test_no_function_is_long() -> None:
    assert [found for path in SOURCES for found in functions(path) if found[0] > MAX_LINES] == []


def test_functions_are_short() -> None:
    """Of the product alone: the tests' many short functions must not pay for its long ones."""
    lengths = sorted(found for path in PRODUCT for found in functions(path))
    assert lengths[int(len(lengths) * 0.95)][0] <= P95_LINES


def test_modules_are_small() -> None:
    sizes = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert {name: n for name, n in sizes.items() if n > MAX_MODULE} == {}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("hub", "connectors", cache_dir=None)


def test_there_is_no_import_cycle(graph: grimp.ImportGraph) -> None:
    done: set[str] = set()
    for module in sorted(graph.modules):
        visit(graph, module, done, [])
    assert done == set(graph.modules)


def visit(graph: grimp.ImportGraph, module: str, done: set[str], path: list[str]) -> None:
    assert module not in path, " → ".join([*path[path.index(module) :], module])
    if module in done:
        return
    for imported in sorted(graph.find_modules_directly_imported_by(module)):
        details = graph.get_import_details(importer=module, imported=imported)
        if any(binds_at_once(d["line_contents"], module, d["line_number"]) for d in details):
            visit(graph, imported, done, [*path, module])
    done.add(module)


def binds_at_once(statement: str, module: str, line: int) -> bool:
    """An import inside a function, or for types only, binds when it is needed: no cycle when modules load."""
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.exists() else ROOT / module.replace(".", "/") / "__init__.py"
    text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    assert statement.split()[0] in text
    return not text.startswith((" ", "\t"))


def test_every_kind_of_source_stands_in_the_contract_of_independence() -> None:
    """One kind is one module of its name; import-linter proves that none knows another."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    listed = [name for contract in contracts if contract["type"] == "independence" for name in contract["modules"]]
    sinks = sorted(p.stem for p in (ROOT / "connectors/sinks").glob("*.py") if p.stem not in ("__init__", "specs"))
    wanted = [f"connectors.sources.{name}" for name in KINDS] + [f"connectors.sinks.{name}" for name in sinks]
    assert sorted(listed) == sorted(wanted)


def named(node: ast.expr) -> str:
    """The last name of `token`, `self.token`, `row.token.value()`…"""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower()
        case ast.Call(func=inner):
            return named(inner)
        case _:
            return ""


def plain_comparisons(tree: ast.Module) -> list[int]:
    """Lines that compare something called a secret by `==` or `!=` with anything but a constant."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if any(SECRET.search(named(s)) for s in sides) and not any(isinstance(s, ast.Constant) for s in sides):
                found.append(node.lineno)
    return found


def test_secrets_are_compared_in_constant_time() -> None:
    found = {str(p.relative_to(ROOT)): plain_comparisons(ast.parse(p.read_text(encoding="utf-8"))) for p in PRODUCT}
    assert {name: len(lines) for name, lines in found.items() if lines} == PLAIN_COMPARISONS, found


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("a.token == b", 1),
        ("x != self.password", 1),
        ("made.mac() == y", 1),
        ("token_id == x", 0),
        ("secret == ''", 0),
    ],
)
def test_the_search_for_plain_comparisons_finds_them(line: str, count: int) -> None:
    assert len(plain_comparisons(ast.parse(line))) == count


def impatient(tree: ast.Module) -> list[int]:
    """Lines that ask by httpx over a socket and leave it at its own five seconds."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("httpx."):
            asks = ast.unparse(node.func) in ASKS
            if asks and not {"timeout", "transport"} & {keyword.arg for keyword in node.keywords}:
                found.append(node.lineno)
    return found


def test_tests_wait_longer_than_httpx_does_by_itself() -> None:
    """Five seconds are few on a machine that is busy for a moment."""
    found = {str(p.relative_to(ROOT)): impatient(ast.parse(p.read_text(encoding="utf-8"))) for p in TESTS}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("httpx.get(url)", 1),
        ("httpx.Client(base_url=url, trust_env=False)", 1),
        ("httpx.post(url, timeout=60)", 0),
        ("httpx.AsyncClient(transport=here)", 0),
        ("httpx.Response(200)", 0),
    ],
)
def test_the_search_for_impatience_finds_it(line: str, count: int) -> None:
    assert len(impatient(ast.parse(line))) == count
