"""One scrape target: fetch, parse, write into the window, tell what changed.

A scrape is regular (every ``interval``) or caused by a tick of the target's event stream; ticks are bounded: the first at
once, then at most one scrape per 200 ms, and a tick during a scrape causes exactly one more.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import aiohttp

from alerting.labels import METRIC_NAME, Labels, Matcher, MatchOp
from alerting.scrape.exposition import ExpositionError, LineCache
from alerting.window import Window
from vakhta import logs

TICK_SPACING: Final = 0.2  # seconds between the starts of two scrapes that ticks caused
_ACCEPT: Final = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
_NOT_SCRAPED: Final = ("ALERTS", "up", "scrape_")
_MAX_BODY: Final = 256 * 1024 * 1024
_log = logs.get("alerting.scrape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to scrape and what its series are labelled with (``job`` and ``instance`` included)."""

    url: str
    labels: Labels
    interval: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(seconds=5)
    events_url: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def instance(self) -> str:
        """The label ``instance``."""
        return self.labels.get("instance", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    """What one scrape came to.

    ``changed`` names the metrics of which a series appeared, vanished or took another value; ``prompted`` is whether a
    tick asked for this scrape, ``event_at`` the time of the oldest event among them.
    """

    target: Target
    at_ms: int
    error: str = ""
    changed: frozenset[str] = frozenset()
    event_at: datetime | None = None
    prompted: bool = False

    @property
    def ok(self) -> bool:
        """Whether the target answered with a readable exposition."""
        return not self.error


class ScrapeError(Exception):
    """The target did not give a readable exposition; the text says why."""


class Scraper:
    """The scrape loop of one target.

    Args:
        target: What to scrape.
        session: The HTTP client; it takes no proxy from the environment.
        window: Where samples go.
        on_scraped: Called after each scrape, successful or not.
        clock: Wall clock, Unix seconds.
    """

    def __init__(
        self,
        target: Target,
        session: aiohttp.ClientSession,
        window: Window,
        on_scraped: Callable[[Scraped], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self._session = session
        self._window = window
        self._on_scraped = on_scraped
        self._clock = clock
        self._wanted = asyncio.Event()
        self._event_at: datetime | None = None
        self._cache = LineCache()
        self._previous: dict[Labels, float] = {}
        self._labels: dict[Labels, Labels] = {}
        self._error: str | None = None

    def tick(self, event_at: datetime | None = None) -> None:
        """Ask for a scrape now; ``event_at`` is when the cause happened."""
        if event_at is not None and (self._event_at is None or event_at < self._event_at):
            self._event_at = event_at
        self._wanted.set()

    async def run(self) -> None:
        """Scrape until cancelled."""
        self._previous = self._remembered()
        loop = asyncio.get_running_loop()
        interval = self.target.interval.total_seconds()
        due = loop.time()
        while True:
            prompted = self._wanted.is_set()
            self._wanted.clear()
            event_at, self._event_at = self._event_at, None
            started = loop.time()
            if started >= due:  # a regular scrape; a late one is skipped, not made up for
                due += interval * (1 + (started - due) // interval)
            await self._on_scraped(replace(await self.scrape(), prompted=prompted, event_at=event_at))
            spacing = started + TICK_SPACING - loop.time()
            if spacing > 0:
                await asyncio.sleep(min(spacing, max(0.0, due - loop.time())))
            try:
                async with asyncio.timeout_at(due):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    def _remembered(self) -> dict[Labels, float]:
        """Return the target's series that an earlier process left in the window: what is gone meanwhile has to end.

        Series of rules carry the target's labels too; those are theirs.
        """
        ours = [Matcher(name, MatchOp.EQUAL, value) for name, value in self.target.labels.items()]
        found = self._window.latest(ours, int(self._clock() * 1000))
        return {
            sample.labels: math.nan
            for sample in found
            if ":" not in sample.labels.metric and not sample.labels.metric.startswith(_NOT_SCRAPED)
        }

    async def scrape(self) -> Scraped:
        """Scrape once and write what came, staleness markers and the synthetic series into the window."""
        started = time.monotonic()
        at_ms = int(self._clock() * 1000)
        error = ""
        current: dict[Labels, tuple[float, int]] = {}
        try:
            current = self._label(self._cache.parse(await self._fetch()), at_ms)
        except ScrapeError as exc:
            error = str(exc)
        except ExpositionError as exc:
            error = f"answer is not a readable exposition: {exc}"
        seconds = time.monotonic() - started
        changed, added = self._write(current, at_ms)
        self._write_synthetic(at_ms, up=not error, seconds=seconds, samples=len(current), added=added)
        if self._error is None or bool(error) != bool(self._error):
            changed |= {"up"}
        self._say(error)
        return Scraped(target=self.target, at_ms=at_ms, error=error, changed=changed)

    async def _fetch(self) -> str:
        timeout = aiohttp.ClientTimeout(total=self.target.timeout.total_seconds())
        headers = {
            "Accept": _ACCEPT,
            "X-Prometheus-Scrape-Timeout-Seconds": f"{self.target.timeout.total_seconds():g}",
            **dict(self.target.headers),
        }
        try:
            async with self._session.get(self.target.url, timeout=timeout, headers=headers) as answer:
                if answer.status != 200:
                    raise ScrapeError(f"server returned HTTP status {answer.status}")
                body = await _read_bounded(answer.content)
        except TimeoutError:
            raise ScrapeError(f"no answer within {self.target.timeout.total_seconds():g} s") from None
        except aiohttp.ClientError as exc:
            raise ScrapeError(str(exc) or type(exc).__name__) from exc
        try:
            return body.decode()
        except UnicodeDecodeError as exc:
            raise ScrapeError(f"answer is not UTF-8 (byte {exc.start})") from exc

    def _label(
        self, samples: list[tuple[Labels, float, int | None]], at_ms: int
    ) -> dict[Labels, tuple[float, int]]:
        """Add the target's labels; a label of the same name that came with the sample is kept as ``exported_<name>``."""
        labelled: dict[Labels, tuple[float, int]] = {}
        fresh: dict[Labels, Labels] = {}
        for labels, value, t_ms in samples:
            full = self._labels.get(labels)
            if full is None:
                clash = {f"exported_{n}": labels[n] for n in self.target.labels if n in labels}
                full = labels.with_({**clash, **self.target.labels})
            fresh[labels] = full
            labelled[full] = (value, t_ms if t_ms is not None else at_ms)
        self._labels = fresh
        return labelled

    def _write(self, current: dict[Labels, tuple[float, int]], at_ms: int) -> tuple[frozenset[str], int]:
        """Write samples and stale markers; return the metrics that changed and how many series are new."""
        changed: set[str] = set()
        previous = self._previous
        self._window.append_many(((labels, value, t_ms) for labels, (value, t_ms) in current.items()), at_ms)
        for labels, (value, _) in current.items():
            if previous.get(labels) != value:
                changed.add(labels.metric)
        for labels in previous.keys() - current.keys():
            self._window.stale(labels, at_ms)
            changed.add(labels.metric)
        added = len(current.keys() - previous.keys())
        self._previous = {labels: value for labels, (value, _) in current.items()}
        return frozenset(changed), added

    def _write_synthetic(self, at_ms: int, *, up: bool, seconds: float, samples: int, added: int) -> None:
        for name, value in (
            ("up", 1.0 if up else 0.0),
            ("scrape_duration_seconds", seconds),
            ("scrape_samples_scraped", float(samples)),
            ("scrape_samples_post_metric_relabeling", float(samples)),
            ("scrape_series_added", float(added)),
        ):
            self._window.append(self.target.labels.with_({METRIC_NAME: name}), at_ms, value)

    def _say(self, error: str) -> None:
        """Log a failing target when it starts to fail or fails otherwise, and when it answers again."""
        if error == self._error:
            return
        if error:
            _log.warning("scrape failed", target=self.target.url, error=error)
        elif self._error:
            _log.info("scrape works again", target=self.target.url)
        self._error = error


async def _read_bounded(stream: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in stream.iter_chunked(1 << 18):
        size += len(part)
        if size > _MAX_BODY:
            raise ScrapeError(f"answer is larger than {_MAX_BODY >> 20} MiB")
        parts.append(part)
    return b"".join(parts)
