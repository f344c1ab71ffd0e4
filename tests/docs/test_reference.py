"""Reference pages are what the code says, and the code says something of everything."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from hub import errors, model, ports

ROOT = Path(__file__).resolve().parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["kinds.md", "functions.md", "settings.md", "errors.md", "commands.md"])
def test_a_page_is_up_to_date(name: str) -> None:
    made = generator().pages()[name]
    assert (ROOT / "docs/reference" / name).read_text(encoding="utf-8") == made, "run `python3 dev.py docs`"


def test_nothing_is_undocumented() -> None:
    for name, text in generator().pages().items():
        empty = [line for line in text.splitlines() if re.search(r"\|\s*\|$", line)]
        assert empty == [], name


@pytest.mark.parametrize("module", [errors, model, ports])
def test_public_names_have_a_docstring(module: ModuleType) -> None:
    for name, value in inspect.getmembers(module, inspect.isclass):
        if value.__module__ == module.__name__ and not name.startswith("_"):
            assert value.__doc__, name


def test_links_between_pages_resolve() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not link.startswith(("http://", "https://")):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
