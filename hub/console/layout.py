"""Places for a graph that flows from left to right: columns of boxes, and curves between them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 250, 46  # of a box
BETWEEN_COLUMNS, BETWEEN_ROWS = 110, 14
SWEEPS = 4  # passes that order the columns by their neighbours


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where things are, in pixels."""

    boxes: Mapping[str, tuple[int, int]]  # left upper corner by id
    curves: Mapping[tuple[str, str], str]  # an SVG path by (from, to)
    width: int
    height: int


def place(columns: Sequence[Sequence[str]], edges: Sequence[tuple[str, str]]) -> Placed:
    """Lay columns of ids out so that few curves cross: each box goes near the middle of its neighbours, left to right and
    back (Sugiyama's barycentres)."""
    ordered = [list(column) for column in columns]
    around: dict[str, list[str]] = {}
    for start, end in edges:
        around.setdefault(start, []).append(end)
        around.setdefault(end, []).append(start)
    for sweep in range(SWEEPS):
        for column in ordered if sweep % 2 == 0 else reversed(ordered):
            at = {node: place / max(len(c), 1) for c in ordered for place, node in enumerate(c)}
            column.sort(key=lambda node: _middle(node, around, at))
    tallest = max((len(column) for column in ordered), default=0)
    height = max(tallest * (HEIGHT + BETWEEN_ROWS) - BETWEEN_ROWS, HEIGHT)
    boxes = {}
    for number, column in enumerate(ordered):
        free = height - len(column) * HEIGHT
        gap = free / (len(column) + 1)
        for row, node in enumerate(column):
            boxes[node] = (number * (WIDTH + BETWEEN_COLUMNS), round(gap + row * (HEIGHT + gap)))
    width = len(ordered) * (WIDTH + BETWEEN_COLUMNS) - BETWEEN_COLUMNS
    curves = {(start, end): _curve(boxes[start], boxes[end]) for start, end in edges}
    return Placed(boxes=boxes, curves=curves, width=max(width, WIDTH), height=height)


def _middle(node: str, around: Mapping[str, Sequence[str]], at: Mapping[str, float]) -> float:
    places = [at[other] for other in around.get(node, ()) if other in at]
    return sum(places) / len(places) if places else at[node]


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    bend = (x2 - x1) // 2
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
