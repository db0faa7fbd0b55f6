"""From the daemon's bytes to lines fit to be shown."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.details.logs import Line, asked_for, excerpt, lines_of, to_json
from exporter.details.text import ELLIPSIS

STAMP = b"2026-09-21T14:13:20.123456789Z"
AT = "2026-09-21T14:13:20.123456Z"


def frame(text, stream=1, stamp=STAMP):
    """Return one message as the daemon frames it."""
    message = stamp + b" " + text
    return struct.pack(">BxxxL", stream, len(message)) + message


def line(text, stream="stdout", at=AT):
    """Return a line."""
    return Line(at=at, stream=stream, text=text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"", (), id="nothing"),
        pytest.param(frame(b"one\n") + frame(b"two\n", 2), (line("one\n"), line("two\n", "stderr")), id="both streams"),
        pytest.param(frame(b"last"), (line("last"),), id="no newline at the end"),
        pytest.param(frame(b"aa") + frame(b"bb") + frame(b"cc\n"), (line("aabbcc\n"),), id="a long line in pieces"),
        pytest.param(
            frame(b"aa") + frame(b"err\n", 2) + frame(b"bb\n"),
            (line("err\n", "stderr"), line("aabb\n")),
            id="pieces with the other stream between them",
        ),
        pytest.param(frame(b"one\n") + frame(b"two\n")[:30], (line("one\n"), line("2026-09-21T14:13:20.12", at=None)), id="cut in a frame"),
        pytest.param(frame(b"one\n") + b"\x01\0\0", (line("one\n"),), id="cut in a header"),
        pytest.param(frame(b"broken", 3), (line("broken", "stderr"),), id="the daemon's own trouble"),
        pytest.param(frame(b"\xff\xfe ok\n"), (line("\ufffd\ufffd ok\n"),), id="no UTF-8"),
        pytest.param(frame("сем".encode()[:3]) + frame("сем".encode()[3:] + b"\n"), (line("сем\n"),), id="a letter in two pieces"),
        pytest.param(STAMP + b" one\r\n" + STAMP + b" two\r\n", (line("one\r\n", None), line("two\r\n", None)), id="a terminal"),
        pytest.param(b"one line\n", (line("one line\n", None, None),), id="no time"),
        pytest.param(frame(b"x\n", stamp=b"2026-09-21T16:13:20.5+02:00"), (line("x\n", at="2026-09-21T14:13:20.500000Z"),), id="another zone"),
        pytest.param(frame(b"x\n", stamp=b"yesterday-at-about-noon-or-so"), (line("yesterday-at-about-noon-or-so x\n", at=None),), id="not a time"),
        pytest.param(frame(b"\n"), (line("\n"),), id="an empty line"),
    ],
)  # fmt: skip
def test_lines_of(raw, expected):
    """Frames or a terminal's text, times apart from the text."""
    assert lines_of(raw) == expected


@given(st.binary(max_size=200))
def test_no_bytes_break_it(raw):
    """Whatever comes, lines come out."""
    for framed in (raw, b"\x01\0\0\0" + raw):
        assert all(isinstance(one.text, str) for one in lines_of(framed))


def test_newest_lines():
    """As many as asked for, oldest first."""
    found = excerpt([line(str(number)) for number in range(20)], tail=3, most_bytes=10000)
    assert [one.text for one in found.lines] == ["17", "18", "19"]
    assert (found.masked, found.truncated) == (0, False)


def test_no_lines():
    """A container that printed nothing."""
    assert excerpt([], tail=12, most_bytes=10000).lines == ()


