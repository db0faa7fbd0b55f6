"""What holds for every incident, whatever happens to its alerts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dispatch.play import CAST, TIMING, Play
from tests.size import examples

NAMES = sorted(CAST)
VERBS = ("fires", "fires", "fires", "recovered", "removed", "lost", "hidden", "shown", "arrives")
GAPS = (0.0, 0.05, 0.15, 0.2, 1.0, 3.0, 4.8, 30.0, 300.0, 599.0, 601.0, 15_000.0)
INTERVAL = TIMING.group_interval.total_seconds()
LAST = 100_000.0  # longer than all gaps of a script together


@st.composite
def scripts(draw, names=NAMES):
    """Draw a script of up to 12 evaluations."""
    seconds, acts = 0.0, []
    for _ in range(draw(st.integers(1, 12))):
        seconds = round(seconds + draw(st.sampled_from(GAPS)), 2)
        what = draw(
            st.lists(st.tuples(st.sampled_from(names), st.sampled_from(VERBS)), min_size=1, max_size=3)
        )
        acts.append(f"{seconds:g} " + " + ".join(f"{name} {verb}" for name, verb in what))
    return "; ".join(acts)


def ended(script, verb="recovered"):
    """Return the script with everything over at last."""
    return f"{script}; {LAST:g} " + " + ".join(f"{name} {verb}" for name in NAMES)


def split(line):
    """Return a line's time and what it says."""
    when, _, what = line.partition(" ")
    return float(when), what


@given(scripts())
@settings(deadline=None, max_examples=examples(80))
def test_what_was_told_ends_by_exactly_one_edit(script):
    """Told, over, told again, over: never two ends in a row, and never an incident without its end."""
    play = Play()
    heard = [split(line)[1] for line in play.run(ended(script), until=2 * LAST)]
    assert play.incident is None
    state = "closed"
    for what in heard:
        if what.startswith("send"):
            assert state in ("closed", "over")
            state = "open"
        elif what.startswith("edit over"):
            assert state == "open"
            state = "over"
        elif what.startswith("edit"):
            assert state in ("open", "over")
            state = "open"
    assert state in ("closed", "over")


@given(scripts())
@settings(deadline=None, max_examples=examples(80))
def test_the_phone_rings_at_most_once_per_group_interval(script):
    """Sounds of one incident keep their distance."""
    last = None
    for when, what in map(split, Play().run(ended(script), until=2 * LAST)):
        if what.startswith("send"):
            last = None  # another incident: nobody can hold back what is new
        if " loud" in what:
            assert last is None or when - last >= INTERVAL - 1e-6
            last = when


@given(scripts())
@settings(deadline=None, max_examples=examples(80))
def test_silence_says_nothing(script):
    """Once everything is over and what was held back is out, nothing more is ever said."""
    heard = Play().run(ended(script), until=10 * LAST)
    assert all(split(line)[0] <= LAST for line in heard)


@given(scripts())
@settings(deadline=None, max_examples=examples(80))
def test_time_alone_only_reminds(script):
    """Without news, what was held back comes out within the waits, and after that only reminders."""
    end = split(script.rpartition("; ")[2])[0]
    heard = [split(line) for line in Play().run(script, until=end + 30_000)]
    late = [what for when, what in heard if when > end + INTERVAL + 0.5]
    # Ten minutes after an end, what was hidden or settled since then may begin an incident of its own.
    assert all(what.startswith(("reply reminder", "send", "edit", "reply again")) for what in late)
    assert sum(not what.startswith("reply reminder") for what in late) <= 1


@given(scripts(), st.lists(st.floats(0, 20_000).map(lambda s: round(s, 2)), max_size=20))
@settings(deadline=None, max_examples=examples(80))
def test_looking_more_often_changes_nothing(script, looks):
    """The incident asks to be looked at whenever time alone changes something, so extra looks find nothing."""
    assert Play().run(script, until=30_000, looks=looks) == Play().run(script, until=30_000)


@given(scripts(["watchdog"]))
@settings(deadline=None, max_examples=examples(40))
def test_what_is_never_told_leaves_no_trace(script):
    """Severity none has no message, no edit and no reply."""
    assert Play().run(ended(script), until=2 * LAST) == []
