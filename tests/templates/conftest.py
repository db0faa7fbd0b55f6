"""One alert whose texts are expanded, as the goldens know it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.templates import Context, QuerySample, parse_alert_template, render_alert_template


def _query(text: str) -> list[QuerySample]:
    if text == "bad":
        raise RuntimeError("bad query")
    if text == "none":
        return []
    return [
        QuerySample(labels={"__name__": "up", "instance": "b", "__value__": "sv"}, value=21.5),
        QuerySample(labels={"__name__": "up", "instance": "a"}, value=11),
    ]


@pytest.fixture(scope="session")
def context():
    """An alert of one target, with a query function that knows three queries."""
    return Context(
        labels={"__name__": "up", "instance": "web.example.com:9100", "job": "node", "empty": "", "é": "ü"},
        value=1234567.891,
        external_labels={"region": "eu"},
        external_url="http://testhost:9090/path/prefix",
        now=datetime.fromtimestamp(1435065584.128, UTC),
        query=_query,
    )


@pytest.fixture(scope="session")
def expand_alert(context):
    """Parse and expand the text of a rule."""

    def expand(text: str) -> str:
        return render_alert_template(parse_alert_template(text, name="t"), context)

    return expand
