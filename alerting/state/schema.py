"""The schema's history, oldest first. Rooms keep their tables in ``tables_*.py`` and are listed here.

``PRAGMA user_version`` of a file is the number of steps it has taken. Append only: a released step
never changes and never moves.
"""

from __future__ import annotations

from typing import Final

from alerting.state.migration import Migration
from alerting.state.tables_dispatch import DISPATCH
from alerting.state.tables_outbox import OUTBOX

MIGRATIONS: Final[tuple[Migration, ...]] = (OUTBOX, DISPATCH)
