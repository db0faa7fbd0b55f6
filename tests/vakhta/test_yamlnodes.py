"""YAML with positions: what is read, and the exact message of every mistake."""

from __future__ import annotations

import os
from datetime import timedelta
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vakhta.yamlnodes import ConfigError, Node, Problem, load, parse, require


def root(text: str) -> Node:
    """Return the top node of a file."""
    document = parse(dedent(text), file="f.yml")
    assert document.root is not None
    return document.root


def told(node: Node) -> list[str]:
    """Return the problems noted so far."""
    return [str(problem) for problem in node.document.problems]


def refused(text: str) -> list[str]:
    """Return the problems of a text that cannot be read at all."""
    with pytest.raises(ConfigError) as caught:
        parse(text, file="f.yml")
    assert str(caught.value) == "\n".join(str(problem) for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_places_and_keys():
    """Every node knows line, column and the path that leads to it."""
    top = root(
        """\
        global:
          names: [a, {deep: x}]
        """
    ).mapping()
    names = top["global"].mapping()["names"]
    first, second = names.sequence()
    deep = second.mapping()["deep"]
    assert [(n.line, n.column, n.key) for n in (top["global"], names, first, deep)] == [
        (2, 3, "global"),
        (2, 10, "global.names"),
        (2, 11, "global.names[0]"),
        (2, 21, "global.names[1].deep"),
    ]


VALUES = [
    pytest.param("5", lambda n: n.integer(), 5, id="integer"),
    pytest.param("-5", lambda n: n.integer(), -5, id="negative integer"),
    pytest.param("0.25", lambda n: n.number(), 0.25, id="number"),
    pytest.param("+5", lambda n: n.number(), 5.0, id="number with a sign"),
    pytest.param("-1.5e-3", lambda n: n.number(), -0.0015, id="number with an exponent"),
    pytest.param(".5", lambda n: n.number(), 0.5, id="number that begins with a dot"),
    pytest.param("true", lambda n: n.boolean(), True, id="true"),
    pytest.param("False", lambda n: n.boolean(fallback=True), False, id="False"),
    pytest.param("1h30m", lambda n: n.duration(), timedelta(minutes=90), id="duration"),
    pytest.param("text", lambda n: n.text(), "text", id="text"),
    pytest.param("1:30", lambda n: n.text(), "1:30", id="1:30 is not 90"),
    pytest.param("on", lambda n: n.text(), "on", id="on is not true"),
    pytest.param("0644", lambda n: n.text(), "0644", id="0644 is not 420"),
    pytest.param("2026-09-21", lambda n: n.text(), "2026-09-21", id="a date is text"),
    pytest.param("'null'", lambda n: n.text("x"), "null", id="quoted null is text"),
    pytest.param("''", lambda n: n.text("x"), "", id="empty text is text"),
    pytest.param("{a: 1, b: x}", lambda n: n.texts(), {"a": "1", "b": "x"}, id="texts"),
    pytest.param("null", lambda n: n.text("x"), "x", id="null text"),
    pytest.param("~", lambda n: n.integer(7), 7, id="null integer"),
    pytest.param("~", lambda n: n.number(0.5), 0.5, id="null number"),
    pytest.param("~", lambda n: n.boolean(fallback=True), True, id="null boolean"),
    pytest.param("~", lambda n: n.duration(timedelta(3)), timedelta(3), id="null duration"),
    pytest.param("~", lambda n: n.mapping(), {}, id="null mapping"),
    pytest.param("~", lambda n: n.sequence(), [], id="null list"),
]


@pytest.mark.parametrize(("text", "get", "expected"), VALUES)
def test_values(text, get, expected):
    """Read as what the caller asks for; nothing there is the fallback; no problem is noted."""
    node = root(f"key: {text}").mapping()["key"]
    assert get(node) == expected
    assert told(node) == []


MISTAKES = [
    pytest.param("x", lambda n: n.integer(7), 7, "a whole number is expected, not 'x'", id="integer"),
    pytest.param("1.5", lambda n: n.integer(), 0, "a whole number is expected, not '1.5'", id="fraction"),
    pytest.param("''", lambda n: n.integer(), 0, "a whole number is expected, not ''", id="empty integer"),
    pytest.param("1_0", lambda n: n.integer(), 0, "a whole number is expected, not '1_0'", id="underscores"),
    pytest.param("' 5'", lambda n: n.integer(), 0, "a whole number is expected, not ' 5'", id="blanks"),
    pytest.param("٥", lambda n: n.integer(), 0, "a whole number is expected, not '٥'", id="other digits"),
    pytest.param(
        "9" * 5000,
        lambda n: n.integer(),
        0,
        f"a whole number is expected, not '{'9' * 5000}'",
        id="endless integer",
    ),
    pytest.param("x", lambda n: n.number(0.5), 0.5, "a number is expected, not 'x'", id="number"),
    pytest.param("nan", lambda n: n.number(0.5), 0.5, "a number is expected, not 'nan'", id="no number"),
    pytest.param("inf", lambda n: n.number(0.5), 0.5, "a number is expected, not 'inf'", id="endless number"),
    pytest.param(
        "1_0", lambda n: n.number(0.5), 0.5, "a number is expected, not '1_0'", id="number with underscores"
    ),
    pytest.param("yes", lambda n: n.boolean(), False, "true or false is expected, not 'yes'", id="boolean"),
    pytest.param(
        "5 m",
        lambda n: n.duration(timedelta(3)),
        timedelta(3),
        "not a duration: '5 m'; write it like 30s, 5m or 1h30m",
        id="duration",
    ),
    pytest.param(
        "[a]",
        lambda n: n.text("x"),
        "x",
        "a single value is expected here, not a list or mapping",
        id="list for text",
    ),
    pytest.param(
        "{a: b}",
        lambda n: n.integer(7),
        7,
        "a single value is expected here, not a list or mapping",
        id="mapping for integer",
    ),
    pytest.param(
        "[a]",
        lambda n: n.number(7),
        7,
        "a single value is expected here, not a list or mapping",
        id="list for number",
    ),
    pytest.param(
        "[a]",
        lambda n: n.boolean(fallback=True),
        True,
        "a single value is expected here, not a list or mapping",
        id="list for boolean",
    ),
    pytest.param(
        "[a]",
        lambda n: n.duration(timedelta(3)),
        timedelta(3),
        "a single value is expected here, not a list or mapping",
        id="list for duration",
    ),
    pytest.param(
        "a", lambda n: n.mapping(), {}, "a mapping (key: value lines) is expected here", id="mapping"
    ),
    pytest.param(
        "a", lambda n: n.sequence(), [], 'a list (lines that start with "- ") is expected here', id="list"
    ),
]


@pytest.mark.parametrize(("text", "get", "fallback", "problem"), MISTAKES)
def test_mistakes(text, get, fallback, problem):
    """A value of the wrong kind is noted once, at its place, and the fallback is returned."""
    node = root(f"key: {text}").mapping()["key"]
    assert get(node) == fallback
    assert told(node) == [f"f.yml:1:6: key: {problem}"]


KEYS = [
    pytest.param("reciever: x", "reciever: unknown key, did you mean receiver?", id="a near key is proposed"),
    pytest.param("zzz: x", "zzz: unknown key; known here: group_by, receiver", id="else all keys are listed"),
    pytest.param(
        "receiver: a\nreceiver: b",
        "receiver: this key stands twice in the same mapping; remove one",
        id="twice",
    ),
    pytest.param("[a]: x", "a key must be plain text", id="a list as a key"),
    pytest.param("'': x", "a key must be plain text", id="an empty key"),
]


@pytest.mark.parametrize(("text", "problem"), KEYS)
def test_keys(text, problem):
    """The problem stands at the key, not at its value, and the key is left out."""
    node = root(text)
    assert set(node.mapping(("receiver", "group_by"))) <= {"receiver"}
    (found,) = told(node)
    line = text.count("\n") + 1
    assert found == f"f.yml:{line}:1: {problem}"


def test_the_first_of_two_equal_keys_stays():
    """Until the second is removed, nobody knows which was meant; the file is refused either way."""
    assert root("a: 1\na: 2").mapping()["a"].text() == "1"


def test_an_unknown_key_where_none_is_known():
    """There is nothing to propose."""
    node = root("a: 1")
    assert node.mapping(()) == {}
    assert told(node) == ["f.yml:1:1: a: unknown key"]


def test_all_problems_are_told_at_once():
    """Finishing a document raises everything noted, in order; a sound one raises nothing."""
    node = root("a: x\nb: y")
    node.document.finish()
    for child in node.mapping().values():
        child.integer()
    with pytest.raises(ConfigError) as caught:
        node.document.finish()
    assert str(caught.value).splitlines() == [
        "f.yml:1:4: a: a whole number is expected, not 'x'",
        "f.yml:2:4: b: a whole number is expected, not 'y'",
    ]


def test_a_missing_key_is_noted_at_its_parent():
    """With the parent's place and path."""
    node = root("outer:\n  inner: 1").mapping()["outer"]
    found = node.mapping()
    assert require(found, "inner", node) is found["inner"]
    assert require(found, "name", node) is None
    assert told(node) == ["f.yml:2:3: outer: key name is missing"]


MERGES = [
    pytest.param("a: &x {p: 1, q: 2}\nb: {<<: *x, r: 3}", {"p": "1", "q": "2", "r": "3"}, id="merged"),
    pytest.param("a: &x {p: 1, q: 2}\nb: {<<: *x, p: 9}", {"p": "9", "q": "2"}, id="own keys win"),
    pytest.param(
        "a: &x {p: 1, q: 2}\nb: {p: 9, <<: *x}", {"p": "9", "q": "2"}, id="own keys win wherever they stand"
    ),
    pytest.param(
        "a: &x {p: 1}\nc: &y {p: 2, q: 2}\nb: {<<: [*x, *y]}",
        {"p": "1", "q": "2"},
        id="of several the first wins",
    ),
    pytest.param(
        "c: &y {q: 2}\na: &x {<<: *y, p: 1}\nb: {<<: *x}",
        {"p": "1", "q": "2"},
        id="merged from what was merged",
    ),
    pytest.param("a: &x {p: 1}\nb: *x", {"p": "1"}, id="an alias alone"),
]


@pytest.mark.parametrize(("text", "expected"), MERGES)
def test_merges(text, expected):
    """As YAML 1.1 has it, and as Prometheus reads it."""
    node = root(text)
    assert node.mapping()["b"].texts() == expected
    assert told(node) == []


BROKEN = [
    pytest.param("a: [b", 2, id="a list that is not closed, found at the end"),
    pytest.param("a: b: c", 1, id="two colons"),
    pytest.param("a:\n\t- b", 2, id="a tab"),
    pytest.param("a: *x", 1, id="an alias to nothing"),
    pytest.param("a: \x07", 1, id="a control character"),
]


@pytest.mark.parametrize(("text", "line"), BROKEN)
def test_broken_yaml(text, line):
    """One problem on one line, with the place YAML names."""
    (problem,) = refused(text)
    assert problem.startswith(f"f.yml:{line}:"), problem
    assert ": not valid YAML: " in problem
    assert "\n" not in problem


def test_yaml_nested_beyond_reason_is_refused():
    """Before it costs memory: PyYAML itself would recurse, and a merge chain with it."""
    assert root("[" * 100 + "]" * 100)
    assert refused("\n" + "[" * 101 + "]" * 101) == ["f.yml:2:1: nested deeper than 100 levels"]


def test_only_the_first_document_is_used():
    """The number of documents is known, so that a caller can warn."""
    document = parse("a: 1\n---\nb: 2\n", file="f.yml")
    assert document.documents == 2
    assert document.root is not None
    assert set(document.root.mapping()) == {"a"}


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n"])
def test_an_empty_text_has_no_problems(text):
    """It has no root, or one that is null."""
    document = parse(text, file="f.yml")
    assert document.root is None or document.root.is_null
    assert not document.problems


def test_kinds():
    """A caller may ask what stands there before it reads."""
    kinds = [(n.is_null, n.is_mapping, n.is_scalar) for n in root("[~, {}, x, []]").sequence()]
    assert kinds == [(True, False, True), (False, True, False), (False, False, True), (False, False, False)]


class TestFiles:
    """Reading from disk."""

    def test_a_file(self, tmp_path):
        """Named by its path, or by what the caller calls it."""
        path = tmp_path / "f.yml"
        path.write_text("a: ünï\n", encoding="utf-8")
        document = load(path)
        assert document.file == str(path)
        assert document.root is not None
        assert document.root.mapping()["a"].text() == "ünï"
        assert load(path, shown_as="other.yml").file == "other.yml"

    def test_a_missing_file(self, tmp_path):
        """The path is what to check."""
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "f.yml", shown_as="f.yml")
        assert caught.value.problems == (
            Problem(file="f.yml", line=1, column=1, key="", text="no such file; check the path"),
        )

    def test_a_folder(self, tmp_path):
        """The system's own words."""
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, shown_as="f.yml")
        assert str(caught.value) == f"f.yml:1:1: cannot be read: {os.strerror(21)}"

    def test_not_utf_8(self, tmp_path):
        """The byte where it ends to be text."""
        path = tmp_path / "f.yml"
        path.write_bytes(b"a: \xff\n")
        with pytest.raises(ConfigError) as caught:
            load(path, shown_as="f.yml")
        assert str(caught.value) == "f.yml:1:1: not UTF-8 text (byte 3)"

    def test_a_byte_order_mark(self, tmp_path):
        """Some editors write one; it is no part of the first key."""
        path = tmp_path / "f.yml"
        path.write_bytes(b"\xef\xbb\xbfa: 1\n")
        document = load(path)
        assert document.root is not None
        assert set(document.root.mapping(("a",))) == {"a"}
        assert not document.problems


@given(st.text(max_size=60))
def test_law_any_text_is_read_or_refused(text):
    """Nothing but ConfigError comes out, and its message is one line per problem."""
    problems: list[Problem] = []
    try:
        document = parse(text, file="f.yml")
    except ConfigError as exc:
        problems.extend(exc.problems)
    else:
        if document.root is not None:
            _visit(document.root)
        problems.extend(document.problems)
    assert all(len(str(problem).splitlines()) == 1 for problem in problems)


def _visit(node: Node) -> None:
    if node.is_mapping:
        for child in node.mapping().values():
            _visit(child)
    elif node.is_scalar:
        for get in (node.text, node.integer, node.number, node.boolean, node.duration):
            get()
    else:
        for child in node.sequence():
            _visit(child)
