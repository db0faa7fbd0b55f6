"""Numbers out of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cgroups.fields import Fields, limit, number

_NAMES = st.text("abcdefghij_", min_size=1, max_size=6)
_FILES = st.dictionaries(_NAMES, st.integers(0, 2**64 - 1), max_size=12)


@given(
    files=st.lists(_FILES, min_size=1, max_size=6),
    names=st.lists(_NAMES, min_size=2, max_size=6, unique=True),
)
def test_fields_are_those_of_a_dict(files, names):
    """Whatever was read before, the numbers are the ones that stand beside the names."""
    fields = Fields(*names)
    for each in files:
        text = "".join(f"{name} {value}\n" for name, value in each.items()).encode()
        assert fields.read(text) == [each.get(name) for name in names]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "no line user", id="empty"),
        pytest.param(b"users 1\nsystem 2\n", "no line user", id="another name"),
        pytest.param(b"user 1\nsystem 2\nwhat?\n", "a line is not a name and a number", id="a word too many"),
        pytest.param(
            b"user x\nsystem 2\n", "invalid literal for int() with base 10: b'x'", id="not a number"
        ),
        pytest.param(b"user 18446744073709551616\nsystem 2\n", "a number beyond 64 bits", id="too large"),
    ],
)
def test_fields_that_are_wrong(text, message):
    """The message says what is wrong, before and after the places were learned."""
    fields = Fields("user", "system", required=2)
    for _ in range(2):
        with pytest.raises(ValueError) as caught:
            fields.read(text)
        assert str(caught.value) == message
        assert fields.read(b"user 1\nsystem 2\n") == [1, 2]


def test_negative_values_are_0():
    """As cAdvisor reads them; the kernel's counters can lag behind each other."""
    assert Fields("a", "b", "c").read(b"a -5\nc 3\n") == [0, None, 3]
    assert number(b"-1\n") == 0


def test_a_name_twice():
    """The first counts."""
    assert Fields("a", "b").read(b"a 1\nb 2\na 3\n") == [1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"max\n", 0), (b"0\n", 0), (b"4096\n", 4096), (b"9223372036854771712\n", 0), (b"-1\n", 0)],
)
def test_limits(text, expected):
    """0 is what cAdvisor calls unlimited."""
    assert limit(text) == expected
