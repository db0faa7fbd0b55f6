"""What the demo draws: every line has the width it should, whatever a message holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.phone import INDENT, WIDTH, Bubble, Paint, clip, columns, draw, wrap

PLAIN = Paint(on=False)
COLOURED = Paint(on=True)
# What messages are made of: letters of several scripts, wide signs, emoji of one and of several code points.
TEXTS = st.lists(
    st.sampled_from(
        ["a", "ö", "и", "好", "🔴", "❔", "⚠\ufe0f", "👩\u200d🚒", "e\u0301", "…", " ", " ", "\n"]
    ),
    max_size=200,
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("shop/web", 8, id="ascii"),
        pytest.param("упала", 5, id="cyrillic"),
        pytest.param("— · … –", 7, id="punctuation"),
        pytest.param("🔴", 2, id="an emoji"),
        pytest.param("✅➖❔", 6, id="older emoji"),
        pytest.param("⚠", 1, id="a narrow sign"),
        pytest.param("⚠\ufe0f", 2, id="the same sign shown as an emoji"),
        pytest.param("🔴\ufe0f", 2, id="an emoji that asks for what it is"),
        pytest.param("👩\u200d🚒", 2, id="two emoji joined to one"),
        pytest.param("好了", 4, id="east asian wide"),
        pytest.param("e\u0301", 1, id="a letter with its accent apart"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_columns(text, expected):
    """A text takes as many columns as a terminal gives it."""
    assert columns(text) == expected


@given(text=TEXTS, width=st.integers(2, 60))
def test_wrapping_fits_and_loses_nothing(text, width):
    """No line is wider than allowed, and only spaces are lost."""
    lines = wrap(text.replace("\n", " "), width)
    assert max(map(columns, lines)) <= width
    assert "".join(lines).replace(" ", "") == re.sub(r"\s", "", text)


@given(text=TEXTS, width=st.integers(1, 60))
def test_clipping_fits(text, width):
    """A clipped text fits; one that fitted is unchanged."""
    assert columns(clip(text, width)) <= width
    assert columns(text) > width or clip(text, width) == text


@given(text=TEXTS, answers=TEXTS, edit=st.booleans(), silent=st.booleans())
def test_every_line_of_a_bubble_is_as_wide(text, answers, edit, silent):
    """The right edge is straight, whatever is inside."""
    answers = answers.replace("\n", " ")
    bubble = Bubble(
        text=text, clock="14:02:31", edit=edit, silent=silent, answers=answers, aside="0.41 s later"
    )
    assert {columns(line) for line in draw(bubble, PLAIN)} == {INDENT + WIDTH}


@given(text=TEXTS)
def test_colours_change_no_sign(text):
    """Without its colours a drawing is the one drawn without them."""
    bubble = Bubble(text=text, clock="14:02:31", answers="🔴 shop/api is unhealthy", aside="0.41 s later")
    coloured = "\n".join(draw(bubble, COLOURED))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == "\n".join(draw(bubble, PLAIN))


def test_a_silent_reply():
    """A reply quotes what it answers and says that it made no sound."""
    bubble = Bubble(
        text="✅ shop/api is healthy again — 2 s",
        clock="14:02:33",
        silent=True,
        answers="🔴 shop/api is unhealthy — its health check fails, and fails",
        aside="0.03 s later",
    )
    assert "\n".join(draw(bubble, PLAIN)) == (
        "                    ╭────────────────────────────────────────────────────────╮\n"
        "      0.03 s later  │ ┃ 🔴 shop/api is unhealthy — its health check fails,…  │\n"
        "                    │ ✅ shop/api is healthy again — 2 s                     │\n"
        "                    │                                    🔕 silent  14:02:33 │\n"
        "                    ╰────────────────────────────────────────────────────────╯"
    )


def test_an_edit():
    """An edit has a frame of its own and the time it was made; it makes no sound, so it does not speak of one."""
    lines = draw(Bubble(text="✅ shop/web is back", clock="14:02:33", edit=True, silent=True), PLAIN)
    assert lines[-2].endswith("edited 14:02:33 │")
    assert "┄" in lines[0]
    assert "🔕" not in "".join(lines)
