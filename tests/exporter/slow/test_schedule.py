"""The schedule by itself: time is a number."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.slow.schedule import Pace, Schedule


def played(schedule, keys, seconds, *, until, hanging=(), limit=60.0):
    """Play a schedule: every call lasts as long as `seconds` says by key, one that hangs fails at the limit. Return (began, ended, key)."""
    now, running, calls = 0.0, [], []
    schedule.keep(keys, now)
    while now <= until:
        for key in schedule.take(now):
            lasts = limit if key in hanging else seconds.get(key, 0.0)
            running.append((now + lasts, now, key))
        wake = schedule.wakes_at()
        assert wake is None or wake > now, "it would spin"
        coming = [end for end, _, _ in running]
        if wake is not None:
            coming.append(wake)
        if not coming:
            break
        now = min(coming)
        for call in sorted(call for call in running if call[0] <= now):
            running.remove(call)
            schedule.ended(call[2], now, ok=call[2] not in hanging)
            calls.append((call[1], now, call[2]))
    return calls


def begun(calls, key):
    """Return when the calls of a key began."""
    return [began for began, _, each in calls if each == key]


def test_new_keys_are_asked_at_once_then_once_per_interval():
    """No jitter: the same calls, the same times."""
    calls = played(Schedule(Pace(interval=300)), ["a"], {"a": 1.0}, until=1000)
    assert begun(calls, "a") == [0, 300, 600, 900]


def test_a_slow_walk_slows_its_own_schedule():
    """At a tenth of the time, a walk of a minute comes every ten."""
    calls = played(Schedule(Pace(interval=300)), ["a"], {"a": 60.0}, until=2000)
    assert begun(calls, "a") == [0, 600, 1200, 1800]


def test_who_waited_longest_is_next():
    """Nobody starves behind a key that is due more often."""
    schedule = Schedule(Pace(interval=10, duty=1.0))
    schedule.keep(["a"], 0.0)
    assert schedule.take(0.0) == ["a"]
    schedule.ended("a", 1.0, ok=True)
    schedule.keep(["a", "b"], 5.0)
    assert schedule.take(20.0) == ["b"]


def test_a_failure_is_retried_ever_later():
    """Doubling, up to an hour; a success forgets it."""
    schedule = Schedule(Pace(interval=300, retry=60, longest=3600))
    schedule.keep(["a"], 0.0)
    now, waits = 0.0, []
    for _ in range(9):
        assert schedule.take(now) == ["a"]
        schedule.ended("a", now, ok=False)
        assert schedule.failing == {"a"}
        due = schedule.wakes_at()
        waits.append(due - now)
        now = due
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    schedule.take(now)
    schedule.ended("a", now, ok=True)
    assert (schedule.failing, schedule.wakes_at()) == (frozenset(), now + 300)


def test_a_call_that_hung_long_rests_long():
    """Its key alone keeps to the duty, and the daemon may go on working after we gave up."""
    schedule = Schedule(Pace(interval=300, retry=60, duty=0.1))
    schedule.keep(["a"], 0.0)
    schedule.take(0.0)
    schedule.ended("a", 120.0, ok=False)
    assert schedule.wakes_at() == 120 + 1200


def test_a_failure_costs_others_nothing():
    """Another key is asked at once."""
    schedule = Schedule(Pace(interval=300))
    schedule.keep(["a", "b"], 0.0)
    assert schedule.take(0.0) == ["a"]
    schedule.ended("a", 60.0, ok=False)
    assert schedule.take(60.0) == ["b"]


def test_nobody_there_is_no_keys_fault():
    """One try after another, a minute apart, and nobody's place in the order is lost; then all go on."""
    schedule = Schedule(Pace(interval=300, retry=60))
    schedule.keep(["a", "b"], 0.0)
    for now in (0.0, 60.0, 120.0):
        assert schedule.take(now) == ["a"]
        schedule.unanswered("a", now)
        assert (schedule.take(now), schedule.wakes_at(), schedule.failing) == ([], now + 60, frozenset())
    assert schedule.take(180.0) == ["a"]
    schedule.ended("a", 180.0, ok=True)
    assert schedule.take(180.0) == ["b"]


