"""The call that a row becomes: what is left on, what is left off, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass

from alerting.telegram import html
from alerting.telegram.draft import Kind
from alerting.telegram.rows import Degraded, Row
from alerting.telegram.sender import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """The few words the outbox itself adds, in the reader's language.

    Attributes:
        duplicate: Below a message that may be there already.
        no_topic: Before a message whose topic is gone.
        empty: For a message without visible text.
    """

    duplicate: str = "possible duplicate"
    no_topic: str = "topic missing"
    empty: str = "message without text"


def operation(row: Row, notes: Notes) -> Operation | None:
    """Return the call to make for a row; ``None``: there is nothing to do any more."""
    draft, degraded = row.draft, row.degraded
    if draft.kind is Kind.DELETE:
        if row.target is None:
            return None
        return Operation(kind=Kind.DELETE, chat_id=draft.chat_id, message_id=row.target)
    text, as_html = _text(row, notes)
    return Operation(
        kind=draft.kind,
        chat_id=draft.chat_id,
        text=text,
        as_html=as_html,
        thread_id=None if degraded & Degraded.NO_THREAD else draft.thread_id,
        message_id=row.target if draft.kind is Kind.EDIT else None,
        reply_to=None if degraded & Degraded.NO_REPLY else row.reply_to,
        buttons=() if degraded & Degraded.NO_BUTTONS else draft.buttons,
        silent=draft.silent,
    )


def _text(row: Row, notes: Notes) -> tuple[str, bool]:
    draft, degraded = row.draft, row.degraded
    as_html = not degraded & (Degraded.PLAIN | Degraded.SHORT | Degraded.PLACEHOLDER | Degraded.SANITISED)
    text = draft.html if as_html else draft.plain.strip() or html.to_plain(draft.html)
    if degraded & Degraded.PLACEHOLDER and not text.strip():
        text = f"{notes.empty}: {draft.key}"
    if degraded & Degraded.SANITISED:
        text = html.clean(text)
    before = f"[{notes.no_topic}]\n" if degraded & Degraded.NO_THREAD and draft.kind is not Kind.EDIT else ""
    after = f"\n({notes.duplicate})" if row.ambiguous and draft.kind in (Kind.SEND, Kind.REPLY) else ""
    if as_html:
        return f"{html.escape(before)}{text}{html.escape(after)}", True
    return f"{before}{html.clip(text, html.BUDGET - html.utf16_length(before + after))}{after}", False
