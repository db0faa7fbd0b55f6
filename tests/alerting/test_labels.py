"""Labelsets and matchers."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from alerting.labels import EMPTY, METRIC_NAME, Labels, Matcher, MatchOp

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
NAMES = st.from_regex(r"[a-c_][a-c0-9_]{0,3}", fullmatch=True)
MAPPINGS = st.dictionaries(NAMES, TEXT, max_size=6)


@given(MAPPINGS, st.randoms())
def test_law_order_does_not_matter(mapping, random):
    """Equal pairs make equal labelsets with equal hashes and fingerprints, sorted by name."""
    shuffled = list(mapping.items())
    random.shuffle(shuffled)
    one, two = Labels(mapping), Labels(shuffled)
    assert one == two
    assert hash(one) == hash(two)
    assert one.fingerprint() == two.fingerprint()
    assert list(two) == sorted(two)


@given(MAPPINGS)
def test_law_an_empty_value_is_no_label(mapping):
    """What is left are the pairs with a value, and a mapping of them."""
    expected = {name: value for name, value in mapping.items() if value}
    labels = Labels(mapping)
    assert dict(labels) == expected
    assert len(labels) == len(expected)
    assert labels == Labels(expected)


@given(MAPPINGS, MAPPINGS)
def test_law_setting_labels(mapping, more):
    """The new value wins, an empty one removes, and the old labelset stays as it was."""
    before = Labels(mapping)
    after = before.with_(more)
    assert dict(after) == {name: value for name, value in {**mapping, **more}.items() if value}
    assert before == Labels(mapping)


@given(MAPPINGS, st.sets(NAMES))
def test_law_keep_and_drop_share_out_the_labels(mapping, names):
    """Each label is in exactly one of the two."""
    labels = Labels(mapping)
    kept, dropped = labels.keep(names), labels.drop(names)
    assert set(kept) <= names
    assert not set(dropped) & names
    assert {**kept, **dropped} == dict(labels)


@given(MAPPINGS, MAPPINGS)
def test_law_different_labelsets_are_unequal(one, two):
    """Equality is that of the pairs that have a value."""
    pairs = [{name: value for name, value in mapping.items() if value} for mapping in (one, two)]
    assert (Labels(one) == Labels(two)) == (pairs[0] == pairs[1])


def test_a_labelset_is_no_dict():
    """Comparing with one says no instead of guessing about empty values."""
    assert Labels({"a": "b"}) != {"a": "b"}
    assert Labels() == EMPTY


FINGERPRINTS = [
    pytest.param({}, 14695981039346656037, id="nothing: FNV's offset basis"),
    pytest.param(
        {"name": "garland, briggs", "fear": "love is not enough"},
        5799056148416392346,
        id="the labels of Prometheus' own test",
    ),
]


@pytest.mark.parametrize(("labels", "expected"), FINGERPRINTS)
def test_fingerprints_are_alertmanagers(labels, expected):
    """As 16 hex digits, so that amtool and links from elsewhere find the same alert."""
    assert Labels(labels).fingerprint() == f"{expected:016x}"


def test_a_fingerprint_knows_where_a_name_ends():
    """The same letters, cut otherwise, are another labelset."""
    cuts = [{"ab": "c"}, {"a": "bc"}, {"a": "b", "c": "d"}, {"a": "bc", "d": ""}]
    assert len({Labels(cut).fingerprint() for cut in cuts}) == 3


WRITTEN = [
    pytest.param({}, "{}", id="nothing"),
    pytest.param({METRIC_NAME: "up"}, "up", id="a metric alone"),
    pytest.param({METRIC_NAME: "up", "job": "node"}, 'up{job="node"}', id="a metric with a label"),
    pytest.param({"b": "2", "a": "1"}, '{a="1", b="2"}', id="sorted, without a metric"),
    pytest.param({"a": 'x"y\\z\n'}, '{a="x\\"y\\\\z\\n"}', id="escaped"),
]


@pytest.mark.parametrize(("labels", "expected"), WRITTEN)
def test_written_as_prometheus_does(labels, expected):
    """In messages and logs."""
    assert str(Labels(labels)) == expected
    assert repr(Labels(labels)) == f"Labels({expected})"


def test_the_metric_name():
    """Empty where there is none."""
    assert (Labels({METRIC_NAME: "up"}).metric, EMPTY.metric) == ("up", "")


MATCHES = [
    pytest.param(MatchOp.EQUAL, "web", "web", True, id="= is equality"),
    pytest.param(MatchOp.EQUAL, "web", "web-1", False, id="= of the whole value"),
    pytest.param(MatchOp.EQUAL, "w.b", "web", False, id="= knows no patterns"),
    pytest.param(MatchOp.NOT_EQUAL, "web", "web-1", True, id="!= is the contrary"),
    pytest.param(MatchOp.NOT_EQUAL, "web", "web", False, id="!= of an equal value"),
    pytest.param(MatchOp.REGEX, "w.b", "web", True, id="=~ is a pattern"),
    pytest.param(MatchOp.REGEX, "we", "web", False, id="=~ is anchored at the end"),
    pytest.param(MatchOp.REGEX, "eb", "web", False, id="=~ is anchored at the start"),
    pytest.param(MatchOp.REGEX, "web|db", "db", True, id="=~ anchors all alternatives, the last"),
    pytest.param(MatchOp.REGEX, "web|db", "web-1", False, id="=~ anchors all alternatives, the first"),
    pytest.param(MatchOp.REGEX, "a.b", "a\nb", True, id="=~ a dot is a line break too"),
    pytest.param(MatchOp.REGEX, "web", "web\n", False, id="=~ a line break at the end is a difference"),
    pytest.param(MatchOp.REGEX, "(?i)web", "WEB", True, id="=~ flags"),
    pytest.param(MatchOp.REGEX, "ваxта|вахта", "вахта", True, id="=~ letters of any script"),
    pytest.param(MatchOp.REGEX, "", "", True, id="=~ nothing is nothing"),
    pytest.param(MatchOp.REGEX, ".+", "", False, id="=~ .+ needs a label"),
    pytest.param(MatchOp.NOT_REGEX, "w.b", "web", False, id="!~ is the contrary"),
    pytest.param(MatchOp.NOT_REGEX, "we", "web", True, id="!~ is anchored"),
]


@pytest.mark.parametrize(("op", "pattern", "value", "expected"), MATCHES)
def test_matchers(op, pattern, value, expected):
    """The four operators, as everywhere in Prometheus."""
    matcher = Matcher("name", op, pattern)
    assert matcher.matches(value) is expected
    assert matcher.matches_labels({"name": value, "other": "x"}) is expected


@pytest.mark.parametrize("op", list(MatchOp))
@pytest.mark.parametrize("value", ["", "x"])
def test_a_missing_label_is_the_empty_one(op, value):
    """Matchers do not tell the two apart."""
    matcher = Matcher("name", op, value)
    assert matcher.matches_labels({}) is matcher.matches("")


@given(TEXT, TEXT)
def test_law_a_quoted_pattern_is_equality(pattern, value):
    """=~ with everything escaped says what = says, and the negations say the contrary."""
    quoted = "".join(rf"\x{{{ord(letter):x}}}" for letter in pattern)
    for text in (pattern, value):
        equal = Matcher("n", MatchOp.EQUAL, pattern).matches(text)
        assert equal is (text == pattern)
        assert Matcher("n", MatchOp.REGEX, quoted).matches(text) is equal
        assert Matcher("n", MatchOp.NOT_EQUAL, pattern).matches(text) is not equal
        assert Matcher("n", MatchOp.NOT_REGEX, quoted).matches(text) is not equal


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"\1", "*", "a{2,1}"])
def test_a_pattern_that_is_no_re2_is_refused(pattern, capfd):
    """When the matcher is made, not at the first match, and without a word on standard error."""
    with pytest.raises(re2.error):
        Matcher("n", MatchOp.REGEX, pattern)
    assert capfd.readouterr().err == ""


def test_matchers_compare_and_print_as_written():
    """They are keys of caches, and stand in messages."""
    one, two = (Matcher("a", MatchOp.REGEX, 'x"|y') for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != Matcher("a", MatchOp.NOT_REGEX, 'x"|y')
    assert str(one) == 'a=~"x\\"|y"'
