"""What is remembered about selections is never taken for another selection's."""

from __future__ import annotations

from alerting.labels import Labels
from alerting.promql.labelsets import dropped, grouped, remembered


def test_a_new_tuple_is_never_taken_for_an_old_one() -> None:
    """Although Python gives addresses of dead tuples to new ones."""
    for n in range(5_000):
        labels = tuple(
            [Labels({"n": str(n)})] * 7
        )  # of a size that nothing else here has, so that it is used again
        assert remembered((labels,), "first", lambda found=labels: found[0]) is labels[0]


def test_the_same_tuple_is_computed_once() -> None:
    """And a list each time, because it may have changed."""
    calls = []
    labels = (Labels({"n": "1"}),)
    for given in (labels, labels, list(labels), list(labels)):
        remembered((given,), "once", lambda: calls.append(1))
    assert len(calls) == 3


def test_what_is_derived_is_the_same_tuple_again() -> None:
    """So that what is derived from that is remembered too."""
    labels = (Labels({"__name__": "up", "a": "1", "b": "2"}), Labels({"__name__": "up", "a": "2"}))
    assert dropped(labels, ("b",)) is dropped(labels, ("b",))
    assert dropped(labels, ("b",)) == (labels[0].drop(("b",)), labels[1])
    assert grouped(labels, ("a",), without=False)[1] is grouped(labels, ("a",), without=False)[1]


def test_many_labelsets_pass_through() -> None:
    """The memory of derived labelsets is bounded, and right before and after it is emptied."""
    for n in range(12_000):
        one = Labels({"__name__": "up", "n": str(n)})
        assert list(dropped([one], ("__name__",))) == [Labels({"n": str(n)})]
