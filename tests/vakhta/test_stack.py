"""What `make run` prints first."""

import pytest

from vakhta.stack import greeting

TOKEN, CHAT = "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "printed here, until TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are set"),
        ({CHAT: "-100"}, "printed here, until TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are set"),
        ({TOKEN: "", CHAT: ""}, "printed here, until TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are set"),
        ({TOKEN: "1:a", CHAT: "-100"}, "Telegram chat -100"),
        ({f"{TOKEN}_FILE": "/t", CHAT: "-100"}, "Telegram chat -100"),
        ({f"{TOKEN}_FILE": "/t", f"{CHAT}_FILE": "/c"}, "Telegram chat named in /c"),
        ({TOKEN: "1:a"}, "Telegram, to the chats of the configuration"),
    ],
)
def test_where_alerts_go(environ: dict[str, str], line: str) -> None:
    """Told by what is set, directly or by a file; never the token."""
    text = greeting(environ)
    assert f"  alerts    {line}\n" in text
    assert "1:a" not in text
