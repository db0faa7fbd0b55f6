"""Runs the story's commands, shows every message as it arrives, and measures how long it took.

A step's time starts at the moment that the Docker daemon itself notes for the event and ends when the stand-in for
Telegram receives the request, so neither the speed of a command nor of this script counts.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.phone import Bubble, Paint, columns, draw, wrap
from tests.real.engine import Engine
from tests.real.site import Site, Told

_LINE: Final = 78
_LOOK_EVERY: Final = 0.05
_READ_SECONDS: Final = 1.5
_DOCKER: Final = "docker"
_COMPOSE: Final = ("docker", "compose")


class StageError(Exception):
    """What the story expected did not happen; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A moment in Docker's own record: the nth event of a kind for a container since the last command."""

    action: str
    container: str
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row of the summary."""

    event: str
    message: str
    seconds: float


class Stage:
    """A terminal, a Docker engine with a Compose project, and a phone.

    Args:
        folder: Where the project's compose.yml is.
        say: Takes each line of output.
    """

    def __init__(
        self, engine: Engine, site: Site, folder: Path, *, say: Callable[[str], None], paint: Paint
    ) -> None:
        self.engine = engine
        self.site = site
        self.measured: list[Measured] = []
        self.noted: list[Measured] = []
        self._folder = folder
        self._say = say
        self._paint = paint
        self._shown: list[Told] = []
        self._acted = time.time()
        self._told_before = 0

    # ---- what the person at the terminal does ----

    def title(self, text: str) -> None:
        """Open a chapter, once the last one's messages had time to arrive and to be read."""
        self.settle()
        self._say("")
        self._say(self._paint.bold(f"━━ {text} " + "━" * (_LINE - 4 - columns(text))))

    def note(self, text: str) -> None:
        """Say a few words between the messages."""
        for line in wrap(text, _LINE):
            self._say(self._paint.dim(line))

    def run(self, command: str, why: str, **environment: str) -> None:
        """Show a docker command and run it against the engine of our own."""
        self.settle()
        self.pretend(command, why)
        words = shlex.split(command)
        if tuple(words[:2]) == _COMPOSE:
            self.engine.compose(self._folder, *words[2:], environment=environment)
        else:
            self.engine.docker(*words[1:])

    def pretend(self, command: str, why: str) -> None:
        """Show a command that the caller carries out in another way; what follows is measured from here."""
        self._told_before = len(self._shown)
        self._acted = time.time()
        shown = f"$ {command}"
        gap = "  " if columns(shown) + columns(why) <= _LINE - 4 else "\n  "
        self._say("")
        self._say(f"{self._paint.bold(shown)}{gap}{self._paint.dim(f'({why})')}")

    # ---- what the phone shows ----

    def told(self, event: Event, *parts: str, edit: bool | None = None, within_seconds: float = 30) -> None:
        """Wait for the message about an event, by parts of its first line, and measure it.

        Raises:
            StageError: It did not come.
        """
        self._until(self._answer(event, "", parts, edit), parts, within_seconds)

    def told_later(self, event: str, *parts: str, edit: bool | None = None, within_seconds: float = 40) -> None:
        """Wait for the message about something that Docker cannot note; measured from the command, and kept apart."""
        self._until(self._answer(None, event, parts, edit), parts, within_seconds)

    def quiet(self, seconds: float) -> int:
        """Show what is told for a while; return how many messages that were."""
        before = len(self._shown)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look(None)
            time.sleep(_LOOK_EVERY)
        return len(self._shown) - before

    def settle(self) -> None:
        """Wait until the phone has been still for as long as a person needs to read it."""
        while self.quiet(_READ_SECONDS):
            pass

    # ---- underneath ----

    def _until(self, wanted: Callable[[Told], str], parts: tuple[str, ...], within_seconds: float) -> None:
        end = time.monotonic() + within_seconds
        while not self._look(wanted):
            if time.monotonic() > end:
                raise StageError(f"no message with {' … '.join(parts)!r} within {within_seconds:g} s")
            time.sleep(_LOOK_EVERY)

    def _answer(
        self, event: Event | None, label: str, parts: tuple[str, ...], edit: bool | None
    ) -> Callable[[Told], str]:
        """Build what recognises a message: it measures the one that is meant and returns what to write beside it."""

        def judge(told: Told) -> str:
            line = told.first_line
            if edit not in (None, told.edit) or not all(part in line for part in parts):
                return ""
            start = self._time_of(event) if event else self._acted
            row = Measured(
                event=label or f"{event.action} {event.container}" if event else label,
                message=line,
                seconds=told.wall - start,
            )
            (self.measured if event else self.noted).append(row)
            return f"{row.seconds:.2f} s later"

        return judge

    def _look(self, wanted: Callable[[Told], str] | None) -> bool:
        """Show what is new on the phone; return whether the wanted message was there."""
        found = ""
        for told in self.site.told()[len(self._shown) :]:
            aside = wanted(told) if wanted and not found else ""
            found = found or aside
            self._show(told, aside)
        return bool(found)

    def _show(self, told: Told, aside: str) -> None:
        answers = next((old.first_line for old in reversed(self._shown) if old.message_id == told.reply_to), "")
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
        """Ask Docker when the event was.

        Raises:
            StageError: Docker knows of no such event, though a message spoke of it.
        """
        times = [at for at, action, name in self._events() if (action, name) == (event.action, event.container)]
        if len(times) < event.nth:
            raise StageError(f"docker events has no {event.action} of {event.container}")
        return times[event.nth - 1]

    def _events(self) -> Iterator[tuple[float, str, str]]:
        span = ("--since", f"{self._acted:.6f}", "--until", f"{time.time():.6f}")
        record = self.engine.docker("events", *span, "--filter", "type=container", "--format", "{{json .}}")
        for line in record.splitlines():
            event = json.loads(line)
            yield event["timeNano"] / 1e9, event["Action"], event["Actor"]["Attributes"]["name"]