def test_a_forgotten_key_keeps_its_place_until_its_call_ends():
    """Removal does not make a third call possible, and a key that comes back waits for its own end."""
    schedule = Schedule(Pace(interval=300, at_once=1))
    schedule.keep(["a"], 0.0)
    schedule.take(0.0)
    schedule.keep(["b"], 1.0)
    assert (schedule.take(1.0), schedule.wakes_at()) == ([], None)
    schedule.ended("a", 2.0, ok=False)
    assert (schedule.take(2.0), schedule.failing) == (["b"], frozenset())


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"interval": 0}, id="no interval"),
        pytest.param({"interval": 1, "at_once": 0}, id="no call at all"),
        pytest.param({"interval": 1, "duty": 0.0}, id="no time"),
        pytest.param({"interval": 1, "duty": 1.5}, id="more than all the time"),
        pytest.param({"interval": 1, "retry": 0}, id="no rest after a failure"),
    ],
)
def test_a_pace_that_is_none(wrong):
    """It is refused when it is built."""
    with pytest.raises(ValueError, match="is no pace"):
        Pace(**wrong)


_KEYS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.0, 100.0), min_size=1)
_AT_ONCE = st.integers(1, 4)


@given(seconds=_KEYS, at_once=_AT_ONCE, hanging=st.sets(st.sampled_from("abcdefgh")))
def test_never_more_than_so_many_at_once(seconds, at_once, hanging):
    """Whatever lasts how long, or hangs."""
    schedule = Schedule(Pace(interval=300, at_once=at_once))
    calls = played(schedule, seconds, seconds, until=5000, hanging=hanging)
    for began, _, _ in calls:
        assert sum(other <= began < ended for other, ended, _ in calls) <= at_once


@given(seconds=_KEYS, at_once=_AT_ONCE, duty=st.sampled_from([0.05, 0.1, 0.5, 1.0]))
def test_calls_take_no_more_than_their_share_of_time(seconds, at_once, duty):
    """The time that all calls took is within the duty, but for those that were begun last."""
    schedule = Schedule(Pace(interval=300, at_once=at_once, duty=duty))
    calls = played(schedule, seconds, seconds, until=20_000)
    last = max(began for began, _, _ in calls)
    taken = sum(ended - began for began, ended, _ in calls if began < last)
    longest = at_once * max(seconds.values())
    assert taken <= duty * last + longest + 1e-6


@given(seconds=_KEYS, at_once=_AT_ONCE)
def test_nobody_starves(seconds, at_once):
    """Each key is asked again within the interval, or within what the duty makes of all walks together."""
    schedule = Schedule(Pace(interval=300, at_once=at_once))
    calls = played(schedule, seconds, seconds, until=30_000)
    round_ = 300 + (sum(seconds.values()) + at_once * max(seconds.values())) / 0.1
    for key in seconds:
        times = [*begun(calls, key), 30_000]
        assert times[0] <= round_
        assert all(later - sooner <= round_ + 1e-6 for sooner, later in itertools.pairwise(times))


@given(at_once=st.integers(2, 4), hanging=st.sets(st.sampled_from("abcdefgh"), max_size=8))
def test_those_that_hang_delay_no_other_once_they_are_known(at_once, hanging):
    """However many hang, the others go on by their interval: one place is never theirs."""
    keys = [*"abcdefgh", "y", "z"]
    schedule = Schedule(Pace(interval=300, at_once=at_once))
    calls = played(schedule, keys, {}, until=20_000, hanging=hanging, limit=60)
    first = max(begun(calls, key)[0] for key in hanging) + 60 if hanging else 0
    for key in set(keys) - hanging:
        times = [began for began in begun(calls, key) if began > first]
        assert len(times) > 20
        assert all(later - sooner == 300 for sooner, later in itertools.pairwise(times))