def test_cleaned_and_masked():
    """Colours cannot hide a secret, and a key block is one across lines and streams."""
    found = excerpt(
        [
            line("pass\x1b[1mword=x1 y\r\n"),
            line("-----BEGIN PRIVATE KEY-----\n"),
            line("MIIEabcdefghijklmnop\n"),
            line("note\n", "stderr"),
            line("-----END PRIVATE KEY-----\n"),
            line("after\n"),
        ],
        tail=12,
        most_bytes=10000,
    )
    assert [one.text for one in found.lines] == [
        "password=*** y",
        "-----BEGIN PRIVATE KEY-----",
        "***",
        "***",
        "***",
        "after",
    ]
    assert found.masked == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("x" * 1000, "x" * 1000, id="just fits"),
        pytest.param("x" * 1001, "x" * 999 + ELLIPSIS, id="too long"),
        pytest.param("ab " * 3000, "ab " * 333 + ELLIPSIS, id="much too long"),
        pytest.param("password=" + "x" * 5000 + " end", "password=***" + ELLIPSIS, id="a secret longer than is looked at"),
        pytest.param("x" * 4000 + " postgres://u:" + "p" * 200 + "@h", "x" * 999 + ELLIPSIS, id="a secret where the look ends"),
        pytest.param("password=" + "x" * 3500 + " y postgres://u:" + "p" * 2000 + "@h", "password=*** y" + ELLIPSIS, id="no half of a value is shown"),
    ],
)  # fmt: skip
def test_long_lines(text, shown):
    """Cut to what a person reads, after masking."""
    found = excerpt([line(text)], tail=1, most_bytes=100000)
    assert found.lines[0].text == shown
    assert found.truncated is (len(text) > 1000)


def test_most_bytes():
    """The newest lines that fit; one that does not is left out whole."""
    lines = [line(f"{number:04} " + "ы" * 400) for number in range(100)]
    found = excerpt(lines, tail=100, most_bytes=10000)
    written = json.dumps([to_json(one) for one in found.lines], ensure_ascii=False).encode()
    assert len(written) <= 10000 < len(written) + 900
    assert found.lines[-1].text.startswith("0099")
    assert found.truncated
    assert excerpt(lines, tail=100, most_bytes=10).lines == ()


LATER = b"2026-09-21T14:13:21Z"


@pytest.mark.parametrize(
    ("raw", "tail", "shown"),
    [
        pytest.param(frame(b"cret end\n") + frame(b"one\n") + frame(b"two\n"), 2, ["one", "two"], id="the end of a line, before what is wanted"),
        pytest.param(frame(b"cr") + frame(b"et end\n") + frame(b"two\n"), 2, [ELLIPSIS, "two"], id="the end of a line in pieces"),
        pytest.param(frame(b"cr") + frame(b"et") + frame(b"end"), 2, [ELLIPSIS], id="the middle of a line"),
        pytest.param(frame(b"one\n") + frame(b"tw") + frame(b"o\n"), 2, [ELLIPSIS, "two"], id="a long line that is there as a whole"),
        pytest.param(frame(b"one\n") + frame(b"two\n"), 2, ["one", "two"], id="all there is"),
        pytest.param(
            frame(b"one\n") + frame(b"end\n", 2) + frame(b"two\n") + frame(b"err\n", 2),
            3,
            [ELLIPSIS, "two", "err"],
            id="the end of the other stream's line, as old",
        ),
        pytest.param(
            frame(b"one\n") + frame(b"err\n", 2, LATER) + frame(b"two\n"),
            2,
            ["err", "two"],
            id="the other stream's first line, newer",
        ),
        pytest.param(
            STAMP + b" " + b"x" * 16384 + STAMP + b" cret\r\n" + STAMP + b" two\r\n", 2, [ELLIPSIS, "two"], id="a terminal's line in pieces"
        ),
        pytest.param(STAMP + b" cret\r\n" + STAMP + b" one\r\n" + STAMP + b" two\r\n", 2, ["one", "two"], id="a terminal"),
        pytest.param(STAMP + b" one\r\n" + STAMP + b" two\r\n", 2, ["one", "two"], id="all of a terminal"),
        pytest.param(b"cret\none\n", 1, ["one"], id="no times"),
        pytest.param(b"", 1, [], id="nothing"),
    ],
)  # fmt: skip
def test_the_end_of_a_line(raw, tail, shown):
    """What may be the end of a line is not shown: a name before it would have told that it is a secret. It says that something is missing."""
    found = excerpt(lines_of(raw, asked=asked_for(tail)), tail=tail, most_bytes=10000)
    assert [one.text for one in found.lines] == shown
    assert found.truncated is (ELLIPSIS in shown)
