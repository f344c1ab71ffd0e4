"""Bars and flame graphs as SVG text, without a library. The same values give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT = 760, 230, 70
ROW, BAR, TOP, FOOT = 34, 12, 44, 14
FLAME_WIDTH, FRAME = 1200, 17
OURS = ("hub", "blocks", "read", "columns")  # subjects drawn in colour
LETTER = 6.2  # width of one in a frame, in pixels
FEWEST_LETTERS = 3
NARROW = 1.5  # pixels below which a frame is not drawn
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-weight:600;font-size:14px}.s{fill:#57606a}"
    ".w{fill:#5b6b7b}.c{fill:#b9c4cf}.w.h{fill:#0b5fa5}.c.h{fill:#9cc3e6}"
)
LAYERS = {  # of a flame graph: colours by where the time is spent
    "hub": "#f2b872",
    "arrow": "#8fb8de",
    "numpy": "#9fd0a8",
    "lz4": "#c9b1e0",
    "sqlite": "#e3c7a0",
    "hashes": "#d9d38c",
    "kernel": "#c4c9cf",
    "python": "#f4dc8c",
    "imports": "#f3b6b6",
    "other": "#e6e6e6",
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One subject's two values."""

    name: str
    wall: float
    cpu: float


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """A pair of bars each: wall time, and CPU time below it."""
    most = max([max(bar.wall, bar.cpu) for bar in values] or [1.0]) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + ROW * len(values) + FOOT
    parts = [
        f'<text class="t" x="8" y="18">{escape(title)}</text>',
        f'<rect class="w" x="{LEFT}" y="26" width="10" height="10"/><text x="{LEFT + 14}" y="35">wall, {unit}</text>',
        f'<rect class="c" x="{LEFT + 160}" y="26" width="10" height="10"/>'
        f'<text x="{LEFT + 174}" y="35">CPU, {unit}</text>',
    ]
    for place, bar in enumerate(values):
        y, ours = TOP + ROW * place, " h" if bar.name.startswith(OURS) else ""
        parts.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end">{escape(bar.name)}</text>')
        for kind, value, at in (("w", bar.wall, y + 3), ("c", bar.cpu, y + 3 + BAR)):
            width = max(value * scale, 1)
            parts.append(f'<rect class="{kind}{ours}" x="{LEFT}" y="{at}" width="{width:.1f}" height="{BAR - 1}"/>')
            grey = 'class="s" ' if kind == "c" else ""
            parts.append(f'<text {grey}x="{LEFT + width + 5:.1f}" y="{at + 10}">{number(value)}</text>')
    return _svg(WIDTH, height, title, parts)


Calls = Mapping[str, Sequence[Any]]  # `layer|name` → samples in it or below, and what it called in the same form


def flame(title: str, calls: Calls) -> str:
    """Callers below, what they called above; as wide as the share of samples. A frame's full name is its tooltip."""
    total = sum(samples for samples, _inner in calls.values()) or 1
    placed = list(_placed(calls, 0.0, 0, FLAME_WIDTH / total))
    height = TOP + FRAME * (max((frame.level for frame in placed), default=0) + 1) + FOOT
    parts = [f'<text class="t" x="8" y="18">{escape(title)}</text>']
    for place, (layer, colour) in enumerate(LAYERS.items()):
        x = 8 + 95 * place
        parts.append(f'<rect fill="{colour}" x="{x}" y="26" width="10" height="10"/>')
        parts.append(f'<text x="{x + 14}" y="35">{layer}</text>')
    for frame in placed:
        y = height - FOOT - FRAME * (frame.level + 1)
        box = f'x="{frame.left:.1f}" y="{y}" width="{max(frame.width - 0.4, 0.4):.1f}" height="{FRAME - 1}"'
        parts.append(f"<g><title>{escape(frame.name)} {frame.width / FLAME_WIDTH:.1%}</title>")
        parts.append(f'<rect fill="{LAYERS.get(frame.layer, LAYERS["other"])}" {box}/>')
        room = int((frame.width - 6) / LETTER)
        if room >= FEWEST_LETTERS:
            text = frame.name if len(frame.name) <= room else frame.name[: room - 1] + "…"
            parts.append(f'<text x="{frame.left + 3:.1f}" y="{y + 12}">{escape(text)}</text>')
        parts.append("</g>")
    return _svg(FLAME_WIDTH, height, title, parts)


@dataclass(frozen=True)
class _Frame:
    """A frame's place in the graph, in pixels and levels."""

    left: float
    width: float
    level: int
    layer: str
    name: str


def _placed(calls: Calls, left: float, level: int, scale: float) -> Iterator[_Frame]:
    """Every frame that is wide enough."""
    for key, (samples, inner) in calls.items():
        layer, _, name = key.partition("|")
        if samples * scale >= NARROW:
            yield _Frame(left, samples * scale, level, layer, name)
            yield from _placed(inner, left, level + 1, scale)
        left += samples * scale


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(title, quote=True)}">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *parts, "</svg>"]) + "\n"
