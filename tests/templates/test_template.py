"""The language as other rooms use it: functions, structs with methods, libraries."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.templates import (
    Duration,
    Function,
    FunctionError,
    Runtime,
    StringMap,
    Struct,
    Template,
    TemplateExecutionError,
    TemplateSyntaxError,
    Time,
)


def _repeat(text: str, count: int) -> str:
    return text * count


def _half(value: float) -> float:
    return value / 2


def _no(flag: bool) -> bool:  # noqa: FBT001  # a template passes by place
    return not flag


def _join(separator: str, *parts: object) -> str:
    return separator.join(map(str, parts))


def _shout(runtime: Runtime, name: str) -> str:
    return runtime.invoke(name, "x").upper()


def _fails(value: object) -> str:
    raise FunctionError(f"no {value}")


def _breaks() -> str:
    raise KeyError("inside")


FUNCTIONS = {
    "repeat": _repeat,
    "half": _half,
    "no": _no,
    "join": _join,
    "shout": _shout,
    "fails": _fails,
    "breaks": _breaks,
    "given": Function(lambda text: f"<{text}>", (str,)),
}


def _render(text, data=None):
    return Template.parse(text, name="t", functions=FUNCTIONS).render(data, functions=FUNCTIONS)


def _reason(text, data=None):
    with pytest.raises(TemplateExecutionError) as caught:
        _render(text, data)
    return caught.value.reason.partition(">: ")[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{{repeat "ab" 2}}', "abab", id="string and int"),
        pytest.param("{{half 5}}", "2.5", id="an int constant serves as a float"),
        pytest.param('{{repeat "a" 2.0}}', "aa", id="a whole float constant serves as an int"),
        pytest.param("{{no true}}", "false", id="bool"),
        pytest.param('{{join "-"}}|{{join "-" 1 "b"}}', "|1-b", id="variadic"),
        pytest.param('{{"b" | join "-" "a"}}', "a-b", id="the piped value comes last"),
        pytest.param('{{define "d"}}{{.}}y{{end}}{{shout "d"}}', "XY", id="a function renders a definition"),
        pytest.param('{{given "a"}}', "<a>", id="described by hand"),
    ],
)
def test_functions_take_what_their_annotations_say(text, expected):
    """Arguments arrive typed, constants in the type that is asked for."""
    assert _render(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{{repeat 1 2}}", "expected string; found 1", id="constant for a string"),
        pytest.param('{{repeat "a" "b"}}', 'expected integer; found "b"', id="constant for an int"),
        pytest.param('{{repeat "a" 1.5}}', "expected integer; found 1.5", id="fraction for an int"),
        pytest.param('{{half "a"}}', 'expected float; found "a"', id="constant for a float"),
        pytest.param("{{no 1}}", "expected bool; found 1", id="constant for a bool"),
        pytest.param("{{half .}}", "wrong type for value; expected float64; got int", id="data for a float"),
        pytest.param(
            '{{repeat "a" (eq 1 1)}}', "wrong type for value; expected int; got bool", id="bool for an int"
        ),
        pytest.param(
            '{{repeat "a" (index "b" 0)}}',
            "wrong type for value; expected int; got uint8",
            id="byte for an int",
        ),
        pytest.param("{{. | given}}", "wrong type for value; expected string; got int", id="piped"),
        pytest.param("{{given nil}}", "cannot assign nil to string", id="nil"),
        pytest.param("{{given (index (print) 0)}}", "", id="a failing argument is blamed itself"),
        pytest.param("{{half}}", "wrong number of args for half: want 1 got 0", id="too few"),
        pytest.param("{{half 1 2}}", "wrong number of args for half: want 1 got 2", id="too many"),
        pytest.param(
            "{{join}}", "wrong number of args for join: want at least 1 got 0", id="too few, variadic"
        ),
        pytest.param("{{fails 1}}", "error calling fails: no 1", id="a refusal"),
        pytest.param("{{breaks}}", "error calling breaks: 'inside'", id="a fault inside the function"),
        pytest.param('{{shout "d"}}', 'template "d" not defined', id="a missing definition"),
    ],
)
def test_functions_refuse_the_rest(text, expected):
    """Every refusal is a template error in Go's words."""
    assert expected in _reason(text, 42)


def test_nil_is_refused_where_a_type_is_asked_for():
    """Data that is missing does not become an empty string on the way into a function."""
    assert _reason("{{given .}}", None) == "invalid value; expected string"


def test_a_described_function_is_still_a_function():
    """A table of functions may be called from Python as well."""
    assert FUNCTIONS["given"]("a") == "<a>"


def test_unknown_functions_are_syntax_errors():
    """A template may name only what it is given, also where it is never called."""
    with pytest.raises(TemplateSyntaxError, match='function "repeat" not defined'):
        Template.parse("{{if false}}{{repeat}}{{end}}", name="t", functions=())


def test_a_function_taken_away_after_parsing_is_an_error():
    """Rendering with fewer functions than were promised fails where one is called."""
    template = Template.parse("a{{half 1}}", name="t", functions=FUNCTIONS)
    with pytest.raises(TemplateExecutionError, match='"half" is not a defined function'):
        template.render(None, functions={})


def test_own_functions_come_before_gos():
    """A table may replace a function of the language."""
    functions = {"len": lambda value: f"my {value}", "and": lambda *values: len(values)}
    template = Template.parse("{{len 1}} {{and 0 0}}", name="t", functions=functions)
    assert template.render(None, functions=functions) == "my 1 2"


