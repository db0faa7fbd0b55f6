"""Go's text/template in Python, and what Prometheus adds to it for alerting rules.

The language (lexer, parser, interpreter, Go's ``fmt``) knows nothing of Prometheus; :mod:`.prometheus` is one table
of functions on top of it. Foreign text is bounded: see :class:`Limits`.
"""

from alerting.templates.errors import TemplateError, TemplateExecutionError, TemplateSyntaxError
from alerting.templates.functions import Function, FunctionError, Runtime
from alerting.templates.limits import Limits
from alerting.templates.moments import Duration, Time
from alerting.templates.prometheus import Context, QuerySample, parse_alert_template, render_alert_template
from alerting.templates.template import Template
from alerting.templates.values import StringMap, Struct

__all__ = [
    "Context",
    "Duration",
    "Function",
    "FunctionError",
    "Limits",
    "QuerySample",
    "Runtime",
    "StringMap",
    "Struct",
    "Template",
    "TemplateError",
    "TemplateExecutionError",
    "TemplateSyntaxError",
    "Time",
    "parse_alert_template",
    "render_alert_template",
]
