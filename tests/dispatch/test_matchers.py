"""Matchers as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.dispatch.matchers import MatcherError, parse_matchers
from alerting.labels import Matcher, MatchOp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('severity="critical"', [("severity", "=", "critical")], id="quoted"),
        pytest.param("severity=critical", [("severity", "=", "critical")], id="bare"),
        pytest.param("team=~db|web", [("team", "=~", "db|web")], id="regular expression"),
        pytest.param("a!=b,c!~d", [("a", "!=", "b"), ("c", "!~", "d")], id="several, negated"),
        pytest.param('{a="b", c="d"}', [("a", "=", "b"), ("c", "=", "d")], id="in braces"),
        pytest.param('{a="b",}', [("a", "=", "b")], id="a comma at the end"),
        pytest.param("{}", [], id="nothing in braces"),
        pytest.param("", [], id="nothing"),
        pytest.param("a=", [("a", "=", "")], id="empty value"),
        pytest.param('a=""', [("a", "=", "")], id="empty quoted value"),
        pytest.param('a="x,y}"', [("a", "=", "x,y}")], id="comma and brace inside quotes"),
        pytest.param(r'a="say \"hi\"\n\\d"', [("a", "=", 'say "hi"\n\\d')], id="escapes"),
        pytest.param("  a = b c  ", [("a", "=", "b c")], id="white space around, kept inside"),
        pytest.param('a=~"(?i)x{2,3}"', [("a", "=~", "(?i)x{2,3}")], id="braces of a regular expression"),
        pytest.param("a==b", [("a", "=", "=b")], id="a bare value starts behind the operator"),
        pytest.param("a:b_1=x", [("a:b_1", "=", "x")], id="every character a name may have"),
    ],
)
def test_what_is_read(text, expected):
    """Name, operator and value of each matcher."""
    assert [(m.name, m.op, m.value) for m in parse_matchers(text)] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("severity", "not a matcher: 'severity'; write it like severity=\"critical\" or team=~\"db|web\"", id="no operator"),
        pytest.param("1a=b", None, id="a name that starts with a digit"),
        pytest.param('a="b', None, id="a quote that is not closed"),
        pytest.param("a=b,,c=d", None, id="two commas"),
        pytest.param("{a=b", None, id="a brace that is not closed"),
        pytest.param('a="b"c="d"', None, id="no comma after a quote"),
        pytest.param("a=~(", "not a valid regular expression: '(': missing )", id="a broken regular expression"),
        pytest.param("a=~(?=x)", None, id="what RE2 does not know"),
    ],
)  # fmt: skip
def test_what_is_refused(text, message):
    """The error quotes what is no matcher and shows one."""
    with pytest.raises(MatcherError) as caught:
        parse_matchers(text)
    assert message is None or message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        pytest.param("a=~web.*", "web-1", True, id="a regular expression"),
        pytest.param("a=~web", "web-1", False, id="is anchored at its end"),
        pytest.param("a=~eb", "web", False, id="and at its start"),
        pytest.param("a=~a|b", "ab", False, id="alternatives too"),
        pytest.param('a=~"x.y"', "x\ny", True, id="a dot matches a line's end"),
        pytest.param("a!~web.*", "db", True, id="negated"),
        pytest.param("a!=x", "", True, id="a missing label is not x"),
        pytest.param("a=", "", True, id="a missing label is empty"),
        pytest.param("a=~.+", "", False, id="a missing label has no character"),
    ],
)
def test_what_matches(text, value, matches):
    """As in every tool of the family."""
    (matcher,) = parse_matchers(text)
    assert matcher.matches_labels({"a": value} if value else {}) is matches


values = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b_1"]), st.sampled_from([MatchOp.EQUAL, MatchOp.NOT_EQUAL]), values)
    )
)
def test_what_is_written_is_read_again(given_matchers):
    """A matcher's own text parses back to it."""
    matchers = [Matcher(name, op, value) for name, op, value in given_matchers]
    assert parse_matchers("{" + ",".join(map(str, matchers)) + "}") == matchers
