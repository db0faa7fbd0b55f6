"""What can go wrong with a template, and where.

``TemplateError``
    ``TemplateSyntaxError``     the text is not a template; known when the rule is loaded
    ``TemplateExecutionError``  the template met data it cannot handle, or its limits
"""

from __future__ import annotations

from typing import Final

_LONGEST_REASON: Final = 400


class TemplateError(Exception):
    """A template cannot be used; the text reads ``name:line:column: reason``.

    Attributes:
        name: The name the template was parsed under.
        line: Line of the fault in the author's text, from 1.
        column: Column in characters, from 1.
        reason: The fault in the words of Go's ``text/template``; a long quotation is cut in the middle.
    """

    def __init__(self, reason: str, *, name: str, line: int, column: int) -> None:
        reason = shorten(reason, _LONGEST_REASON)
        super().__init__(reason, name, line, column)
        self.reason = reason
        self.name = name
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}: {self.reason}"


class TemplateSyntaxError(TemplateError):
    """The text is not a template, or asks for a function that does not exist."""


class TemplateExecutionError(TemplateError):
    """The template failed on this data, or needed more than its limits allow."""


def shorten(text: str, longest: int) -> str:
    """Cut a text in the middle if it is longer."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
