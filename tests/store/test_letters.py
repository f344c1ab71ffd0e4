"""Dead letters: one row a span, whatever comes twice."""

from __future__ import annotations

from hub.store import Store


def test_a_span_is_one_letter_and_goes_its_way(store: Store) -> None:
    letters, other = store.letters.of("s"), store.letters.of("other")
    ids = letters.put("a.b.v1", [(0, 5, 7), (1, 2, 3)], "the receiver answers 500")
    assert letters.put("a.b.v1", [(0, 5, 7)], "the receiver answers 503") == ids[:1]
    other.put("a.b.v1", [(0, 5, 7)], "x")
    assert [(x.partition, x.first, x.end, x.reason, x.status) for x in letters.listed()] == [
        (0, 5, 7, "the receiver answers 503", "open"),
        (1, 2, 3, "the receiver answers 500", "open"),
    ]
    assert store.letters.undelivered() == {"s": 2, "other": 1}
    assert letters.retry("nobody") == 0
    assert letters.retry(ids[0]) == 1
    assert [x.id for x in letters.waiting()] == [ids[0]]
    letters.settle(ids[0], "delivered", "the receiver answers 503")
    assert letters.retry() == 1
    letters.void()
    assert [x.status for x in letters.listed()] == ["delivered", "void"]
    assert [x.status for x in other.listed()] == ["open"]
    assert store.letters.undelivered() == {"other": 1}
