"""Runs the story's commands, shows every message as it arrives, and measures how long it took.

Time starts at the moment that the Docker daemon itself notes for an event and ends when the stand-in for Telegram
receives the request, so neither the speed of a command nor of this script counts.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from demo.phone import Bubble, Paint, columns, draw, wrap
from demo.summary import Measured
from tests.real.engine import Engine
from tests.real.site import Site, Told

LINE: Final = 78
_LOOK_EVERY: Final = 0.05
_READ_SECONDS: Final = 2.0
_COMPOSE: Final = ["docker", "compose"]


class StageError(Exception):
    """What the story expected did not happen; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A moment that a message is about.

    Attributes:
        called: What a person calls it.
        action: Docker's word for it; empty: Docker cannot note it, and the moment is that of the last command.
        container: Its name, or a shell pattern.
        nth: Which of these events since the last command.
        waits: Why its message comes later, on purpose.
    """

    called: str
    action: str = ""
    container: str = ""
    nth: int = 1
    waits: str = ""


class Stage:
    """A terminal, a Docker engine with a Compose project, and a phone.

    Args:
        project: The folder of the project's compose.yml.
        say: Takes each line of output.
    """

    def __init__(
        self, engine: Engine, site: Site, project: Path, *, say: Callable[[str], None], paint: Paint
    ) -> None:
        self.engine = engine
        self.site = site
        self.measured: list[Measured] = []
        self._project = project
        self._say = say
        self._paint = paint
        self._shown: list[Told] = []
        self._acted = time.time()
        self._shown_before = 0

    # ---- the terminal ----

    def title(self, text: str) -> None:
        """Open a chapter, once the last one's messages had time to arrive and to be read."""
        self.settle()
        self._say("")
        self._say(self._paint.bold(f"━━ {text} {'━' * (LINE - 4 - columns(text))}"))

    def note(self, text: str) -> None:
        """Say a few words between the messages."""
        for line in wrap(text, LINE):
            self._say(self._paint.dim(line))

    def run(self, command: str, why: str, **environment: str) -> None:
        """Show a docker command and run it against the engine of our own."""
        self.announce(command, why)
        words = shlex.split(command)
        if words[:2] == _COMPOSE:
            self.engine.compose(self._project, *words[2:], environment=environment)
        else:
            self.engine.docker(*words[1:])

    def announce(self, command: str, why: str) -> None:
        """Show a command, which the caller carries out at once; what follows is measured from here."""
        self.settle()
        shown = f"$ {command}"
        gap = "  " if columns(shown) + columns(why) + 4 <= LINE else "\n  "
        self._say("")
        self._say(f"{self._paint.bold(shown)}{gap}{self._paint.dim(f'({why})')}")
        self._shown_before = len(self._shown)
        self._acted = time.time()

    def exit_codes(self, container: str) -> list[int]:
        """With what the containers of this name pattern ended since the last command."""
        dead = (attributes for _, action, attributes in self._events() if action == "die")
        return [int(one["exitCode"]) for one in dead if fnmatchcase(one["name"], container)]

    # ---- the phone ----

    def told(self, event: Event, *parts: str, edit: bool | None = None, within_seconds: float = 40) -> None:
        """Wait for the message about the last command's event, known by parts of its first line, and measure it.

        Raises:
            StageError: It did not come.
        """

        def judge(told: Told) -> str:
            return self._judge(told, event, parts, edit=edit)

        if any(
            map(judge, self._shown[self._shown_before :])
        ):  # it came beside another one that was waited for
            return
        end = time.monotonic() + within_seconds
        while not self._look(judge):
            if time.monotonic() > end:
                raise StageError(f"{event.called}: no message {' … '.join(parts)!r} in {within_seconds:g} s")
            time.sleep(_LOOK_EVERY)

    def quiet(self, seconds: float) -> int:
        """Show what is told for a while; return how many messages that were."""
        before = len(self._shown)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look(lambda _: "")
            time.sleep(_LOOK_EVERY)
        return len(self._shown) - before

    def settle(self) -> None:
        """Wait until the phone has been still for as long as a person needs to read it."""
        while self.quiet(_READ_SECONDS):
            pass

    # ---- underneath ----

    def _judge(self, told: Told, event: Event, parts: tuple[str, ...], *, edit: bool | None) -> str:
        """Measure the message if it is the one that is meant, and return what to write beside it."""
        if edit not in (None, told.edit) or not all(part in told.first_line for part in parts):
            return ""
        start = self._time_of(event) if event.action else self._acted
        seconds = told.wall - start
        row = Measured(event=event.called, message=told.first_line, seconds=seconds, waits=event.waits)
        self.measured.append(row)
        return f"{seconds:.2f} s later"

    def _look(self, judge: Callable[[Told], str]) -> bool:
        """Show what is new on the phone; return whether one of it was what the judge knows."""
        found = False
        for told in self.site.told()[len(self._shown) :]:
            aside = "" if found else judge(told)
            found = found or bool(aside)
            self._show(told, aside)
        return found

    def _show(self, told: Told, aside: str) -> None:
        answers = next(
            (old.first_line for old in reversed(self._shown) if old.message_id == told.reply_to), ""
        )
        self._shown.append(told)
        bubble = Bubble(
            text=told.text,
            clock=time.strftime("%H:%M:%S", time.gmtime(told.wall)),
            edit=told.edit,
            silent=told.silent,
            answers=answers,
            aside=aside,
        )
        for line in draw(bubble, self._paint):
            self._say(line)

    def _time_of(self, event: Event) -> float:
        """Ask Docker when the event was, in Unix seconds.

        Raises:
            StageError: Docker knows of no such event, though a message spoke of it.
        """
        times = [
            at
            for at, action, attributes in self._events()
            if action == event.action and fnmatchcase(attributes["name"], event.container)
        ]
        if len(times) < event.nth:
            raise StageError(
                f"{event.called}: told, but docker events has no {event.action} of {event.container}"
            )
        return times[event.nth - 1]

    def _events(self) -> Iterator[tuple[float, str, dict[str, str]]]:
        """Read the daemon's record since the last command: when, what, and of which container."""
        span = ("--since", f"{self._acted:.6f}", "--until", f"{time.time():.6f}")
        record = self.engine.docker("events", *span, "--filter", "type=container", "--format", "{{json .}}")
        for line in record.splitlines():
            event = json.loads(line)
            yield event["timeNano"] / 1e9, event["Action"], event["Actor"]["Attributes"]
