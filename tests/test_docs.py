"""docs/interfaces.md is kept: its table lists what is exported, its examples are read by the code that reads the real thing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from alerting.labels import METRIC_NAME
from alerting.scrape.events import EventParser
from alerting.scrape.exposition import LineCache
from exporter import families
from exporter.memory import Memory

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "interfaces.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOREIGN = {"process_*", "python_*"}


def examples(language):
    """Return the page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def table():
    """Return the family table: name -> (type, the row's text)."""
    rows = {}
    for line in PAGE.partition("| family | type |")[2].partition("\n\n")[0].splitlines()[2:]:
        names, kind, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        for name in re.findall(r"`([^`]+)`", names):
            rows[name] = (kind.split()[0] if kind else "", " ".join(rest))
    return rows


def test_the_table_lists_what_is_exported():
    """No family without a row, no row without a family."""
    assert table().keys() - FOREIGN == {family.name for family in families.ALL}


@pytest.mark.parametrize("family", families.ALL, ids=lambda family: family.name)
def test_types(family):
    """The row's type is the family's."""
    assert table()[family.name][0] == family.type.value


def test_every_example_of_json_parses():
    """And is an object."""
    assert examples("json")
    assert all(isinstance(json.loads(text), dict) for text in examples("json"))


def test_the_example_of_a_scrape():
    """Alerting's parser reads it, and every series is of a family in the table."""
    (text,) = examples("prometheus")
    samples = LineCache().parse(text)
    assert len(samples) == len(text.splitlines())
    assert {labels[METRIC_NAME] for labels, *_ in samples} <= table().keys()
    (code,) = (value for labels, value, _ in samples if labels[METRIC_NAME] == "container_last_exit_code")
    assert code == 137


def test_the_example_of_the_event_stream():
    """Alerting's parser reads a hello and a tick; the two times of the tick are the same instant."""
    (text,) = examples("sse")
    parser = EventParser()
    events = [event for line in (*text.splitlines(), "") if (event := parser.feed(line)) is not None]
    assert [event.event for event in events] == ["hello", "tick"]
    hello, tick = (json.loads(event.data) for event in events)
    assert hello == {"v": 1, "host": "host-1"}
    assert tick["reason"] in re.search(r"`reason` is one of `([^`]+)`", PAGE)[1].split()
    assert int(events[1].id) // 1000 == round(_seconds(tick["ts"]) * 1_000_000)


def _seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_the_example_of_the_state_file():
    """The exporter reads it, and writes the same back."""
    (text,) = (each for each in examples("json") if "last_event_time_nano" in each)
    memory = Memory.from_text(text)
    assert json.loads(memory.to_text()) == json.loads(text)
    book = memory.get("shop-web-2")
    assert (book.restarts, book.last_exit.code, book.oom_events) == (3, 137, 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_fill_in(page):
    """A figure that was to come, a note to oneself."""
    assert not re.findall(r"@@\w*|\bTODO\b|\bTBD\b|\bFIXME\b", page.read_text())
