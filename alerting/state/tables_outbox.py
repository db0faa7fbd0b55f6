"""Tables of the outbox: what is to be told, what was told, and which chats cannot be told now."""

from __future__ import annotations

from typing import Final

from alerting.state.migration import Migration

# Times are Unix seconds of the wall clock: they must mean the same after a restart.
OUTBOX: Final = Migration(
    name="outbox",
    script="""
    CREATE TABLE outbox (
        id           INTEGER PRIMARY KEY,  -- also the order of arrival
        key          TEXT    NOT NULL,
        chat_id      INTEGER NOT NULL,
        thread_id    INTEGER,
        kind         TEXT    NOT NULL,
        priority     INTEGER NOT NULL,
        state        TEXT    NOT NULL,
        html         TEXT    NOT NULL,
        plain        TEXT    NOT NULL,
        buttons      TEXT    NOT NULL,     -- JSON: rows of [text, data, url]
        silent       INTEGER NOT NULL,
        reply_to_key TEXT,
        created_at   REAL    NOT NULL,
        event_at     REAL,
        give_up_at   REAL,
        attempts     INTEGER NOT NULL DEFAULT 0,
        ambiguous    INTEGER NOT NULL DEFAULT 0,  -- requests whose fate nobody knows
        degraded     INTEGER NOT NULL DEFAULT 0,  -- what was left off to get it accepted, a bit each
        message_id   INTEGER,
        settled_at   REAL,
        last_error   TEXT
    ) STRICT;
    CREATE INDEX outbox_open ON outbox (chat_id, priority, id)
        WHERE state IN ('queued', 'sending', 'unknown');
    CREATE INDEX outbox_open_key ON outbox (key)
        WHERE state IN ('queued', 'sending', 'unknown');
    CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

    CREATE TABLE outbox_message (          -- the newest message of each conversation
        key        TEXT    PRIMARY KEY,
        chat_id    INTEGER NOT NULL,
        message_id INTEGER NOT NULL,
        at         REAL    NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_message_chat ON outbox_message (chat_id);

    CREATE TABLE outbox_chat (             -- only chats of which there is something to remember
        chat_id      INTEGER PRIMARY KEY,
        migrated_to  INTEGER,
        paused_until REAL,
        fault        TEXT
    ) STRICT;
    """,
)
