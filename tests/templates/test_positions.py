"""An error says where in the author's text it is, and stays readable."""

from __future__ import annotations

import pytest

from alerting.templates import (
    Template,
    TemplateError,
    TemplateExecutionError,
    TemplateSyntaxError,
    parse_alert_template,
    render_alert_template,
)


@pytest.fixture
def error_of(context):
    """Expand a text that must fail; return the error."""

    def catch(text):
        with pytest.raises(TemplateError) as caught:
            render_alert_template(parse_alert_template(text, name="summary"), context)
        return caught.value

    return catch


@pytest.mark.parametrize(
    ("text", "kind", "line", "column"),
    [
        pytest.param("{{ nope }}", TemplateSyntaxError, 1, 4, id="unknown function"),
        pytest.param("a\nдень {{ nope }}", TemplateSyntaxError, 2, 9, id="columns are characters"),
        pytest.param("a\n\n  {{ if }}", TemplateSyntaxError, 3, 9, id="missing value"),
        pytest.param("x {{ 1", TemplateSyntaxError, 1, 3, id="unclosed action: where it began"),
        pytest.param("x {{/* 1", TemplateSyntaxError, 1, 5, id="unclosed comment: where it began"),
        pytest.param("{{if 1}}\nx", TemplateSyntaxError, 2, 2, id="missing end: the end of the text"),
        pytest.param("{{ $x }}", TemplateSyntaxError, 1, 4, id="undefined variable"),
        pytest.param('{{ "\\z" }}', TemplateSyntaxError, 1, 4, id="bad string"),
        pytest.param("{{ 1 | 2 }}", TemplateSyntaxError, 1, 8, id="value in a later stage"),
        pytest.param("{{end}}", TemplateSyntaxError, 1, 1, id="end of nothing"),
        pytest.param("{{ .Foo }}", TemplateExecutionError, 1, 4, id="unknown field"),
        pytest.param("a\n{{ $labels.a }}{{ .Foo }}", TemplateExecutionError, 2, 19, id="second line"),
        pytest.param('{{ humanize "one" }}', TemplateExecutionError, 1, 4, id="failing call"),
        pytest.param('{{ "one" | humanize }}', TemplateExecutionError, 1, 12, id="failing stage"),
        pytest.param("{{ len (index $labels 5) }}", TemplateExecutionError, 1, 9, id="failing argument"),
        pytest.param('{{ template "x" }}', TemplateExecutionError, 1, 4, id="missing definition"),
        pytest.param(
            '{{ define "x" }}\n{{ .y.z }}{{ end }}{{ template "x" 5 }}',
            TemplateExecutionError,
            2,
            4,
            id="inside a definition: the place there",
        ),
    ],
)
def test_errors_carry_their_place(error_of, text, kind, line, column):
    """Line and column count from 1 in the text as it was written, without what Prometheus puts before it."""
    error = error_of(text)
    assert (type(error), error.name, error.line, error.column) == (kind, "summary", line, column)
    assert str(error) == f"summary:{line}:{column}: {error.reason}"


def test_a_definition_from_a_library_is_blamed_by_its_own_name():
    """The place is in the text that holds the fault, not in the one that called it."""
    library = Template.parse('\n{{ define "x" }}{{ len 5 }}{{ end }}', name="library.tmpl", functions=())
    template = Template.parse('{{ template "x" }}', name="t", functions=(), library=[library])
    with pytest.raises(TemplateExecutionError) as caught:
        template.render(None, functions={})
    assert str(caught.value) == (
        'library.tmpl:2:20: executing "x" at <len 5>: error calling len: len of type int'
    )


def test_long_quotations_are_cut(error_of):
    """A fault in a long text does not fill the screen."""
    assert len(str(error_of("{{ print " + "1 " * 5000 + " | len | nope }}"))) < 500
    assert len(str(error_of('{{ len (print "' + "a" * 5000 + '" | len) }}'))) < 500
    assert len(str(error_of("{{ " + "9" * 5000 + " }}"))) < 500
