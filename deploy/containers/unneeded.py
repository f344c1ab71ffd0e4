"""Print the installed packages that the project's own dependencies do not reach: those for development alone.

The lock holds both, each with its hash; the image installs it whole, then uninstalls what this names. Run it by the Python
whose packages are meant: `python unneeded.py pyproject.toml`.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def unneeded(wanted: Iterable[str]) -> list[str]:
    """Names of installed packages that none of these requirements needs, directly or through others."""
    installed = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    return sorted(installed - reached(wanted))


def reached(wanted: Iterable[str]) -> set[str]:
    """Names of what these requirements need on this machine, themselves included, with the extras they ask for."""
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for asked in {"", *requirement.extras}:
            if (name, asked) not in seen:
                seen.add((name, asked))
                waiting += [(needs, asked) for needs in requirements_of(name)]
    return {name for name, _ in seen}


def requirements_of(name: str) -> list[Requirement]:
    """What an installed package declares. One that is not installed is not meant for this machine."""
    try:
        return [Requirement(text) for text in distribution(name).requires or ()]
    except PackageNotFoundError:
        return []


if __name__ == "__main__":
    project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(unneeded(project["project"]["dependencies"])))
