"""Whether what is kept answers a question, or only part of it: nobody should take silence for an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alerting.promql.parse import Selector


def complaint(asked: Selector, kept: Iterable[Selector]) -> str | None:
    """Say in a sentence what a selector asks for beyond what is kept, or return None if it is all there.

    A kept selector covers another if it has no condition that the other has not; that is sure, though not complete:
    conditions that say the same in other words are not recognised.
    """
    related = [one for one in kept if one.metric in ("", asked.metric)]
    covering = [one.reach for one in related if set(one.matchers) <= set(asked.matchers)]
    name = asked.metric or "{" + ",".join(map(str, asked.matchers)) + "}"
    if not related:
        return f"{name} is not kept: no rule selects it"
    if not covering:
        return f"only the part of {name} that rules select is kept"
    if max(covering) < asked.reach:
        return f"{name} is kept for {_written(max(covering))} only, as far back as rules look"
    return None


def thinned_notice(metric: str, age: timedelta, spacing: timedelta) -> str:
    """Say in a sentence that a result over a thinned metric is approximate."""
    return (
        f"approximate: for lack of memory {metric} is kept every {_written(spacing)} only "
        f"beyond the last {_written(age)}"
    )


def _written(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
