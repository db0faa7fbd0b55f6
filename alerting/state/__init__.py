"""What survives a restart: one SQLite file, its schema, and the one thread that writes it."""

from alerting.state.database import Database, set_aside
from alerting.state.errors import StateError
from alerting.state.migration import Migration
from alerting.state.schema import MIGRATIONS

__all__ = ["MIGRATIONS", "Database", "Migration", "StateError", "set_aside"]