ALERT = Struct(
    type_name="template.Alert",
    fields={"Status": "firing", "Labels": StringMap({"a": "1"}), "Parent": None},
    methods={
        "Fired": lambda: True,
        "Other": lambda: Struct(type_name="template.Alert"),
        "Get": lambda name: f"<{name}>",
    },
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{{.Status}} {{.Labels.a}}", "firing 1", id="fields"),
        pytest.param("{{.Fired}}", "true", id="method without arguments"),
        pytest.param('{{.Get "x"}}{{"y" | .Get}}{{(.Get 1)}}', "<x><y><1>", id="method with arguments"),
        pytest.param("{{with $x := .}}{{$x.Get 5}}{{end}}", "<5>", id="method of a variable"),
        pytest.param("{{.}}", "{firing map[a:1] <nil>}", id="printed"),
        pytest.param(
            "{{printf `%+v` .}}", "{Status:firing Labels:map[a:1] Parent:<nil>}", id="printed with names"
        ),
        pytest.param(
            "{{printf `%#v` .}}",
            'template.Alert{Status:"firing", Labels:map[string]string{"a":"1"}, Parent:interface {}(nil)}',
            id="printed as Go",
        ),
        pytest.param("{{printf `%T` .}}", "template.Alert", id="type"),
        pytest.param("{{eq . .}}", "true", id="equal to itself"),
        pytest.param("{{eq . .Other}}", "false", id="not equal to one that looks the same"),
        pytest.param("{{if .}}yes{{end}}", "yes", id="always true"),
    ],
)
def test_structs_have_fields_and_methods(text, expected):
    """Message data is made of structs; their methods are called by name."""
    assert _render(text, ALERT) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{{.Nope}}", "can't evaluate field Nope in type template.Alert", id="unknown"),
        pytest.param(
            "{{.Status 1}}",
            "Status has arguments but cannot be invoked as function",
            id="field with arguments",
        ),
        pytest.param(
            "{{.Fired 1}}", "wrong number of args for Fired: want 0 got 1", id="method with too many"
        ),
        pytest.param("{{.Parent.Name}}", "nil pointer evaluating interface {}.Name", id="field of nil"),
        pytest.param("{{lt . .}}", "error calling lt: invalid type for comparison", id="not ordered"),
        pytest.param("{{range .}}{{end}}", "range can't iterate over {firing map[a:1] <nil>}", id="range"),
    ],
)
def test_structs_refuse_the_rest(text, expected):
    """Errors name the struct's Go type."""
    assert _reason(text, ALERT) == expected


def test_libraries_share_definitions():
    """Later libraries win over earlier ones, and the text's own definitions over both."""
    first = Template.parse('{{define "a"}}a1{{end}}{{define "b"}}b1{{end}}', name="1", functions=())
    second = Template.parse('{{define "b"}}b2{{end}}{{define "c"}}c2{{end}}', name="2", functions=())
    template = Template.parse(
        '{{template "a"}}{{template "b"}}{{template "c"}}{{define "c"}}own{{end}}',
        name="t",
        functions=(),
        library=[first, second],
    )
    assert template.render(None, functions={}) == "a1b2own"


def test_a_block_is_a_default_for_the_library_that_follows_it():
    """Blocks are how one text offers another a part to replace: the text that is parsed last decides."""
    base = Template.parse('[{{block "body" .}}default{{end}}]', name="base", functions=())
    own = Template.parse(
        '{{template "base" .}}{{define "body"}}mine{{end}}', name="t", functions=(), library=[base]
    )
    assert base.render(None, functions={}) == "[default]"
    assert own.render(None, functions={}) == "[mine]"


def test_a_template_renders_the_same_again():
    """Nothing is left over from one rendering to the next, not even from one that failed."""
    template = Template.parse(
        "{{$x := 1}}{{range .}}{{$x = .}}{{len .}}{{end}}{{$x}}", name="t", functions=()
    )
    assert template.render(["ab"], functions={}) == "2ab"
    with pytest.raises(TemplateExecutionError):
        template.render([1], functions={})
    assert template.render(["ab"], functions={}) == "2ab"


MOMENT = Time.of(datetime(2024, 2, 29, 15, 4, 5, 678000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        pytest.param("2006-01-02T15:04:05Z07:00", "2024-02-29T15:04:05Z", id="RFC 3339"),
        pytest.param("Mon, 02 Jan 2006 15:04:05 MST", "Thu, 29 Feb 2024 15:04:05 UTC", id="RFC 1123"),
        pytest.param("3:04PM", "3:04PM", id="kitchen"),
        pytest.param("Jan _2 15:04:05.000000", "Feb 29 15:04:05.678000", id="stamp in microseconds"),
        pytest.param("05.99 05.9", "05.67 05.6", id="fractions are cut, not rounded"),
        pytest.param("no digits", "no digits", id="plain text"),
    ],
)
def test_times_are_formatted_by_example(layout, expected):
    """A layout is the reference time written the way the moment shall be."""
    assert _render(f"{{{{.Format {layout!r}}}}}".replace("'", '"'), MOMENT) == expected


def test_durations_print_like_gos():
    """The units follow the size."""
    spans = [0, 1, 1500, 2_000_000, 90_000_000_000, 3_600_000_000_000, -5_400_000_000_000]
    assert [Duration.of_nanoseconds(span).text for span in spans] == [
        "0s",
        "1ns",
        "1.5µs",
        "2ms",
        "1m30s",
        "1h0m0s",
        "-1h30m0s",
    ]
