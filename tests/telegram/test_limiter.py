"""The limiter's laws, held against the stand-in's own flood control."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.telegram.draft import Priority
from alerting.telegram.limiter import Limiter
from tests.telegram_api.flood import Flood

PRIVATE, GROUP, OTHER = 7, -7, -8
CRITICAL, WARNING = Priority.CRITICAL, Priority.WARNING


def greedy(limiter, wishes, start=0.0):
    """Write as soon as the limiter lets each wish; return the moments."""
    now, times = start, []
    for chat, priority in wishes:
        now += limiter.delay(chat, priority, now)
        assert limiter.delay(chat, priority, now) <= 1e-6
        limiter.spent(chat, now)
        times.append(now)
    return times


WISHES = st.lists(
    st.tuples(st.sampled_from([PRIVATE, GROUP, OTHER, 8, 9]), st.sampled_from(list(Priority))), max_size=120
)


@given(WISHES)
def test_telegram_never_refuses_what_the_limiter_lets_through(wishes):
    """The fastest sender within our limits never meets a 429."""
    limiter, flood = Limiter(), Flood()
    for (chat, _), at in zip(wishes, greedy(limiter, wishes), strict=True):
        assert flood.retry_after(chat, at) is None


@given(WISHES)
def test_a_group_takes_at_most_18_writes_a_minute(wishes):
    """No window of 60 s holds more, whatever the priorities."""
    times = greedy(Limiter(), wishes)
    for group in (GROUP, OTHER):
        mine = [at for (chat, _), at in zip(wishes, times, strict=True) if chat == group]
        assert all(sum(start <= at < start + 60 for at in mine) <= 18 for start in mine)


def test_a_private_chat_takes_three_at_once_then_one_a_second():
    """Burst 3, then 1 s apart."""
    assert greedy(Limiter(), [(PRIVATE, WARNING)] * 5) == pytest.approx([0, 0, 0, 1, 2])


def test_a_group_spaces_ordinary_writes_by_a_second():
    """Edits and warnings wait for each other."""
    assert greedy(Limiter(), [(GROUP, Priority.EDIT), (GROUP, WARNING), (GROUP, WARNING)]) == pytest.approx(
        [0, 1, 2]
    )


def test_a_critical_message_does_not_wait_for_the_spacing():
    """Right after an edit it goes at once, within the burst."""
    limiter = Limiter()
    limiter.spent(GROUP, 0)
    assert limiter.delay(GROUP, WARNING, 0.1) == pytest.approx(0.9)
    assert limiter.delay(GROUP, CRITICAL, 0.1) == 0


def test_four_slots_of_a_group_are_kept_for_the_urgent():
    """After 14 writes a warning waits for the window, a critical message does not, until 18."""
    limiter = Limiter()
    greedy(limiter, [(GROUP, WARNING)] * 14)
    assert limiter.delay(GROUP, WARNING, 20) == pytest.approx(40)
    assert limiter.delay(GROUP, Priority.ONCALL, 20) == 0
    greedy(limiter, [(GROUP, CRITICAL)] * 4, start=20)
    assert limiter.delay(GROUP, CRITICAL, 30) == pytest.approx(30)


def test_all_chats_share_25_writes_a_second():
    """The 26th chat waits a moment."""
    limiter = Limiter()
    assert greedy(limiter, [(chat, CRITICAL) for chat in range(1, 27)])[-1] == pytest.approx(1 / 25)


def test_a_429_pauses_its_own_chat_for_a_second_more_than_asked():
    """Others go on."""
    limiter = Limiter()
    limiter.punish(GROUP, 90, 10)
    assert limiter.delay(GROUP, CRITICAL, 10) == pytest.approx(91)
    assert limiter.delay(OTHER, CRITICAL, 10) == 0
    assert limiter.delay(GROUP, CRITICAL, 101) == 0


@pytest.mark.parametrize(
    ("second", "slowed"),
    [pytest.param(599, True, id="within-10-min"), pytest.param(601, False, id="later")],
)
def test_a_second_429_within_ten_minutes_halves_the_rate(second, slowed):
    """Twice as far apart, and half the slots, for 10 min."""
    limiter = Limiter()
    limiter.punish(GROUP, 1, 0)
    limiter.punish(GROUP, 1, second)
    now = second + 5
    limiter.spent(GROUP, now)
    assert limiter.delay(GROUP, WARNING, now) == pytest.approx(2 if slowed else 1)
    assert limiter.delay(GROUP, WARNING, now + 600) == 0


def test_three_chats_refused_at_once_pause_the_bot():
    """It is the bot that is too fast: everybody waits for the first of them."""
    limiter = Limiter()
    for chat, seconds in ((1, 5), (2, 9), (3, 30)):
        limiter.punish(chat, seconds, 0)
    assert limiter.delay(4, CRITICAL, 0) == pytest.approx(6)
    assert limiter.delay(4, CRITICAL, 6) == 0


def test_chats_paused_for_other_reasons_do_not_pause_the_bot():
    """Three kicked chats are no flood."""
    limiter = Limiter()
    for chat in (1, 2, 3):
        limiter.pause(chat, 300, 0)
    assert limiter.delay(1, CRITICAL, 0) == 300
    assert limiter.delay(4, CRITICAL, 0) == 0


def test_a_clock_that_stands_still_gives_nothing_back():
    """Asking often is no way to get more."""
    limiter = Limiter()
    for _ in range(3):
        limiter.spent(PRIVATE, 5)
    assert [limiter.delay(PRIVATE, CRITICAL, 5) for _ in range(3)] == pytest.approx([1, 1, 1])
