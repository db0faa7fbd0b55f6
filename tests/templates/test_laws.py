"""What holds for every template, whatever is written in it."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerting.templates import StringMap, Template, TemplateError, parse_alert_template, render_alert_template
from alerting.templates.floats import format_float
from alerting.templates.literals import parse_float, quote, unquote

NO_DEADLINE = settings(deadline=None)  # how long a rendering may take is the business of test_limits.py
WORDS = """
    {{ }} {{- -}} if else end range with define template block break continue nil true . .Labels .Value $ $x
    $labels.a $value := = , | ( ) 1 1.5 -1 'a' "n" `r` "%v" "(" print printf len index slice eq lt and or not html
    js urlquery query first value label sortByLabel args tmpl humanize humanizeDuration humanizeTimestamp toTime
    toDuration title match reReplaceAll stripDomain parseDuration é @ {{end}} {{else}} {{range}}
"""
PIECES = st.sampled_from(
    [
        *WORDS.split(),
        " ",
        "\n",
        "\0",
        "\ud800",
        "{{if 1}}",
        "{{range 3}}",
        "{{range $x := $labels}}",
        "{{with .}}",
        '{{define "n"}}',
        '{{template "n" .}}',
        "{{$x := 1}}",
        "{{$x}}",
        "{{/* c */}}",
        '(query "up")',
    ]
)
SOUP = st.lists(PIECES, max_size=25).map("".join)
ANY_TEXT = st.text(st.characters(), max_size=40)


@NO_DEADLINE
@given(ANY_TEXT | SOUP | SOUP.map("{{{{{}}}}}".format))
@example("{{" + "9" * 5000 + "}}")
@example('{{"\ud800" | printf "%q %x"}}')
@example('{{reReplaceAll "\ud800" "$1" "\ud800"}}')
@example("{{(toTime 9223372036).Year}}")
def test_nothing_but_template_errors(context, text):
    """Any text is rendered or refused with a TemplateError; what is written is always valid Unicode."""
    with contextlib.suppress(TemplateError):
        render_alert_template(parse_alert_template(text, name="t"), context).encode()


@NO_DEADLINE
@given(st.text(max_size=60).filter(lambda text: "{{" not in text))
def test_text_without_actions_is_itself(expand_alert, text):
    """Braces are the only special thing in a template."""
    assert expand_alert(text) == text


@NO_DEADLINE
@given(st.text(max_size=60))
def test_a_quoted_string_stands_for_itself(expand_alert, text):
    """What %q writes is a constant that means the same string, in ASCII or not."""
    assert unquote(quote(text)) == text
    assert unquote(quote(text, ascii_only=True)) == text
    assert expand_alert(f"{{{{{quote(text)}}}}}") == text


@NO_DEADLINE
@given(st.binary(max_size=30))
def test_bytes_survive_quoting(raw):
    """A string of any bytes comes back from its constant."""
    text = raw.decode("utf-8", "surrogateescape")
    assert unquote(quote(text)) == text


@NO_DEADLINE
@given(st.floats())
def test_a_float_reads_back(value):
    """The shortest form, the hexadecimal form and the e form name exactly the same number."""
    for verb in "gexf":
        if math.isfinite(value):
            assert parse_float(format_float(value, verb, None)).hex() == value.hex()


@NO_DEADLINE
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 20))
def test_hexadecimal_rounding_is_to_the_nearest(value, precision):
    """A hexadecimal form with fewer digits is off by at most half of its last digit."""
    written = parse_float(format_float(value, "x", precision)) if abs(value) < 1e308 else value
    exponent = math.frexp(value)[1] - 1
    assert abs(written - value) <= math.ldexp(0.5, max(exponent - 4 * precision, -1100)) or value == 0


@NO_DEADLINE
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=6), st.randoms())
def test_maps_are_written_in_order_of_their_keys(labels, random):
    """The order in which labels were added shows nowhere."""
    shuffled = list(labels.items())
    random.shuffle(shuffled)
    template = Template.parse("{{.}}{{range $k, $v := .}}{{$k}}{{$v}}{{end}}", name="t", functions=())
    written = template.render(StringMap(labels), functions={})
    assert template.render(StringMap(shuffled), functions={}) == written
    assert written == (
        f"map[{' '.join(f'{k}:{v}' for k, v in sorted(labels.items()))}]"
        + "".join(k + v for k, v in sorted(labels.items()))
    )


@NO_DEADLINE
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_comparisons_agree_with_each_other(first, second):
    """Exactly one of less, equal and greater holds; the others follow from these three."""
    names = ("lt", "eq", "gt", "le", "ne", "ge")
    text = " ".join(f"{{{{{name} {first} {second}}}}}" for name in names)
    less, equal, greater, at_most, unequal, at_least = (
        word == "true"
        for word in Template.parse(text, name="t", functions=()).render(None, functions={}).split()
    )
    assert (less, equal, greater).count(True) == 1
    assert (at_most, unequal, at_least) == (less or equal, not equal, greater or equal)


@pytest.mark.parametrize(
    "data", [1, "text", None, [1], {"a": 1}, 1.5, True, object(), (1, 2), range(2), {1: 2}]
)
def test_any_data_can_be_shown(data):
    """Data of any kind is written, ranged over or refused; it never breaks the interpreter."""
    for text in (
        "{{.}}",
        "{{.a.b}}",
        "{{range .}}{{.}}{{end}}",
        "{{len .}}",
        "{{index . 0}}",
        "{{eq . .}}",
        "{{lt . 1}}",
    ):
        with contextlib.suppress(TemplateError):
            assert isinstance(Template.parse(text, name="t", functions=()).render(data, functions={}), str)
