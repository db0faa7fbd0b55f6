"""YAML that remembers where everything stands.

A configuration error names file, line, column, key path, fault and remedy, and all errors of a file are told at once:
``alerting.yml:12:3: receivers[0].telegram_config: unknown key, did you mean telegram_configs?``

The node tree is read instead of plain objects because PyYAML's objects lose positions, keep the last of two equal
keys without a word, and turn ``1:30`` into 90, ``on`` into True and ``0644`` into 420.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import yaml

from vakhta import durations

_NULL_TAG: Final = "tag:yaml.org,2002:null"
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"
_TRUE: Final = ("true", "True", "TRUE")
_FALSE: Final = ("false", "False", "FALSE")
# Python's own int() and float() also read "1_0", " 5", "٥", "nan" and numbers of any length.
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
_MAX_DEPTH: Final = 100  # deeper than any file a person writes; PyYAML itself recurses


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file, with its place; lines and columns count from 1."""

    file: str
    line: int
    column: int
    key: str
    text: str

    def __str__(self) -> str:
        """Place, key path, fault and remedy on one line."""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.text}"


class ConfigError(Exception):
    """A file that cannot be used; carries every problem found in it."""

    def __init__(self, problems: Collection[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True, kw_only=True)
class Document:
    """One YAML file being read; problems gather here while its nodes are visited."""

    file: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    documents: int = 0

    def finish(self) -> None:
        """Raise all problems found so far, if there are any.

        Raises:
            ConfigError: At least one problem was found.
        """
        if self.problems:
            raise ConfigError(self.problems)


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a document: the YAML node and the key path that leads to it.

    The getters never raise: a value of the wrong kind is noted in the document and the fallback is returned.
    """

    raw: yaml.Node
    key: str
    document: Document

    @property
    def line(self) -> int:
        """Line of the value, from 1."""
        return int(self.raw.start_mark.line) + 1

    @property
    def column(self) -> int:
        """Column of the value, from 1."""
        return int(self.raw.start_mark.column) + 1

    @property
    def is_null(self) -> bool:
        """Whether nothing (or ``null``) stands there."""
        return self.raw.tag == _NULL_TAG

    @property
    def is_mapping(self) -> bool:
        """Whether a mapping stands there."""
        return isinstance(self.raw, yaml.MappingNode)

    @property
    def is_scalar(self) -> bool:
        """Whether a single value stands there."""
        return isinstance(self.raw, yaml.ScalarNode)

    def fail(self, text: str) -> None:
        """Note a problem at this place."""
        self.document.problems.append(
            Problem(file=self.document.file, line=self.line, column=self.column, key=self.key, text=text)
        )

    def mapping(self, known: Collection[str] | None = None) -> dict[str, Node]:
        """Read a mapping; ``known`` lists the keys allowed (None: any). Null is an empty mapping."""
        if self.is_null:
            return {}
        if not isinstance(self.raw, yaml.MappingNode):
            self.fail("a mapping (key: value lines) is expected here")
            return {}
        found: dict[str, Node] = {}
        for key_node, value_node in _merged(self.raw):
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            child = Node(value_node, f"{self.key}.{name}" if self.key else name, self.document)
            at_key = Node(key_node, child.key, self.document)
            if not name:
                at_key.fail("a key must be plain text")
            elif name in found:
                at_key.fail("this key stands twice in the same mapping; remove one")
            elif known is not None and name not in known:
                at_key.fail(f"unknown key{_did_you_mean(name, known)}")
            else:
                found[name] = child
        return found

    def sequence(self) -> list[Node]:
        """Read a list; null is an empty list."""
        if self.is_null:
            return []
        if not isinstance(self.raw, yaml.SequenceNode):
            self.fail('a list (lines that start with "- ") is expected here')
            return []
        return [Node(item, f"{self.key}[{i}]", self.document) for i, item in enumerate(self.raw.value)]

    def text(self, fallback: str = "") -> str:
        """Read a scalar as the text that stands in the file."""
        if self.is_null:
            return fallback
        if not isinstance(self.raw, yaml.ScalarNode):
            self.fail("a single value is expected here, not a list or mapping")
            return fallback
        return str(self.raw.value)

    def texts(self) -> dict[str, str]:
        """Read a mapping of names to text."""
        return {name: node.text() for name, node in self.mapping().items()}

    def integer(self, fallback: int = 0) -> int:
        """Read a whole number."""
        text = self.text(str(fallback))
        if _INTEGER.fullmatch(text) is None:
            self.fail(f"a whole number is expected, not {text!r}")
            return fallback
        return int(text)

    def number(self, fallback: float = 0.0) -> float:
        """Read a number."""
        text = self.text(str(fallback))
        if _NUMBER.fullmatch(text) is None:
            self.fail(f"a number is expected, not {text!r}")
            return fallback
        return float(text)

    def boolean(self, *, fallback: bool = False) -> bool:
        """Read true or false."""
        value = self.text("true" if fallback else "false")
        if value not in _TRUE + _FALSE:
            self.fail(f"true or false is expected, not {value!r}")
            return fallback
        return value in _TRUE

    def duration(self, fallback: timedelta = timedelta()) -> timedelta:
        """Read a Prometheus duration."""
        text = self.text()
        if self.is_null or not self.is_scalar:
            return fallback
        try:
            return durations.parse(text)
        except ValueError as exc:
            self.fail(str(exc))
            return fallback


def _merged(raw: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the pairs of a mapping with ``<<`` merges carried out; own keys win."""
    own = [(key, value) for key, value in raw.value if key.tag != _MERGE_TAG]
    names = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    for key, value in raw.value:
        if key.tag != _MERGE_TAG:
            continue
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for source in sources:
            if isinstance(source, yaml.MappingNode):
                extra = [pair for pair in _merged(source) if pair[0].value not in names]
                names.update(pair[0].value for pair in extra)
                own.extend(extra)
    return own


def _did_you_mean(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f", did you mean {near[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def parse(text: str, *, file: str) -> Document:
    """Read YAML text; ``file`` is the name that problems carry. Only the first document is used.

    Raises:
        ConfigError: The text is not YAML, or is nested too deeply.
    """
    document = Document(file=file)
    try:
        _check_depth(text, file)
        roots = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = exc.problem or exc.context or "unreadable"
        raise ConfigError([_problem(file, line, column, f"not valid YAML: {reason}")]) from exc
    except yaml.YAMLError as exc:
        raise ConfigError([_problem(file, 1, 1, f"not valid YAML: {exc}".splitlines()[0])]) from exc
    document.documents = len(roots)
    if roots and roots[0] is not None:
        document.root = Node(roots[0], "", document)
    return document


def _check_depth(text: str, file: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ConfigError([_problem(file, line, 1, f"nested deeper than {_MAX_DEPTH} levels")])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _problem(file: str, line: int, column: int, text: str) -> Problem:
    return Problem(file=file, line=line, column=column, key="", text=text)


def load(path: Path, *, shown_as: str | None = None) -> Document:
    """Read a YAML file.

    Raises:
        ConfigError: The file is missing, unreadable, not UTF-8 or not YAML.
    """
    file = shown_as or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([_problem(file, 1, 1, "no such file; check the path")]) from None
    except UnicodeDecodeError as exc:
        raise ConfigError([_problem(file, 1, 1, f"not UTF-8 text (byte {exc.start})")]) from exc
    except OSError as exc:
        raise ConfigError([_problem(file, 1, 1, f"cannot be read: {exc.strerror}")]) from exc
    return parse(text, file=file)


def require(mapping: Mapping[str, Node], name: str, parent: Node) -> Node | None:
    """Return a key that must be there; its absence is noted at the parent."""
    if name not in mapping:
        parent.fail(f"key {name} is missing")
        return None
    return mapping[name]
