"""Books of names, and their text form."""

import json
import re
from pathlib import Path

import pytest

from exporter.docker.exits import Exit, ExitReason
from exporter.memory import Book, Memory, MemoryFormatError

DOCUMENT = Path(__file__).parents[2] / "docs" / "interfaces.md"
DAY = 24 * 3600.0


def documented():
    """Return the example of the state file in docs/interfaces.md."""
    section = DOCUMENT.read_text().partition("## 3.")[2]
    return json.loads(re.search(r"```json\n(.*?)```", section, re.DOTALL)[1].replace("…", ""))


def test_the_documented_example_is_read_and_written_back():
    """What the page shows is what the exporter understands, key for key."""
    example = documented()
    memory = Memory.from_text(json.dumps(example))
    book = memory.get("shop-web-2")
    assert book.exits == {ExitReason.ERROR: 3, ExitReason.OOM: 1}
    assert book.last_exit == Exit(reason=ExitReason.OOM, code=137, at=1790000000.123)
    assert json.loads(memory.to_text()) == example


def test_a_provisional_exit_is_written_as_counted():
    """Whoever reads the file will not see the event again."""
    memory = Memory({"web": Book(id="a", first_seen=1.0, exits={ExitReason.KILLED: 1})})
    text = memory.to_text({"web": ExitReason.KILLED})
    assert json.loads(text)["containers"]["web"]["exits"] == {"killed": 2}
    assert memory.get("web").exits == {ExitReason.KILLED: 1}


def damaged(**changes):
    """Return the documented example with some keys changed."""
    return json.dumps(documented() | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "it is not JSON", id="empty"),
        pytest.param('{"v": 1', "it is not JSON", id="cut off"),
        pytest.param("[]", "its version is not 1", id="not an object"),
        pytest.param(damaged(v=2), "its version is not 1", id="another version"),
        pytest.param(damaged(containers=[]), "it is damaged", id="containers are a list"),
        pytest.param(
            damaged(containers={"web": {}}), "it is damaged (KeyError: 'last_exit')", id="an empty entry"
        ),
        pytest.param(damaged(containers={"web": 1}), "it is damaged", id="an entry that is a number"),
        pytest.param(damaged(last_event_time_nano=None), "it is damaged", id="no time"),
    ],
)
def test_texts_that_cannot_be_read(text, message):
    """The error says what is wrong; nothing is half read."""
    with pytest.raises(MemoryFormatError, match=f"^{re.escape(message)}"):
        Memory.from_text(text)


def test_forgetting():
    """A book is dropped a day after its container went."""
    memory = Memory()
    memory.open("here", "a", 0.0)
    memory.open("gone", "b", 0.0)
    memory.gone("gone", "b", 10.0)
    memory.forget(["here"], 10.0 + DAY)
    assert set(memory) == {"here", "gone"}
    memory.forget(["here"], 11.0 + DAY)
    assert set(memory) == {"here"}


def test_a_name_that_is_back_is_not_forgotten():
    """A container of that name exists again."""
    memory = Memory()
    memory.open("web", "a", 0.0)
    memory.gone("web", "a", 10.0)
    memory.open("web", "b", 20.0)
    memory.forget(["web"], 20.0 + 2 * DAY)
    assert set(memory) == {"web"}


def test_gone_while_the_exporter_was_away():
    """The day begins when its absence is noticed."""
    memory = Memory({"web": Book(id="a", first_seen=0.0)})
    memory.forget([], 100.0)
    memory.forget([], 100.0 + DAY)
    assert set(memory) == {"web"}
    memory.forget([], 101.0 + DAY)
    assert not set(memory)


def test_the_removal_of_another_container_of_that_name():
    """The late destroy of the old container does not make the new one gone."""
    memory = Memory()
    memory.open("web", "new", 0.0)
    memory.gone("web", "old", 1.0)
    assert memory.get("web").gone_at is None


def test_temporary_names_have_no_book():
    """What Compose calls a container for a moment is not remembered."""
    memory = Memory()
    memory.open("78574a4590bc_web", "a", 0.0)
    memory.rename("78574a4590bc_web", "web", "a", 1.0)
    assert set(memory) == {"web"}
    assert memory.get("web").first_seen == 1.0


def test_unknown_exits_are_not_counted():
    """Nobody saw them."""
    book = Book(id="a", first_seen=0.0)
    book.count_exit(ExitReason.UNKNOWN)
    assert book.exits == {}
