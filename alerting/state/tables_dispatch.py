"""Tables of the rules and of dispatch: what fires, what was told of it, which targets were ever seen."""

from __future__ import annotations

from typing import Final

from alerting.state.migration import Migration

# Times are Unix seconds of the wall clock; structured values are JSON, read back by the room that wrote them.
DISPATCH: Final = Migration(
    name="rules and incidents",
    script="""
    CREATE TABLE rule_states (
        rule_group TEXT NOT NULL,      -- file;name of the group
        rule       TEXT NOT NULL,      -- name and labels of the rule
        state      TEXT NOT NULL,      -- JSON: instances and lost ones
        PRIMARY KEY (rule_group, rule)
    ) WITHOUT ROWID;
    CREATE TABLE incidents (
        id       TEXT PRIMARY KEY,
        incident TEXT NOT NULL,        -- JSON
        texts    TEXT NOT NULL         -- JSON: conversation key -> the text last handed to the outbox
    ) WITHOUT ROWID;
    CREATE TABLE targets (
        instance   TEXT PRIMARY KEY,
        host       TEXT NOT NULL,
        first_seen REAL NOT NULL
    ) WITHOUT ROWID
    """,
)
