"""Laws that hold for every sequence of events and inspects, sensible or not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.docker.events import parse
from exporter.families import containers
from exporter.memory import Memory
from tests.exporter.stories import Story, facts, policy, raw_event, world_of
from tests.size import examples

LAST_REASON = next(family for family in containers.FAMILIES if family.name == "container_last_exit_reason")

_EVENTS = st.sampled_from(
    [
        "create",
        "start",
        "die 0",
        "die 1",
        "die 137",
        "die 143",
        "kill 15",
        "kill 9",
        "kill 1",
        "stop",
        "oom",
        "pause",
        "unpause",
        "restart",
        "update",
        "health_status healthy",
        "health_status unhealthy",
        "destroy",
        "gone",
        "inspect running started={t}",
        "inspect exited code=3 started=0 finished={t}",
        "inspect restarting code=3 started=0 finished={t} restarts=1",
    ]
)
_GAPS = st.sampled_from([0.001, 0.05, 0.3, 1.2, 6.0, 20.0])
_HISTORIES = st.lists(st.tuples(_GAPS, _EVENTS), max_size=25)
_POLICIES = st.sampled_from(["no", "always", "unless-stopped", "on-failure", "on-failure:2"])


def lines(history, begin=1.0):
    """Write a history as lines with times that only grow."""
    at, written = begin, []
    for gap, event in history:
        at = round(at + gap, 3)
        written.append(f"{at} {event.format(t=round(at - 0.01, 3))}")
    return written


def counters(story):
    """Return every counter there is, by name and reason."""
    counted = {}
    for view in story.inventory.snapshot(story.now).containers:
        counted[view.name, "restarts"] = view.restarts
        counted[view.name, "ooms"] = view.oom_events
        for reason, count in view.exits.items():
            counted[view.name, reason] = count
    return counted


@settings(max_examples=examples(150), deadline=None)
@given(history=_HISTORIES, restart_policy=_POLICIES)
def test_counters_never_fall(history, restart_policy):
    """Whatever happens, a counter that is published later is not smaller."""
    story, highest = Story(facts(policy=policy(restart_policy))), {}
    for line in lines(history):
        story.play(line)
        for key, value in counters(story).items():
            assert value >= highest.get(key, 0), (line, key)
            highest[key] = value


@settings(max_examples=examples(150), deadline=None)
@given(history=_HISTORIES, restart_policy=_POLICIES)
def test_every_death_is_counted_once(history, restart_policy):
    """However its reason changes, and whatever else is told, a die that was seen is one exit."""
    told = lines(history)
    story = Story(facts(policy=policy(restart_policy))).play("\n".join(told)).wait(10)
    book = Memory.from_text(story.inventory.to_text()).get("web")
    assert sum(book.exits.values()) == sum(line.split()[1] == "die" for line in told)


@settings(max_examples=examples(150), deadline=None)
@given(history=_HISTORIES, restart_policy=_POLICIES)
def test_one_last_reason(history, restart_policy):
    """A container that has ended has exactly one last reason in the exposition, one that has not has none."""
    story = Story(facts(policy=policy(restart_policy))).play("\n".join(lines(history))).wait(10)
    for view in story.inventory.snapshot(story.now).containers:
        reasons = [
            sample
            for sample in LAST_REASON.samples(world_of(story.inventory.snapshot(story.now)))
            if ("name", view.name) in sample[0].labels
        ]
        assert len(reasons) == (view.published and view.last_exit is not None)
        if view.exits:
            assert view.last_exit is not None


@settings(max_examples=examples(150), deadline=None)
@given(history=_HISTORIES, restart_policy=_POLICIES, data=st.data())
def test_replays_change_nothing(history, restart_policy, data):
    """Events that a reconnect tells again change nothing."""
    told = [line for line in lines(history) if line.split()[1] not in ("gone", "inspect")]
    story = Story(facts(policy=policy(restart_policy))).play("\n".join(told))
    before = story.inventory.snapshot(story.now)
    again = data.draw(st.integers(0, len(told)))
    for line in told[again:]:
        story.inventory.apply(parse(raw_event(line)), story.now)
    assert story.inventory.snapshot(story.now) == before


@settings(max_examples=examples(100), deadline=None)
@given(history=_HISTORIES, restart_policy=_POLICIES, cut=st.integers(0, 25))
def test_a_restart_of_the_exporter_loses_no_count(history, restart_policy, cut):
    """Counters after a restart go on where they were, a provisional exit included."""
    story = Story(facts(policy=policy(restart_policy))).play("\n".join(lines(history)[:cut]))
    memory = Memory.from_text(story.inventory.to_text())
    story.wait(11)
    for name, reason in [key for key in counters(story) if key[1] not in ("restarts", "ooms")]:
        assert memory.get(name).exits.get(reason, 0) == counters(story)[name, reason]


@settings(max_examples=examples(60), deadline=None)
@given(history=_HISTORIES, restart_policy=_POLICIES)
def test_text_survives_a_round_trip(history, restart_policy):
    """What is written is read back and written the same."""
    story = Story(facts(policy=policy(restart_policy))).play("\n".join(lines(history))).wait(3)
    text = story.inventory.to_text()
    assert Memory.from_text(text).to_text() == text
