"""Rounds of subjects, interleaved, and what is said of them: medians with least and most, and ratios or why there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import SubjectFailed, spread

RUNNING = "_running"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of one subject. Times are of the whole process unless its answer gives its own."""

    rows: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    accepted: int
    rejected: int
    published: int | None = None  # where some of the accepted were unchanged
    bytes_out: int | None = None
    hash: str | None = None


@dataclass(frozen=True, kw_only=True)
class About:
    """What a subject is, for the reader of its figure."""

    ran: str
    not_done: str = ""


Subject = Callable[[], Measured | Mapping[str, Measured]]  # several figures: of one process that ran several times


@dataclass
class Outcome:
    """Runs by the name of their figure; why something is missing."""

    runs: dict[str, list[Measured]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def us(self, name: str, of: str = "wall_s") -> float | None:
        """Median µs per record, of `wall_s` or `cpu_s`."""
        runs = self.runs.get(name)
        return spread([getattr(m, of) / m.rows * 1e6 for m in runs])["median"] if runs else None

    def rss(self, name: str) -> float | None:
        """Median peak in MB."""
        runs = self.runs.get(name)
        return spread([m.rss_mb for m in runs])["median"] if runs else None

    def subjects(self, about: Mapping[str, About]) -> dict[str, Any]:
        """Every figure, in the order of the first round."""
        return {name: {**_figures(runs), **_words(about.get(name))} for name, runs in self.runs.items()}


def interleave(todo: Mapping[str, Subject], rounds: int, *, required: Sequence[str] = ()) -> Outcome:
    """All subjects in turn, `rounds` times. One that fails is left out from then on, with its last words.

    Raises SubjectFailed when it is a required one."""
    outcome = Outcome()
    for number in range(rounds):
        for name, subject in todo.items():
            if name in outcome.failures:
                continue
            tell(f"round {number + 1}: {name}")
            try:
                found = subject()
            except SubjectFailed as error:
                if name in required:
                    raise
                tell(str(error))
                outcome.failures[name] = (
                    str(error).strip().splitlines()[-1][:200]
                )  # paths of this machine are for stderr
                for figure in [f for f in outcome.runs if f == name or f.startswith(f"{name}, ")]:
                    del outcome.runs[figure]
                continue
            for figure, measured in (found if isinstance(found, Mapping) else {name: found}).items():
                outcome.runs.setdefault(figure, []).append(measured)
    return outcome


def ratios(made: Mapping[str, float | None], missing: Mapping[str, str]) -> dict[str, Any]:
    """`ratios` and, for those that were not measured, `reasons`. `…_running` is a ratio with the hub's start-up taken off."""

    def reason(name: str) -> str:
        base = name.removesuffix(RUNNING)
        if base != name and made.get(base) is not None:
            return "the start-up took longer than the run: too few rows"
        return missing.get(base, "not measured")

    return {
        "ratios": {name: None if ratio is None else round(ratio, 3) for name, ratio in made.items()},
        "reasons": {name: reason(name) for name, ratio in made.items() if ratio is None},
    }


def quotient(above: float | None, below: float | None) -> float | None:
    """None where one of them was not measured, or is nothing (a start-up taken off on a noisy machine)."""
    return above / below if above is not None and below is not None and below > 0 else None


def tell(text: str) -> None:
    """Progress goes to stderr."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def _figures(runs: Sequence[Measured]) -> dict[str, Any]:
    last = runs[-1]
    return {
        "rows": last.rows,
        "rounds": len(runs),
        "wall_us": spread([m.wall_s / m.rows * 1e6 for m in runs]),
        "cpu_us": spread([m.cpu_s / m.rows * 1e6 for m in runs]),
        "rss_mb": spread([m.rss_mb for m in runs]),
        "accepted": last.accepted,
        "rejected": last.rejected,
        "bytes_out": last.bytes_out,
        "bytes_per_record": round(last.bytes_out / last.accepted, 1) if last.bytes_out else None,
    }


def _words(about: About | None) -> dict[str, str]:
    return {"ran": about.ran, "not_done": about.not_done} if about else {}
