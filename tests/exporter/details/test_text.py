"""What is left of what a program printed."""

import pytest

from exporter.details.text import clean, clean_block, clip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("  at main.py:3", "  at main.py:3", id="indented"),
        pytest.param("a\tb", "a\tb", id="tab stays"),
        pytest.param("line\r\n", "line", id="a terminal's line end"),
        pytest.param("10%\r50%\r100%", "100%", id="written over"),
        pytest.param("\x1b[31;1mERROR\x1b[0m boom", "ERROR boom", id="colours"),
        pytest.param("\x1b[2K\x1b[1Gdone", "done", id="cursor"),
        pytest.param("\x9b31mred", "red", id="one-byte introducer"),
        pytest.param("\x1b]0;title\x07text", "text", id="window title"),
        pytest.param("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", id="link"),
        pytest.param("\x1b]0;no end, text", "0;no end, text", id="a title without its end hides nothing"),
        pytest.param("\x1b(Bx\x1b=y", "xy", id="other escapes"),
        pytest.param("pass\x1b[0mword=x", "password=x", id="a word in two colours"),
        pytest.param("a\x00b\x07c\x7fd\x85e", "abcde", id="control characters"),
        pytest.param("a\u202eb\u2066c\u200bd\ufeff", "abcd", id="what turns round or hides text"),
        pytest.param("a\u2028b", "a b", id="line separator"),
        pytest.param("a\ud800b", "a?b", id="half a surrogate pair"),
        pytest.param("семь 👀", "семь 👀", id="beyond ASCII"),
        pytest.param("\x1b", "", id="an escape alone"),
    ],
)
def test_clean(line, expected):
    """A person's eyes and a message's form are safe from it."""
    assert clean(line) == expected


def test_clean_block():
    """Lines stay lines; empty ones around them go."""
    assert clean_block("\n\x1b[1mone\x1b[0m  \r\n\ntwo\n\n") == "one\n\ntwo"


@pytest.mark.parametrize(
    ("text", "expected"),
    [pytest.param("abcd", "abcd", id="fits"), pytest.param("abcde", "abc…", id="too long")],
)
def test_clip(text, expected):
    """No longer than told, ellipsis counted."""
    assert clip(text, 4) == expected
