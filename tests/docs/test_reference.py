"""Reference pages are what the code says, and the code says something of everything."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer

from connectors import KINDS
from hub import errors, model, ports
from hub.cli.main import INTERRUPTED, USAGE, build
from hub.mapping.functions import TABLE

ROOT = Path(__file__).resolve().parents[2]
SAYS_IT_ALL = {"Log.close", "Writer.close", "Report.ok"}  # members whose name is their documentation


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["kinds.md", "functions.md", "schemas.md", "settings.md", "errors.md", "commands.md"])
def test_a_page_is_up_to_date(name: str) -> None:
    made = generator().pages()[name]
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == made, "run `python3 dev.py docs`"


def test_no_setting_option_error_or_reason_is_undocumented() -> None:
    for name, text in generator().pages().items():
        empty = [line for line in text.splitlines() if re.search(r"\|\s*\|$", line)]
        assert empty == [], name


def test_every_command_says_what_it_does_with_an_example() -> None:
    for path, command in generator().walk("datong", typer.main.get_command(build())):
        said, _, example = " ".join((command.help or "").split()).partition(" Example: ")
        assert said, path
        assert example.startswith(path), path


def test_every_function_has_a_sentence_and_examples() -> None:
    for function in TABLE.values():
        assert function.doc.endswith("."), function.name
        assert function.examples, function.name


def test_every_kind_of_source_has_a_sentence() -> None:
    assert [kind.name for kind in KINDS.values() if not kind.summary.endswith(".")] == []


def test_every_exit_code_is_explained() -> None:
    page = generator().pages()["errors.md"]
    explained = {int(code) for code in re.findall(r"\b(\d+) [a-z]", page[page.index("Exit codes:") :].split("\n")[0])}
    kinds = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.DatongError)]
    assert {kind.exit_code for kind in kinds} | {0, USAGE, INTERRUPTED} <= explained


@pytest.mark.parametrize("module", [errors, model, ports])
def test_public_names_have_a_docstring(module: ModuleType) -> None:
    """Classes, functions, and the methods and properties that a class adds: a port's promises are on its verbs."""
    bare = {name for name, value in public(module) if not inspect.getdoc(value)}
    assert bare <= SAYS_IT_ALL


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        yield name, value
        if inspect.isclass(value):
            members = {n: m for n, m in vars(value).items() if inspect.isfunction(m) or isinstance(m, property)}
            yield from ((f"{name}.{n}", m) for n, m in members.items() if not n.startswith("_"))


PAGES = sorted(
    p for f in (".", "docs", "examples", "benchmarks") for p in (ROOT / f).glob("*.md" if f == "." else "**/*.md")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link, anchor in links(page):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), f"{link}#{anchor}"


def test_every_page_of_docs_is_reached_from_its_index() -> None:
    reached, waiting = set(), [ROOT / "docs/README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [page.parent / link for link, _ in links(page) if link]
    assert [str(p) for p in PAGES if p.is_relative_to(ROOT / "docs") and p not in reached] == []


def links(page: Path) -> list[tuple[str, str]]:
    """(path, anchor) of each link within the tree, outside code."""
    prose = re.sub(r"(?ms)^(`{3,}).*?^\1$|`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose)
    return [pair for pair in found if not pair[0].startswith(("http://", "https://", "mailto:"))]


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
