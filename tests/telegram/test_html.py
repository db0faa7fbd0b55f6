"""Telegram's HTML, held against the stand-in's own parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.telegram import html
from tests.telegram_api.entities import parse, utf16

ANY_TEXT = st.text(st.characters() | st.sampled_from("<>&\"'`\n\t\0\u202e\u200d\ud800🇩🇪👍🏽e\u0301"))


@given(ANY_TEXT)
def test_escaped_text_is_read_back_as_it_was(text):
    """Whatever is escaped stands between tags and in an attribute, and people see the cleaned text."""
    shown, entities = parse(f'<b>{html.escape(text)}</b><a href="{html.escape(text)}">x</a>')
    assert shown == html.clean(text) + "x"
    assert {entity.type for entity in entities} <= {"bold", "text_link"}


@given(ANY_TEXT)
def test_clean_text_can_be_encoded_and_hides_nothing(text):
    """No control characters but newline and tab, no direction overrides, no halves of characters."""
    cleaned = html.clean(text)
    cleaned.encode()
    assert not set(cleaned) & set("\0\r\x1b\u202e\u2066\u200b\ufeff\ud800")
    assert html.clean(cleaned) == cleaned


@given(ANY_TEXT, st.integers(0, 60))
def test_a_clipped_text_fits_and_says_what_is_missing(text, budget):
    """Short texts stay; long ones keep a beginning and end with the number of missing characters."""
    clipped = html.clip(text, budget)
    if html.utf16_length(text) <= budget:
        assert clipped == text
        return
    kept, _, missing = clipped.rpartition("… (+")
    assert text.startswith(kept)
    assert int(missing.removesuffix(" chars)")) == len(text) - len(kept)
    assert not kept or html.utf16_length(clipped) <= budget


@pytest.mark.parametrize(
    ("text", "budget", "expected"),
    [
        pytest.param("one two", 7, "one two", id="fits"),
        pytest.param("aaaaaaaaaa\nbbbbbbbbbb\ncccc", 25, "aaaaaaaaaa… (+16 chars)", id="at-a-line"),
        pytest.param("x" * 40, 20, "xxxxxxx… (+33 chars)", id="no-line-near"),
        pytest.param("ab" + "👍🏽" * 20, 20, "ab👍🏽… (+38 chars)", id="skin-tone-stays"),
        pytest.param("a" + "🇩🇪" * 20, 21, "a🇩🇪… (+38 chars)", id="flag-stays-whole"),
        pytest.param("abcdee\u0301" + "z" * 40, 19, "abcde… (+42 chars)", id="accent-stays"),
        pytest.param("ab❤\ufe0f" + "z" * 40, 16, "ab… (+42 chars)", id="variation-stays"),
        pytest.param("a👩\u200d🚀" + "z" * 40, 17, "a… (+43 chars)", id="joined-emoji-stays"),
        pytest.param("x" * 40, 3, "… (+40 chars)", id="no-room-at-all"),
    ],
)
def test_clip(text, budget, expected):
    """Cuts where a person would."""
    assert html.clip(text, budget) == expected


@given(ANY_TEXT)
def test_visible_length_is_what_the_server_counts(text):
    """The length measured is that of the text people will see."""
    markup = f"<b>{html.escape(text)}</b>\n<i>&#x27;&lt;&unknown;</i>"
    shown, _ = parse(markup)
    assert html.visible_length(markup) == utf16(shown.strip())


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        pytest.param("<b>a</b> &lt;b&gt; &amp;amp;", "a <b> &amp;", id="references-once"),
        pytest.param(
            '<a href="https://x.org/?a=1&amp;b=2">Runbook</a>', "Runbook (https://x.org/?a=1&b=2)", id="link"
        ),
        pytest.param('<a href="https://x.org">https://x.org</a>', "https://x.org", id="link-says-itself"),
        pytest.param("<a>bare</a>", "bare", id="link-without-address"),
        pytest.param(
            "Log\n<blockquote expandable>one\ntwo</blockquote>end", "Log\n│ one\n│ twoend", id="quote"
        ),
        pytest.param('<pre><code class="language-sh">x &lt; y</code></pre>', "x < y", id="code"),
        pytest.param("a &#39;b&#x27; &nbsp;", "a 'b' &nbsp;", id="only-known-references"),
        pytest.param("5 < 6", "5 < 6", id="not-a-tag"),
        pytest.param("</a></blockquote>x", "x", id="closing-only"),
    ],
)
def test_to_plain(markup, plain):
    """Plain text reads as well as the HTML."""
    assert html.to_plain(markup) == plain


@pytest.mark.parametrize(
    ("markup", "fits"),
    [
        pytest.param("x" * 4000, True, id="4000-letters"),
        pytest.param("x" * 4001, False, id="4001-letters"),
        pytest.param("😀" * 2001, False, id="emoji-count-twice"),
        pytest.param("<b></b>" * 4400, False, id="markup-too-heavy"),
    ],
)
def test_fits(markup, fits):
    """Text and markup each have their budget."""
    assert html.fits(markup) is fits


@pytest.mark.parametrize("code", ["&#0;", "&#x110000;", "&#xd800;", "&nbsp;"])
def test_references_telegram_does_not_know_stay(code):
    """They are shown as they are written, there as here."""
    assert html.unescape(code) == code
