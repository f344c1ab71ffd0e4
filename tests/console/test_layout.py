"""A graph that is laid out: nothing lies on anything else, and what can be uncrossed is."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from hub.console.layout import HEIGHT, WIDTH, place


@given(st.lists(st.integers(0, 8), min_size=1, max_size=4), st.data())
def test_boxes_lie_apart_and_inside(sizes: list[int], data: st.DataObject) -> None:
    columns = [[f"{number}:{row}" for row in range(size)] for number, size in enumerate(sizes)]
    possible = [(a, b) for left, right in pairwise(columns) for a in left for b in right]
    edges = data.draw(st.lists(st.sampled_from(possible), unique=True)) if possible else []
    placed = place(columns, edges)
    assert placed.boxes.keys() == {node for column in columns for node in column}
    assert placed.curves.keys() == set(edges)
    for x, y in placed.boxes.values():
        assert 0 <= x <= placed.width - WIDTH
        assert 0 <= y <= placed.height - HEIGHT
    for (x1, y1), (x2, y2) in combinations(placed.boxes.values(), 2):
        assert x1 != x2 or abs(y1 - y2) >= HEIGHT


def test_a_crossing_that_need_not_be_is_undone() -> None:
    placed = place([["a", "b"], ["x", "y"]], [("a", "y"), ("b", "x")])
    assert (placed.boxes["a"][1] < placed.boxes["b"][1]) == (placed.boxes["y"][1] < placed.boxes["x"][1])
