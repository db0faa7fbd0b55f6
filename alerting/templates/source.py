"""The text a template was parsed from, and the named trees found in it."""

from __future__ import annotations

from dataclasses import dataclass

from alerting.templates import nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text that positions point into.

    Attributes:
        name: What messages call it.
        text: The whole text.
        hidden: How many characters at its start the author did not write; positions do not count them.
    """

    name: str
    text: str
    hidden: int = 0

    def place(self, pos: int) -> tuple[int, int]:
        """Return line and column, both from 1, of an offset."""
        start = self.hidden
        pos = max(pos, start)
        line_start = max(self.text.rfind("\n", start, pos) + 1, start)
        return 1 + self.text.count("\n", start, pos), 1 + pos - line_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A named tree and the text it came from."""

    name: str
    source: Source
    body: nodes.Body

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it but white space; such a definition gives way to another."""
        return all(isinstance(node, nodes.Text) and not node.text.strip() for node in self.body)
