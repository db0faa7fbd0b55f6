"""How spans and instants are written for a person who has just been woken up."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo


def span(length: timedelta) -> str:
    """Write a duration in at most two units: ``38 s``, ``4 min``, ``3 h 20 min``, ``3 d 4 h``."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def clock(at: datetime, zone: tzinfo, today: datetime) -> str:
    """Write an instant as a clock time, with the date when it is not today's."""
    local, reference = at.astimezone(zone), today.astimezone(zone)
    time = f"{local:%H:%M:%S}"
    if local.date() == reference.date():
        return time
    date = f"{local.day} {local:%b}"
    return f"{date} {time}" if local.year == reference.year else f"{date} {local.year} {time}"
