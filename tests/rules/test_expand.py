"""The texts of an alert: expanded anew exactly when they could read otherwise."""

from datetime import UTC, datetime, timedelta

import pytest

from alerting.labels import Labels
from alerting.promql.errors import QueryError
from alerting.promql.values import Sample
from alerting.rules.expand import Surroundings, expand
from alerting.rules.load import read_document
from alerting.templates import QuerySample
from vakhta.yamlnodes import parse

START = datetime(2026, 9, 21, 12, tzinfo=UTC)
ASKS = '{{ with query "limit" }}{{ . | first | value }}{{ end }}'


class World:
    """One alert whose summary is the template; what it asks is answered with ``limit``, or fails."""

    def __init__(self, summary):
        text = f"groups: [{{name: g, rules: [{{alert: Full, expr: used > 1, annotations: {{summary: {summary!r}}}}}]}}]"
        (group,) = read_document(parse(text, file="r.yml"), interval=timedelta(seconds=5))
        (self.rule,) = group.rules
        self.limit = 512.0
        self.last = None

    def query(self, _text):
        """Answer a template's query."""
        if self.limit is None:
            raise QueryError("many-to-many matching not allowed")
        return [QuerySample(labels={}, value=self.limit)]

    def reads(self, value, seconds=0):
        """Expand once more; return the summary."""
        around = Surroundings(now=START + timedelta(seconds=seconds), query=self.query)
        self.last = expand(self.rule, Sample(Labels({"name": "web"}), 0, value), around, self.last)
        return self.last.produced.annotations["summary"]

    def is_kept(self, value, seconds=0):
        """Whether another evaluation takes the last expansion as it is."""
        last = self.last
        self.reads(value, seconds)
        return self.last is last


@pytest.mark.parametrize(
    ("summary", "seconds", "kept"),
    [
        ("{{ $labels.name }} uses {{ $value }}", 5, True),
        (f"{{{{ $value }}}} of {ASKS}", 5, True),
        ("at {{ now }}", 5, False),
    ],
)
def test_what_cannot_read_otherwise_is_kept(summary, seconds, kept):
    """The same value and the same answers; the clock is never the same."""
    world = World(summary)
    world.reads(2)
    assert world.is_kept(2, seconds) is kept


def test_another_value_or_another_answer_is_another_text():
    """As Prometheus, which expands every time."""
    world = World(f"{{{{ $value }}}} of {ASKS}")
    assert world.reads(2) == "2 of 512"
    assert world.reads(3) == "3 of 512"
    world.limit = 1024.0
    assert world.reads(3) == "3 of 1024"


def test_a_query_that_fails_later_is_told_in_the_text_and_mends():
    """What was remembered must not turn it into a failure of the rule."""
    world = World(ASKS)
    world.reads(2)
    world.limit = None
    assert world.reads(2).startswith("<error expanding template: ")
    assert not world.is_kept(2)
    world.limit = 512.0
    assert world.reads(2) == "512"
