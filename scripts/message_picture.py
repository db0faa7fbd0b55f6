"""Draw docs/message.png from a golden conversation, as a phone shows it: ``python scripts/message_picture.py``.

Needs Chromium and the fonts fonts-dejavu and fonts-noto-color-emoji.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CONVERSATION: Final = ROOT / "tests" / "alerting" / "golden" / "replica-down.txt"
PICTURE: Final = ROOT / "docs" / "message.png"
_HEAD: Final = re.compile(r"^--- (\S+) (.*)$", re.MULTILINE)
_STYLE: Final = """
body { margin: 0; padding: 18px; width: 560px; background: #8fae8b;
       font: 15px/1.38 'DejaVu Sans', 'Noto Color Emoji', sans-serif; }
.bubble { background: #fff; border-radius: 12px; padding: 9px 13px 6px; margin: 0 40px 12px 0; white-space: pre-wrap;
          box-shadow: 0 1px 1px #0003; }
.bubble code { font: 13px 'DejaVu Sans Mono', monospace; color: #345; }
.time { display: block; text-align: right; color: #8a8; font-size: 12px; }
a { color: #2678b6; text-decoration: none; }
"""


def main() -> None:
    """Write the picture."""
    parts = _HEAD.split(CONVERSATION.read_text())[1:]
    bubbles = [_bubble(*parts[at : at + 3]) for at in range(0, len(parts), 3)]
    page = f"<meta charset=utf-8><style>{_STYLE}</style>{''.join(bubbles)}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page)
        flags = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
        )
        size = f"--window-size=596,{36 + 52 * len(bubbles) + 22 * sum(b.count(chr(10)) + 1 for b in bubbles)}"
        command = [
            "chromium",
            *flags,
            f"--user-data-dir={folder}/profile",
            size,
            f"--screenshot={PICTURE}",
            str(source),
        ]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command line


def _bubble(clock: str, how: str, html: str) -> str:
    mark = f"edited {clock[:5]}" if how.startswith("edit") else clock[:5]
    return f"<div class=bubble>{html.strip()}<span class=time>{mark}</span></div>"


if __name__ == "__main__":
    main()
