"""What a broker gives again is known, and nothing else is taken for it: a model of a broker, a line that breaks, a hub that
dies (F25)."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sources.mqtt_window import Window, digest_of

MIDS = 7  # packet identifiers are used again soon
INFLIGHT = 3
Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "send", "lose", "break", "append", "crash", "new session"]), st.integers(0, 2)
    ),
    max_size=80,
)


class Broker:
    """QoS 1 as the specification has it: at most so many unacknowledged, sent again in order with DUP after a break."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, str]] = deque()  # (true number, content), not sent yet
        self.open: deque[tuple[int, int, str]] = deque()  # (mid, true number, content), sent and not acknowledged
        self.again: deque[tuple[int, int, str]] = deque()  # to be sent again on this connection
        self.mid = 0

    def next(self) -> tuple[int, int, str, bool] | None:
        if self.again:
            return (*self.again.popleft(), True)
        if not self.queue or len(self.open) >= INFLIGHT:
            return None
        self.mid = self.mid % MIDS + 1
        one = (self.mid, *self.queue.popleft())
        self.open.append(one)
        return (*one, False)

    def acknowledged(self, mid: int) -> int:
        """In order, as section 4.6 wants it."""
        first, number, _content = self.open[0]
        assert first == mid, "acknowledged out of order"
        self.open.popleft()
        return number


class World:
    """A hub with a window before that broker. `log` has what is durable: true numbers in order, and the position."""

    def __init__(self) -> None:
        self.broker, self.window = Broker(), Window(INFLIGHT)
        self.log: list[int] = []
        self.position: tuple[int, list[list[Any]]] = (0, [])
        self.read: deque[tuple[int, int]] = deque()  # (our number, true number) not appended yet
        self.sent = 0
        self.window.connected(session=True)

    def step(self, what: str, which: int) -> None:
        getattr(self, what.replace(" ", "_"))(which)

    def publish(self, content: int) -> None:
        self.broker.queue.append((self.sent, f"reading {content}"))
        self.sent += 1

    def send(self, _which: int) -> None:
        one = self.broker.next()
        if one is not None:
            mid, true, content, dup = one
            number = self.window.arrived(mid, digest_of("t", content.encode()), dup=dup, empty=False)
            if number is not None:
                self.read.append((number, true))
            self.tell()

    def lose(self, _which: int) -> None:
        """A message is sent, and the connection breaks before it is here."""
        self.broker.next()
        self.break_(0)

    def break_(self, _which: int) -> None:
        self.window.connected(session=True)
        self.broker.again = deque(self.broker.open)

    def append(self, count: int) -> None:
        """A batch becomes durable with the position after it."""
        batch = [self.read.popleft() for _ in range(min(count + 1, len(self.read)))]
        if batch:
            last = batch[-1][0]
            self.log += [true for _number, true in batch]
            self.position = (last, self.window.position(last))
            self.window.durable(last)
            self.tell()

    def crash(self, _which: int) -> None:
        self.read.clear()
        self.window = Window(INFLIGHT, *self.position)
        self.break_(0)

    def new_session(self, _which: int) -> None:
        """The broker forgot the session: what was in it is lost, and identifiers begin anew."""
        queue = self.broker.queue
        self.broker = Broker()
        self.broker.queue = queue
        self.window.connected(session=False)

    def tell(self) -> None:
        for mid in self.window.due():
            assert self.broker.acknowledged(mid) in self.log, "acknowledged before it was durable"


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_F25_each_message_is_appended_once_in_order_and_acknowledged_after(steps: list[Step]) -> None:
    world = World()
    sessions = False
    for what, which in steps:
        sessions = sessions or what == "new session"
        world.step("break_" if what == "break" else what, which)
        assert len(set(world.log)) == len(world.log), "appended twice"
    for _ in range(2 * len(steps) + 2):  # and then all is well
        world.send(0)
        world.append(2)
    assert world.log == sorted(set(world.log))
    if not sessions:
        assert world.log == list(range(world.sent))
        assert not world.broker.open


def test_F25_equal_messages_without_dup_are_two_and_what_holds_no_row_is_acknowledged_in_turn() -> None:
    window = Window(10)
    window.connected(session=True)
    same = digest_of("t", b"20")
    assert window.arrived(1, same, dup=False, empty=False) == 1
    assert window.arrived(1, same, dup=False, empty=False) == 2  # the identifier was free again
    assert window.arrived(2, same, dup=False, empty=True) == 3
    assert window.due() == []
    window.durable(2)
    assert window.due() == [1, 1, 2]
    assert window.arrived(1, same, dup=True, empty=False) is None
    assert window.due() == [1]
    window.disconnected()
    assert window.arrived(1, digest_of("t", b"21"), dup=True, empty=False) == 4


def test_F25_a_window_keeps_as_much_as_can_come_again_and_no_more() -> None:
    window = Window(5)
    window.connected(session=True)
    for mid in range(1, 101):
        number = window.arrived(mid, digest_of("t", b"x"), dup=False, empty=False)
        assert number == mid
        window.durable(number)
    assert [mid for mid, _digest in window.position(100)] == [96, 97, 98, 99, 100]
    for mid in range(101, 121):  # none of them durable: all could come again
        window.arrived(mid, digest_of("t", b"x"), dup=False, empty=False)
    assert all(window.arrived(mid, digest_of("t", b"x"), dup=True, empty=False) is None for mid in range(101, 121))
