"""Which row is next, and which one is too late: pure decisions over open rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.telegram.draft import Kind, Priority
from alerting.telegram.rows import Head, State, choose, expired

SEND, EDIT, REPLY = Kind.SEND, Kind.EDIT, Kind.REPLY
QUEUED, SENDING, UNKNOWN = State.QUEUED, State.SENDING, State.UNKNOWN


def head(number, key="a", kind=SEND, priority=Priority.WARNING, state=QUEUED, reply_to=None, until=None):
    """An open row."""
    return Head(
        id=number,
        key=key,
        kind=kind,
        priority=priority,
        state=state,
        reply_to_key=reply_to,
        created_at=float(number),
        give_up_at=until,
        ambiguous=0,
    )


CHOICES = [
    ("nothing", [], {}, None, None),
    ("the-only-one", [head(1)], {}, 1, None),
    ("the-oldest", [head(1), head(2, "b")], {}, 1, None),
    ("the-most-urgent", [head(1), head(2, "b", priority=Priority.CRITICAL)], {}, 2, None),
    ("in-order-within-a-key", [head(1), head(2, kind=EDIT, priority=Priority.CRITICAL)], {}, 1, None),
    ("nothing-past-one-in-flight", [head(1, state=SENDING), head(2, kind=EDIT)], {}, None, None),
    (
        "nothing-past-one-in-doubt",
        [head(1, state=UNKNOWN), head(2, kind=REPLY, reply_to="a")],
        {1: 15.0},
        None,
        5.0,
    ),
    ("in-doubt-and-due", [head(1, state=UNKNOWN)], {1: 10.0}, 1, None),
    ("another-while-in-doubt", [head(1, state=UNKNOWN), head(2, "b")], {1: 15.0}, 2, None),
    (
        "the-soonest-doubt",
        [head(1, state=UNKNOWN), head(2, "b", state=UNKNOWN)],
        {1: 19.0, 2: 12.0},
        None,
        2.0,
    ),
    (
        "a-reply-after-its-parent",
        [head(1), head(2, "r", REPLY, Priority.CRITICAL, reply_to="a")],
        {},
        1,
        None,
    ),
    ("a-reply-to-one-in-flight", [head(1, state=SENDING), head(2, "r", REPLY, reply_to="a")], {}, None, None),
    (
        "a-reply-does-not-wait-for-edits",
        [head(1, kind=EDIT, state=SENDING), head(2, "r", REPLY, reply_to="a")],
        {},
        2,
        None,
    ),
    ("a-reply-to-itself", [head(1, kind=REPLY, reply_to="a")], {}, 1, None),
]


@pytest.mark.parametrize(
    ("rows", "due", "chosen", "wait"), [pytest.param(*row, id=name) for name, *row in CHOICES]
)
def test_choose(rows, due, chosen, wait):
    """At the time 10."""
    found, seconds = choose(rows, due, 10.0)
    assert (found and found.id, seconds) == (chosen, wait)


ROWS = st.lists(
    st.builds(
        head,
        st.just(0),
        st.sampled_from("abc"),
        st.sampled_from([SEND, EDIT, REPLY]),
        st.sampled_from(list(Priority)),
        st.sampled_from([QUEUED, SENDING, UNKNOWN]),
        st.sampled_from([None, "a", "b"]),
    ),
    max_size=8,
).map(lambda rows: [head(i, r.key, r.kind, r.priority, r.state, r.reply_to_key) for i, r in enumerate(rows)])


@given(ROWS, st.dictionaries(st.integers(0, 7), st.floats(0, 20)))
def test_nothing_overtakes_its_own_conversation(rows, due):
    """The chosen row is the oldest open one of its key, is due and is not on its way."""
    chosen, _ = choose(rows, due, 10.0)
    if chosen is not None:
        assert chosen.id == min(row.id for row in rows if row.key == chosen.key)
        assert chosen.state is not SENDING
        assert due.get(chosen.id, 0) <= 10


@pytest.mark.parametrize(
    ("rows", "late", "wait"),
    [
        pytest.param([head(1)], None, None, id="never"),
        pytest.param([head(1, until=12.0), head(2, until=11.0)], None, 1.0, id="the-soonest"),
        pytest.param([head(1), head(2, until=10.0)], 2, None, id="now"),
        pytest.param([head(1, state=SENDING, until=9.0)], None, None, id="not-while-it-is-on-its-way"),
    ],
)
def test_expired(rows, late, wait):
    """At the time 10."""
    found, seconds = expired(rows, 10.0)
    assert (found and found.id, seconds) == (late, wait)
