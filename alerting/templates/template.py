"""A parsed template: the language's front door."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from alerting.templates.interpreter import Interpreter
from alerting.templates.limits import Limits
from alerting.templates.parser import parse
from alerting.templates.predeclared import PREDECLARED
from alerting.templates.source import Definition, Source

_DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Template:
    """A Go text/template, parsed once and rendered as often as needed, with ``missingkey=zero``.

    Attributes:
        name: What messages call it.
        text: As the author wrote it.
        definitions: Its named parts, its own body under its name.
    """

    name: str
    text: str
    definitions: Mapping[str, Definition]

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        name: str,
        functions: Collection[str],
        prelude: str = "",
        library: Sequence[Template] = (),
    ) -> Self:
        """Parse a text.

        Args:
            text: The template.
            name: What messages call it; ``{{template}}`` finds the whole text under it.
            functions: Names that may be called, besides Go's own; a mapping of functions serves.
            prelude: Template text that runs before; positions in messages do not count it.
            library: Templates whose definitions may be called; the text's own and later ones win.

        Raises:
            TemplateSyntaxError: At the first fault; an unknown function is one.
        """
        source = Source(name=name, text=prelude + text, hidden=len(prelude))
        own = parse(source, {*PREDECLARED, *functions})
        definitions: dict[str, Definition] = {}
        for template in library:
            definitions.update(template.definitions)
        definitions.update(
            (key, value) for key, value in own.items() if key not in definitions or not value.is_blank
        )
        definitions[name] = own[name]
        return cls(name, text, MappingProxyType(definitions))

    def render(
        self,
        data: object,
        *,
        functions: Mapping[str, Callable[..., object]],
        limits: Limits = _DEFAULT_LIMITS,
    ) -> str:
        """Render over data; see :mod:`alerting.templates.values` for what data is made of.

        Args:
            data: The value of ``.`` and ``$``.
            functions: What the names given to :meth:`parse` do; annotations on them are checked.
            limits: What the rendering may cost.

        Raises:
            TemplateExecutionError: The data did not fit, a function failed or a limit was reached.
        """
        return Interpreter(self.definitions, self.name, functions, limits).run(data)
